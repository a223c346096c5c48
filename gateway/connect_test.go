package gateway

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

func TestPlainAuth(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	t.Run("header", func(t *testing.T) {
		c := m.newClient(m.dial("/ws", http.Header{"Authorization": {"Bearer " + tokenFor(t, "ann", "", time.Hour)}}), false)
		c.greeted()
	})
	t.Run("first frame, which is acked behind connected", func(t *testing.T) {
		c := m.newClient(m.dial("/ws", nil), false)
		c.write(`{"event":"auth","data":{"token":"` + tokenFor(t, "ann", "", time.Hour) + `","deviceId":"d1","pid":"x","offset":"y"},"ack":"a"}`)
		c.greeted()
		require.Equal(t, "d1", c.hello.DeviceID)
		require.False(t, c.hello.Resumed)
		require.Equal(t, `"a"`, c.next().ack)
	})
	for path, header := range map[string]http.Header{
		"/ws":              {"Authorization": {"Basic dXNlcjpwYXNz"}},
		"/ws?token=":       nil,
		"/ws?token&x=1":    {"Authorization": {"Bearer"}},
		"/ws?token=&token": {"Authorization": {"Bearer  "}},
	} {
		t.Run("no token beside the frame's: "+path, func(t *testing.T) {
			c := m.newClient(m.dial(path, header), false)
			c.write(`{"event":"auth","data":{"token":"` + tokenFor(t, "ann", "", time.Hour) + `"}}`)
			c.greeted()
		})
	}
	for _, row := range []struct {
		name, path, frame string
		code              proto.Code
		close             proto.CloseCode
	}{
		{"bad token in the query", "/ws?token=x", "", proto.InvalidToken, proto.CloseRevoked},
		{"expired token", "/ws?token=" + tokenFor(t, "ann", "", -time.Minute), "", proto.TokenExpired, proto.CloseTokenExpired},
		{"bad token in the frame", "/ws", `{"event":"auth","data":{"token":"x"}}`, proto.InvalidToken, proto.CloseRevoked},
		{"auth with its token twice", "/ws", `{"event":"auth","data":{"token":"a","token":"b"}}`, proto.InvalidPayload, proto.CloseProtocolError},
		{"auth without token", "/ws", `{"event":"auth"}`, proto.AuthenticationRequired, proto.CloseProtocolError},
		{"auth with a text", "/ws", `{"event":"auth","data":"x"}`, proto.InvalidPayload, proto.CloseProtocolError},
		{"another event first", "/ws", `{"event":"message:new","data":{}}`, proto.AuthenticationRequired, proto.CloseProtocolError},
		{"no JSON first", "/ws", `hello`, proto.AuthenticationRequired, proto.CloseProtocolError},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := m.newClient(m.dial(row.path, nil), false)
			if row.frame != "" {
				c.write(row.frame)
			}
			g := c.next()
			require.Equal(t, "error", g.event)
			require.Equal(t, row.code, g.code(t))
			require.EqualValues(t, row.close, c.closed())
		})
	}
	t.Run("binary", func(t *testing.T) {
		c := m.plain("ann", "")
		require.NoError(t, c.conn.Write(t.Context(), websocket.MessageBinary, []byte("x")))
		require.EqualValues(t, proto.CloseUnsupported, c.closed())
	})
	t.Run("too big", func(t *testing.T) {
		c := m.plain("ann", "")
		c.write(`{"event":"` + string(make([]byte, 2<<20)) + `"}`)
		require.EqualValues(t, proto.CloseTooBig, c.closed())
	})
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	m := runMesh(t, func(c *Config) { c.AuthTimeout, c.ConnectTimeout = time.Second, time.Second })
	for name, request := range map[string]string{
		"a socket that sends nothing":         "",
		"half a request":                      "GET /ws HTTP/1.1\r\n",
		"an answered request":                 "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n",
		"a session on polling":                "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n",
		"a preflight":                         "OPTIONS /socket.io/ HTTP/1.1\r\nHost: a\r\nOrigin: http://a\r\n\r\n",
		"a handshake that is no handshake":    "GET /socket.io/?EIO=3&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n",
		"a session that is polled for nobody": "GET /socket.io/?EIO=4&transport=polling&sid=x HTTP/1.1\r\nHost: a\r\n\r\n",
	} {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", m.addr)
		require.NoError(t, err)
		_, err = io.WriteString(conn, request)
		require.NoError(t, err)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
		_, err = io.Copy(io.Discard, conn)
		require.NoError(t, err, "%s is closed", name)
		require.NoError(t, conn.Close())
	}
	m.newClient(m.dial("/socket.io/?EIO=4&transport=websocket", nil), true).closed()
	c := m.newClient(m.dial("/ws", nil), false)
	require.Equal(t, proto.AuthenticationRequired, func() proto.Code { g := c.next(); return g.code(t) }())
	require.EqualValues(t, proto.CloseAuthDeadline, c.closed())
}

