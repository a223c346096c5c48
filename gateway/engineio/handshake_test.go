package engineio_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/gateway/engineio"
)

func TestHandshake(t *testing.T) {
	t.Parallel()
	s := start(t, engineio.Config{PingInterval: 300 * time.Millisecond, PingTimeout: 200 * time.Millisecond})

	r := s.do(http.MethodGet, "EIO=4&transport=polling&t=abc&b64=1", "")
	require.Equal(t, http.StatusOK, r.status)
	require.Equal(t, "text/plain; charset=UTF-8", r.header.Get("Content-Type"))
	require.Equal(t, "no-store", r.header.Get("Cache-Control"))
	open := parseOpen(t, r.body)
	require.Equal(t, openPacket{open.SID, []string{"websocket"}, 300, 200, 1 << 20}, open)
	require.Len(t, open.SID, 22, "128 bits, base64url")

	open = parseOpen(t, s.dial("EIO=4&transport=websocket").next())
	require.Equal(t, openPacket{open.SID, []string{}, 300, 200, 1 << 20}, open)
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	open := parseOpen(t, start(t, engineio.Config{}).do(http.MethodGet, "EIO=4&transport=polling", "").body)
	require.Equal(t, openPacket{open.SID, []string{"websocket"}, 25000, 60000, 1048576}, open)
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	s := start(t, engineio.Config{})
	webSocket := []string{
		"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==",
	}
	unknownTransport := `{"code":0,"message":"Transport unknown"}`
	unknownSID := `{"code":1,"message":"Session ID unknown"}`
	badMethod := `{"code":2,"message":"Bad handshake method"}`
	badRequest := `{"code":3,"message":"Bad request"}`
	badVersion := `{"code":5,"message":"Unsupported protocol version"}`
	for name, c := range map[string]struct {
		method, query string
		header        []string
		want          string
	}{
		"no transport":                   {"GET", "EIO=4", nil, unknownTransport},
		"unknown transport":              {"GET", "EIO=4&transport=abc", nil, unknownTransport},
		"transport of another name":      {"GET", "EIO=4&transport=webtransport", nil, unknownTransport},
		"unknown transport, unknown sid": {"GET", "EIO=4&transport=constructor&sid=x", nil, unknownTransport},
		"unknown sid":                    {"GET", "EIO=4&transport=polling&sid=abc", nil, unknownSID},
		"unknown sid, POST":              {"POST", "EIO=4&transport=polling&sid=abc", nil, unknownSID},
		"unknown sid, websocket":         {"GET", "EIO=4&transport=websocket&sid=abc", webSocket, unknownSID},
		"POST handshake":                 {"POST", "EIO=4&transport=polling", nil, badMethod},
		"PUT handshake":                  {"PUT", "EIO=4&transport=polling", nil, badMethod},
		"websocket without upgrade":      {"GET", "EIO=4&transport=websocket", nil, badRequest},
		"polling with upgrade":           {"GET", "EIO=4&transport=polling", webSocket, badRequest},
		"JSONP":                          {"GET", "EIO=4&transport=polling&j=0", nil, badRequest},
		"no version":                     {"GET", "transport=polling", nil, badVersion},
		"version 3":                      {"GET", "EIO=3&transport=polling", nil, badVersion},
		"version abc":                    {"GET", "EIO=abc&transport=polling", nil, badVersion},
		"version abc, websocket":         {"GET", "EIO=abc&transport=websocket", webSocket, badVersion},
	} {
		t.Run(name, func(t *testing.T) {
			r := s.do(c.method, c.query, "", c.header...)
			require.Equal(t, http.StatusBadRequest, r.status)
			require.Equal(t, "application/json", r.header.Get("Content-Type"))
			require.Equal(t, c.want, r.body)
		})
	}
	require.Zero(t, s.engine.Len())
}

func TestWrongMethodOfSession(t *testing.T) {
	t.Parallel()
	s := start(t, engineio.Config{}).openPolling()
	require.Equal(t, http.StatusBadRequest, s.do(http.MethodPut, s.query, "4x").status)
	webSocket := strings.Replace(s.query, "polling", "websocket", 1)
	require.Equal(t, http.StatusBadRequest, s.do(http.MethodGet, webSocket, "").status, "without Upgrade")
	require.Equal(t, "ok", s.post("4x").body, "the session has not suffered")
}

func TestOtherPath(t *testing.T) {
	t.Parallel()
	s := start(t, engineio.Config{})
	s.url = strings.TrimSuffix(s.url, "socket.io/") + "other/"
	require.Equal(t, http.StatusNotFound, s.do(http.MethodGet, "EIO=4&transport=polling", "").status)
}

func TestPathWithoutSlash(t *testing.T) {
	t.Parallel()
	s := start(t, engineio.Config{})
	s.url = strings.TrimSuffix(s.url, "/")
	require.Equal(t, http.StatusOK, s.do(http.MethodGet, "EIO=4&transport=polling", "").status)
}

