package gateway

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

// Both paths are served with and without their final slash, with CORS, and nothing redirects.
func TestPathsWithAndWithoutSlash(t *testing.T) {
	t.Parallel()
	const app = "https://app.example.org"
	m := runMesh(t, func(c *Config) { c.CORSOrigin = []string{app, "null", "file://"} })
	client := http.Client{
		Transport: &http.Transport{}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(client.CloseIdleConnections)
	get := func(method, path string, origins ...string) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+m.addr+path, nil)
		require.NoError(t, err)
		req.Header["Origin"] = origins
		res, err := client.Do(req)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		return res
	}
	for _, path := range []string{"/socket.io", "/socket.io/"} {
		for _, origin := range []string{app, "null", "file://", "http://" + m.addr} {
			res := get(http.MethodGet, path+"?EIO=4&transport=polling&note=50%;x", origin)
			require.Equal(t, http.StatusOK, res.StatusCode, "%s from %s", path, origin)
			require.Equal(t, origin, res.Header.Get("Access-Control-Allow-Origin"))
			res = get(http.MethodOptions, path+"?EIO=4&transport=polling", origin)
			require.Equal(t, http.StatusNoContent, res.StatusCode)
			require.Equal(t, origin, res.Header.Get("Access-Control-Allow-Origin"))
		}
		for _, origins := range [][]string{{"https://evil.example.org"}, {app, "https://evil.example.org"}, {app, app}, {"file:"}, {"NULL"}} {
			res := get(http.MethodGet, path+"?EIO=4&transport=polling", origins...)
			require.Equal(t, http.StatusForbidden, res.StatusCode, "%s from %q", path, origins)
		}
	}
	for _, path := range []string{"/ws", "/ws/", "/socket.io?EIO=4&transport=websocket", "/socket.io/?EIO=4&transport=websocket"} {
		for status, origins := range map[int][]string{http.StatusSwitchingProtocols: {"null"}, http.StatusForbidden: {app, app}} {
			conn, res, err := websocket.Dial(t.Context(), "ws://"+m.addr+path, &websocket.DialOptions{
				HTTPHeader: http.Header{"Origin": origins}, Subprotocols: []string{"app", "json"},
			})
			require.Equal(t, status, res.StatusCode, "%s from %q", path, origins)
			if err == nil {
				require.Equal(t, "app", conn.Subprotocol(), path)
				_ = conn.CloseNow()
			}
		}
	}
	require.Equal(t, http.StatusMethodNotAllowed, get(http.MethodPost, "/ws/").StatusCode)
	for _, path := range []string{"/", "/ws/x", "/socket.io/x", "//socket.io/", "/x/../ws"} {
		require.Equal(t, http.StatusNotFound, get(http.MethodGet, path).StatusCode, path)
	}
	c := m.newClient(m.dial("/ws/?note=50%;&token="+tokenFor(t, "ann", "", time.Hour), nil), false)
	c.greeted()
}