func TestSocketIOAuth(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	refused := func(auth string) (message string, code proto.Code) {
		c := m.newClient(m.dial("/socket.io/?EIO=4&transport=websocket", nil), true)
		c.write("40" + auth)
		g := c.next()
		require.Equal(t, "connect_error", g.event, "%s", g.data)
		var e struct {
			Message string
			Data    struct {
				Code      proto.Code
				Retryable *bool
				RequestID string `json:"requestId"`
			}
		}
		require.NoError(t, json.Unmarshal(g.data, &e))
		require.NotNil(t, e.Data.Retryable)
		require.False(t, *e.Data.Retryable)
		require.Len(t, e.Data.RequestID, 32)
		return e.Message, e.Data.Code
	}
	for _, row := range []struct {
		auth, message string
		code          proto.Code
	}{
		{"", "Authentication required", proto.AuthenticationRequired},
		{"{}", "Authentication required", proto.AuthenticationRequired},
		{`{"token":5}`, "Authentication required", proto.AuthenticationRequired},
		{`{"token":"x"}`, "Invalid token", proto.InvalidToken},
		{`{"token":"` + tokenFor(t, "ann", "", -time.Minute) + `"}`, "Invalid token", proto.TokenExpired},
		{`{"token":"` + tokenFor(t, "", "", time.Hour) + `"}`, "Invalid token payload", proto.InvalidToken},
		{`{"token":"a","token":"b"}`, "Authentication failed", proto.InvalidPayload},
	} {
		message, code := refused(row.auth)
		require.Equal(t, row.message, message, row.auth)
		require.Equal(t, row.code, code, row.auth)
	}

	c := m.newClient(m.dial("/socket.io/?EIO=4&transport=websocket&token="+tokenFor(t, "ann", "", time.Hour), nil), true)
	c.write(`40{"deviceId":"tablet","offset":"my own","pid":"mine"}`)
	c.greeted()
	require.Equal(t, "tablet", c.hello.DeviceID, "an app's own offset is no error")
	require.False(t, c.hello.Resumed)
	c = m.newClient(m.dial("/socket.io/?EIO=4&transport=websocket", http.Header{"Authorization": {"Bearer " + tokenFor(t, "ann", "", time.Hour)}}), true)
	c.write(`40`)
	c.greeted()
}

// TestFieldsThatNobodyReads: they refuse nobody, in either profile.
func TestFieldsThatNobodyReads(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	for name, fields := range map[string]string{
		"half an emoji":     `"displayName":"cut \ud83d"`,
		"a name twice":      `"x":1,"x":2`,
		"nesting of 33":     `"x":` + nested(33),
		"nesting of 500":    `"x":` + nested(500),
		"names of our own":  `"TOKEN":"x","Token":5,"DEVICEID":"other","user":{"token":"x","token":"y"}`,
		"half a name":       `"\ud83d":1,"\ud83e":2`,
		"other types":       `"pid":{"a":1},"offset":[1]`,
		"a pid that is cut": `"pid":"\ud83d"`,
	} {
		object := `{` + fields + `,"token":"` + tokenFor(t, "ann", "", time.Hour) + `","deviceId":"tablet"}`
		c := m.newClient(m.dial("/socket.io/?EIO=4&transport=websocket", nil), true)
		c.write("40" + object)
		c.greeted()
		require.Equal(t, "tablet", c.hello.DeviceID, name)
		c = m.newClient(m.dial("/ws", nil), false)
		c.write(`{"event":"auth","data":` + object + `}`)
		c.greeted()
		require.Equal(t, "tablet", c.hello.DeviceID, name)
	}
}