func TestCORS(t *testing.T) {
	t.Parallel()
	const good, bad = "https://app.example", "https://evil.example"
	s := start(t, engineio.Config{CheckOrigin: func(r *http.Request) bool { return r.Header.Get("Origin") == good }})

	r := s.do(http.MethodGet, "EIO=4&transport=polling", "", "Origin", good)
	require.Equal(t, http.StatusOK, r.status)
	require.Equal(t, good, r.header.Get("Access-Control-Allow-Origin"))
	require.Equal(t, "true", r.header.Get("Access-Control-Allow-Credentials"))
	require.Equal(t, "Origin", r.header.Get("Vary"))

	r = s.do(http.MethodGet, "EIO=4&transport=abc", "", "Origin", good)
	require.Equal(t, good, r.header.Get("Access-Control-Allow-Origin"), "a page must be able to read its error")

	r = s.do(http.MethodOptions, "EIO=4&transport=polling", "", "Origin", good,
		"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type")
	require.Equal(t, http.StatusNoContent, r.status)
	require.Equal(t, "GET, POST, OPTIONS", r.header.Get("Access-Control-Allow-Methods"))
	require.Equal(t, "authorization,content-type", r.header.Get("Access-Control-Allow-Headers"))
	require.Equal(t, good, r.header.Get("Access-Control-Allow-Origin"))

	for _, method := range []string{http.MethodGet, http.MethodOptions} {
		r = s.do(method, "EIO=4&transport=polling", "", "Origin", bad)
		require.Equal(t, http.StatusForbidden, r.status)
		require.JSONEq(t, `{"code":4,"message":"Forbidden"}`, r.body)
		require.Empty(t, r.header.Get("Access-Control-Allow-Origin"))
		require.Empty(t, r.header.Get("Access-Control-Allow-Credentials"))
	}

	r = s.do(http.MethodGet, "EIO=4&transport=polling", "")
	require.Equal(t, http.StatusOK, r.status, "no browser, no origin")
	require.Empty(t, r.header.Get("Access-Control-Allow-Origin"))
}

func TestDefaultOriginIsOwnHost(t *testing.T) {
	t.Parallel()
	s := start(t, engineio.Config{})
	own := strings.TrimSuffix(s.url, "/socket.io/")
	require.Equal(t, http.StatusOK, s.do(http.MethodGet, "EIO=4&transport=polling", "", "Origin", own).status)
	for _, other := range []string{"https://evil.example", "null", "://"} {
		require.Equal(t, http.StatusForbidden, s.do(http.MethodGet, "EIO=4&transport=polling", "", "Origin", other).status, other)
	}
}

func TestRefusal(t *testing.T) {
	t.Parallel()
	s := start(t, engineio.Config{})
	old := s.openPolling()

	s.engine.SetRefuse(func(*http.Request) (any, *engineio.Refusal) {
		return nil, &engineio.Refusal{RetryAfter: 1500 * time.Millisecond}
	})
	r := s.do(http.MethodGet, "EIO=4&transport=polling", "")
	require.Equal(t, http.StatusServiceUnavailable, r.status)
	require.Equal(t, "2", r.header.Get("Retry-After"))
	require.JSONEq(t, `{"message":"Service Unavailable"}`, r.body)
	require.Equal(t, "close", r.header.Get("Connection"), "a refused client must not keep its socket")
	require.Equal(t, "ok", old.post("4x").body, "existing sessions go on")

	s.engine.SetRefuse(func(*http.Request) (any, *engineio.Refusal) {
		return nil, &engineio.Refusal{Status: http.StatusForbidden, Message: `not "you"`}
	})
	r = s.do(http.MethodGet, "EIO=4&transport=polling", "")
	require.Equal(t, http.StatusForbidden, r.status)
	require.JSONEq(t, `{"code":4,"message":"not \"you\""}`, r.body)

	s.engine.SetRefuse(func(*http.Request) (any, *engineio.Refusal) { return "ticket", nil })
	<-s.echo.opened
	s.openPolling()
	require.Equal(t, "ticket", receive(t, s.echo.opened, "the session").Ticket())

	s.engine.SetRefuse(nil)
	s.openPolling()
	require.Nil(t, receive(t, s.echo.opened, "the session").Ticket())
}

func TestRequestIsKeptUntilForgotten(t *testing.T) {
	t.Parallel()
	s := start(t, engineio.Config{})
	s.do(http.MethodGet, "EIO=4&transport=polling&token=a%20b", "", "Authorization", "Bearer x", "User-Agent", "test/1",
		"X-Forwarded-For", "192.0.2.1")
	session := receive(t, s.echo.opened, "the session")
	request := session.Request()
	require.Equal(t, "a b", request.Query().Get("token"))
	require.Equal(t, "Bearer x", request.Authorization)
	require.Equal(t, "test/1", request.UserAgent)
	require.Equal(t, "192.0.2.1", request.ForwardedFor)
	require.Contains(t, request.RemoteAddr, "127.0.0.1:")
	session.ForgetRequest()
	require.Nil(t, session.Request())
}
