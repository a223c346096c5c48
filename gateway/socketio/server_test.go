package socketio_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"supmesh.dev/gateway/engineio"
	"supmesh.dev/gateway/socketio"
	"supmesh.dev/gateway/socketio/internal/echo"
)

// patience is how long a test waits for something that should happen soon.
const patience = 30 * time.Second

// calls is a handler that echoes and writes down what is called, in order.
type calls struct {
	echo.Handler
	log     chan string
	sockets chan *socketio.Socket
	// connect, if set, decides instead of the echo handler.
	connect func(s *socketio.Socket, auth []byte) ([]byte, error)
}

func newCalls() *calls {
	return &calls{log: make(chan string, 1000), sockets: make(chan *socketio.Socket, 1000)}
}

func (c *calls) Connect(s *socketio.Socket, auth []byte) ([]byte, error) {
	c.log <- "connect " + s.Namespace() + string(auth)
	if c.connect != nil {
		s.SetUserData([]byte("{}"))
		return c.connect(s, auth)
	}
	return c.Handler.Connect(s, auth)
}

func (c *calls) Connected(s *socketio.Socket) {
	c.log <- "connected " + s.Namespace()
	c.sockets <- s
}

func (c *calls) Event(s *socketio.Socket, e socketio.Event) {
	c.log <- "event " + e.Name + string(e.Data)
	c.Handler.Event(s, e)
}

func (c *calls) Ack(s *socketio.Socket, a socketio.Ack) {
	if a.Err != nil {
		c.log <- "ack error " + a.Err.Error()
		return
	}
	c.log <- "ack " + string(a.Args)
}

func (c *calls) Disconnected(s *socketio.Socket, reason socketio.Reason) {
	c.log <- "disconnected " + s.Namespace() + " " + string(reason)
}

func (c *calls) expect(t *testing.T, want ...string) {
	t.Helper()
	for _, line := range want {
		require.Equal(t, line, receive(t, c.log, line))
	}
}

func receive[T any](t *testing.T, from <-chan T, why string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		require.FailNow(t, "timed out waiting for "+why)
		panic("unreachable")
	}
}

type server struct {
	t *testing.T
	*echo.Server
	calls *calls
}

func start(t *testing.T, cfg socketio.Config) server {
	t.Helper()
	if cfg.Namespaces == nil {
		cfg.Namespaces = []string{"/", "/custom"}
	}
	return startWith(t, cfg, func(c *calls) socketio.Handler { return c })
}

// startWith is start with a handler that stands before the calls.
func startWith(t *testing.T, cfg socketio.Config, before func(*calls) socketio.Handler) server {
	t.Helper()
	c := newCalls()
	sockets := socketio.NewServer(cfg, before(c))
	s, err := echo.StartEngine(echo.Config{EngineIO: engineio.Config{PingInterval: time.Minute}}, sockets, sockets.Run)
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	return server{t, s, c}
}

// peer is a raw websocket client.
type peer struct {
	t    *testing.T
	conn *websocket.Conn
}

func (s server) dial() peer {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, s.URL+"/socket.io/?EIO=4&transport=websocket", nil)
	require.NoError(s.t, err)
	conn.SetReadLimit(8 << 20)
	s.t.Cleanup(func() { _ = conn.CloseNow() })
	p := peer{s.t, conn}
	require.True(s.t, strings.HasPrefix(p.next(), "0{"))
	return p
}

// connect joins the root namespace and reads the answer.
func (s server) connect() peer {
	s.t.Helper()
	p := s.dial()
	p.send("40")
	require.Regexp(s.t, `^40\{"sid":"[\w-]{20}"\}$`, p.next())
	s.calls.expect(s.t, "connect /", "connected /")
	return p
}

func (p peer) send(message string) { p.write(websocket.MessageText, message) }

func (p peer) write(kind websocket.MessageType, message string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(p.t, p.conn.Write(ctx, kind, []byte(message)))
}

func (p peer) next() string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, data, err := p.conn.Read(ctx)
	require.NoError(p.t, err)
	return string(data)
}

func (p peer) ends() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		if _, _, err := p.conn.Read(ctx); err != nil {
			require.NoError(p.t, ctx.Err(), "the connection stays open")
			return
		}
	}
}

// poller is a raw polling client.
type poller struct {
	t   *testing.T
	url string
}

func (s server) openPolling() poller {
	s.t.Helper()
	p := poller{s.t, s.URL + "/socket.io/?EIO=4&transport=polling"}
	var open struct {
		SID string `json:"sid"`
	}
	require.NoError(s.t, json.Unmarshal([]byte(p.get()[1:]), &open))
	p.url += "&sid=" + open.SID
	return p
}

func (p poller) get() string { p.t.Helper(); return p.do(http.MethodGet, "") }

func (p poller) post(body string) string { p.t.Helper(); return p.do(http.MethodPost, body) }

func (p poller) do(method, body string) string {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.url, bytes.NewReader([]byte(body)))
	require.NoError(p.t, err)
	req.Close = true // no idle connection is left to leak
	res, err := http.DefaultClient.Do(req)
	require.NoError(p.t, err)
	defer func() { _ = res.Body.Close() }()
	content, err := io.ReadAll(res.Body)
	require.NoError(p.t, err)
	return string(content)
}