func TestOrigins(t *testing.T) {
	t.Parallel()
	m := runMesh(t, func(c *Config) { c.CORSOrigin = []string{"https://app.example.org"} })
	try := func(path, origin string) int {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		conn, res, err := websocket.Dial(ctx, "ws://"+m.addr+path, &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {origin}}})
		if err == nil {
			_ = conn.CloseNow()
		}
		return res.StatusCode
	}
	for _, path := range []string{"/ws", "/socket.io/?EIO=4&transport=websocket"} {
		require.Equal(t, http.StatusSwitchingProtocols, try(path, "https://app.example.org"))
		require.Equal(t, http.StatusSwitchingProtocols, try(path, "http://"+m.addr))
		for _, origin := range []string{"https://evil.example.org", "https://app.example.org.evil.net", "https://evil-app.example.org", "http://app.example.org", "null"} {
			require.Equal(t, http.StatusForbidden, try(path, origin), "%s %s", path, origin)
		}
	}
}

func TestAdmission(t *testing.T) {
	t.Parallel()
	m := runMesh(t, func(c *Config) { c.AdmitRate = 1 })
	_ = m.plain("ann", "")
	for _, path := range []string{"/ws?token=x", "/socket.io/?EIO=4&transport=polling", "/socket.io/?EIO=4&transport=websocket"} {
		_, res, err := websocket.Dial(t.Context(), "ws://"+m.addr+path, nil)
		if path == "/socket.io/?EIO=4&transport=polling" {
			res, err = http.Get("http://" + m.addr + path)
			require.NoError(t, err)
			defer res.Body.Close()
		} else {
			require.Error(t, err)
		}
		require.Equal(t, http.StatusServiceUnavailable, res.StatusCode, path)
		require.NotEmpty(t, res.Header.Get("Retry-After"), path)
		require.True(t, res.Close, "%s: a refused client must not keep its socket", path)
	}
}

func TestConnectionLimit(t *testing.T) {
	t.Parallel()
	m := runMesh(t, func(c *Config) { c.MaxConnections = 2 })
	_, _ = m.plain("ann", ""), m.plain("ann", "")
	c := m.newClient(m.dial("/ws?token="+tokenFor(t, "ann", "", time.Hour), nil), false)
	g := c.next()
	require.Equal(t, proto.ConnectionLimit, g.code(t))
	require.NotEmpty(t, field(t, g.data, "retryAfterMs"))
	require.EqualValues(t, proto.CloseConnectionLimit, c.closed())

	s := m.newClient(m.dial("/socket.io/?EIO=4&transport=websocket", nil), true)
	s.write(`40{"token":"` + tokenFor(t, "ann", "", time.Hour) + `"}`)
	s.closed()
	require.Empty(t, s.in, "no CONNECT_ERROR: the client is to come back")
	_ = m.plain("bob", "")
}

// TestChatDown: without chat, a client that connects comes back by itself; one
// that is connected stays, and its sends fail in a way that may be retried.
func TestChatDown(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.chat.add("c1", "ann", "bob")
	ann, bob := m.socketIO("ann", ""), m.plain("bob", "")
	require.NoError(t, m.chat.stop())

	s := m.newClient(m.dial("/socket.io/?EIO=4&transport=websocket", nil), true)
	s.write(`40{"token":"` + tokenFor(t, "cat", "", time.Hour) + `"}`)
	s.closed()
	require.Empty(t, s.in)
	p := m.newClient(m.dial("/ws?token="+tokenFor(t, "cat", "", time.Hour), nil), false)
	g := p.next()
	require.Equal(t, proto.ServiceUnavailable, g.code(t))
	require.EqualValues(t, proto.CloseOverloaded, p.closed())

	for _, c := range []*client{ann, bob} {
		start := time.Now()
		g := c.ask("message:new", `{"chatId":"c1","encryptedContent":"x"}`)
		require.Equal(t, proto.ServiceUnavailable, g.code(t))
		require.Equal(t, "true", field(t, g.data, "retryable"))
		require.Less(t, time.Since(start), proto.SendTimeout)
		c.quiet()
	}
}

func TestHostileUsers(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	users := []string{"*", ">", "a.b", "a", "a b", "{u:a}", "люди", "=YQ"}
	clients := map[string]*client{}
	for _, u := range users {
		m.chat.add("chat of "+u, u)
		clients[u] = m.plain(u, u)
	}
	for _, u := range users {
		m.chat.say("chat of "+u, "x", "for "+u)
	}
	for _, u := range users {
		text, _ := clients[u].message()
		require.Equal(t, "for "+u, text)
	}
	for _, c := range clients {
		c.quiet()
	}
}