// No event takes binary: whoever sends a Buffer is told so, and told which field it was in. Nothing is stored.
func TestBinaryIsRefused(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.chat.add("c1", "ann", "bob")
	ann, bob := m.socketIO("ann", ""), m.plain("bob", "")
	const holder = `{"_placeholder":true,"num":0}`
	attach := func(packet string) {
		ann.write(packet)
		require.NoError(t, ann.conn.Write(t.Context(), websocket.MessageBinary, make([]byte, 100_000)))
	}
	id := 0
	for event, c := range map[string]struct{ data, field string }{
		"message:new":        {`{"chatId":"c1","encryptedContent":"x","metadata":{"thumb":` + holder + `}}`, "metadata"},
		"message:edit":       {`{"chatId":"c1","messageId":"m","encryptedContent":` + holder + `}`, "encryptedContent"},
		"call:ice-candidate": {`{"callId":"k","candidate":[{"candidate":` + holder + `}]}`, "candidate"},
		"chat:join":          {holder, ""},
		"presence:update":    {`["no object",` + holder + `]`, ""},
		"message:typing":     {`{"chatId":"c1","x":"\ud83d","x":` + holder + `}`, "x"},
	} {
		id++
		attach("451-" + strconv.Itoa(id) + `["` + event + `",` + c.data + `]`)
		g := ann.next()
		require.Equal(t, strconv.Itoa(id), g.ack, event)
		var f proto.Failure
		g.into(t, &f)
		require.Equal(t, proto.InvalidPayload, f.Code, event)
		require.False(t, f.Retryable, event)
		if event == "chat:join" {
			c.field = "" // a placeholder in the payload's own place is in no field
		}
		require.Equal(t, c.field, f.Field, event)
		require.NotEmpty(t, f.RequestID)
	}
	attach(`451-["message:new",{"chatId":"c1","tempId":"t1","metadata":` + holder + `}]`)
	g := ann.next()
	require.Equal(t, "error", g.event, "an event without an ack id is answered too")
	var e proto.ErrorEvent
	g.into(t, &e)
	require.Equal(t, proto.ErrorEvent{
		Message: e.Message, Code: proto.InvalidPayload, Event: "message:new", Field: "metadata", TempID: "t1", RequestID: e.RequestID,
	}, e)
	attach(`451-99["no:such-event",` + holder + `]`)
	g = ann.next()
	require.Equal(t, proto.UnknownEvent, g.code(t))
	g = ann.ask("message:new", `{"chatId":"c1","encryptedContent":"text","metadata":`+holder+`}`)
	require.Equal(t, "true", field(t, g.data, "success"), "without an attachment it is JSON like any other")
	text, seq := bob.message()
	require.Equal(t, "text", text)
	require.EqualValues(t, 1, seq)
	bob.quiet()
}

// What drips or stops ends, and costs no token: bodies of clients and of backends, and headers.
func TestSlowRequestsEnd(t *testing.T) {
	t.Parallel()
	m := runMesh(t, func(c *Config) { c.ReadTimeout = 300 * time.Millisecond })
	admin, err := m.svc.AdminAddr(t.Context())
	require.NoError(t, err)
	res, err := http.Get("http://" + m.addr + "/socket.io/?EIO=4&transport=polling")
	require.NoError(t, err)
	open, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	var hello struct{ SID string }
	require.NoError(t, json.Unmarshal(open[1:], &hello))
	body := " HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n4"
	for name, c := range map[string]struct{ addr, sent string }{
		"polling body":             {m.addr, "POST /socket.io/?EIO=4&transport=polling&sid=" + hello.SID + body},
		"polling body, no session": {m.addr, "POST /socket.io/?EIO=4&transport=polling&sid=x" + body},
		"handshake with a body":    {m.addr, "GET /socket.io/?EIO=4&transport=polling" + body},
		"no such path":             {m.addr, "POST /" + body},
		"admin body, no token":     {admin, "PUT /v1/chats/c" + body},
		"admin body":               {admin, "PUT /v1/chats/c HTTP/1.1\r\nAuthorization: Bearer " + adminToken + "\r\nHost: x\r\nContent-Length: 100000\r\n\r\n{"},
		"header":                   {m.addr, "GET /ws HTTP/1.1\r\nHost: x\r\nX-"},
		"admin header":             {admin, "GET /openapi.json HTTP/1.1\r\nHost: x\r\nX-"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", c.addr)
			require.NoError(t, err)
			defer conn.Close()
			require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
			_, err = io.WriteString(conn, c.sent)
			require.NoError(t, err)
			ended := make(chan error, 1)
			go func() {
				_, err := io.Copy(io.Discard, conn)
				ended <- err
			}()
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case err := <-ended:
					var slow net.Error
					if errors.As(err, &slow) {
						require.False(t, slow.Timeout(), "it is still open")
					}
					return
				case <-tick.C:
					_, _ = conn.Write([]byte("x"))
				}
			}
		})
	}
}
