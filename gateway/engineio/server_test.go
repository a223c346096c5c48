package engineio_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"supmesh.dev/gateway/engineio"
	"supmesh.dev/gateway/wsconn"
)

// patience is how long a test waits for something that should happen soon.
const patience = 30 * time.Second

// echo sends every message back and tells the test what became of its sessions.
type echo struct {
	opened chan *engineio.Session
	closed chan engineio.Reason
	// onMessage, if set, is called instead of echoing.
	onMessage func(s *engineio.Session, binary bool, data []byte)
}

func newEcho() *echo {
	return &echo{opened: make(chan *engineio.Session, 5000), closed: make(chan engineio.Reason, 5000)}
}

func (e *echo) Open(s *engineio.Session) { e.opened <- s }

func (e *echo) Message(s *engineio.Session, binary bool, data []byte) {
	switch {
	case e.onMessage != nil:
		e.onMessage(s, binary, data)
	case binary:
		_ = s.Send(wsconn.Binary(data))
	default:
		_ = s.Send(text(string(data)))
	}
}

func (e *echo) Closed(_ *engineio.Session, reason engineio.Reason) { e.closed <- reason }

func text(data string) *wsconn.Frame { return wsconn.Text([]byte("4" + data)) }

// server is an Engine.IO server under test.
type server struct {
	t      *testing.T
	engine *engineio.Server
	echo   *echo
	url    string // of the endpoint, without query
	client *http.Client
	stop   func()
}

func start(t *testing.T, cfg engineio.Config) *server {
	t.Helper()
	return startWith(t, cfg, wsconn.Config{})
}

func startWith(t *testing.T, cfg engineio.Config, connCfg wsconn.Config) *server {
	t.Helper()
	conns, err := wsconn.New(connCfg)
	require.NoError(t, err)
	h := newEcho()
	engine := engineio.NewServer(cfg, conns, h)
	stopConns, stopEngine := background(conns.Run), background(engine.Run)
	web := httptest.NewServer(engine)
	client := &http.Client{Transport: &http.Transport{}}
	s := &server{t: t, engine: engine, echo: h, url: web.URL + "/socket.io/", client: client}
	s.stop = sync.OnceFunc(func() {
		stopEngine()
		stopConns()
		client.CloseIdleConnections()
		web.CloseClientConnections()
		web.Close()
	})
	t.Cleanup(s.stop)
	return s
}

func background(run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

// reply is an HTTP response, read to its end.
type reply struct {
	status int
	header http.Header
	body   string
}

func (s *server) do(method, query, body string, header ...string) reply {
	s.t.Helper()
	r, err := s.request(context.Background(), method, query, body, header...)
	require.NoError(s.t, err)
	return r
}

func (s *server) request(ctx context.Context, method, query, body string, header ...string) (reply, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.url+"?"+query, bytes.NewReader([]byte(body)))
	if err != nil {
		return reply{}, err
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := s.client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = res.Body.Close() }()
	content, err := io.ReadAll(res.Body)
	return reply{status: res.StatusCode, header: res.Header, body: string(content)}, err
}

// openPacket is what the server announces at the start of a session.
type openPacket struct {
	SID          string   `json:"sid"`
	Upgrades     []string `json:"upgrades"`
	PingInterval int      `json:"pingInterval"`
	PingTimeout  int      `json:"pingTimeout"`
	MaxPayload   int      `json:"maxPayload"`
}

func parseOpen(t *testing.T, packet string) openPacket {
	t.Helper()
	require.True(t, strings.HasPrefix(packet, "0{"), packet)
	var open openPacket
	decoder := json.NewDecoder(strings.NewReader(packet[1:]))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(&open))
	return open
}

// session is a polling session of a test.
type session struct {
	*server
	sid   string
	query string
}

func (s *server) openPolling() session {
	s.t.Helper()
	r := s.do(http.MethodGet, "EIO=4&transport=polling", "")
	require.Equal(s.t, http.StatusOK, r.status, r.body)
	sid := parseOpen(s.t, r.body).SID
	return session{server: s, sid: sid, query: "EIO=4&transport=polling&sid=" + sid}
}

func (s session) poll() reply { s.t.Helper(); return s.do(http.MethodGet, s.query, "") }

func (s session) post(body string) reply { s.t.Helper(); return s.do(http.MethodPost, s.query, body) }

// pollBeside polls in the background and returns when the server holds the poll.
func (s session) pollBeside(ctx context.Context) <-chan reply {
	s.t.Helper()
	answered := make(chan reply, 1)
	go func() {
		r, err := s.request(ctx, http.MethodGet, s.query, "")
		if err != nil {
			r.body = err.Error()
		}
		answered <- r
	}()
	s.eventually("the poll is held", func() bool { return engineio.PollPending(s.engine, s.sid) })
	return answered
}

func (s *server) eventually(why string, condition func() bool) {
	s.t.Helper()
	require.Eventually(s.t, condition, patience, 2*time.Millisecond, why)
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

// peer is the client's end of a websocket.
type peer struct {
	t *testing.T
	*websocket.Conn
}

func (s *server) dial(query string) peer {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, res, err := websocket.Dial(ctx, s.url+"?"+query, &websocket.DialOptions{HTTPClient: s.client})
	require.NoError(s.t, err)
	if res.Body != nil {
		_ = res.Body.Close()
	}
	conn.SetReadLimit(8 << 20)
	s.t.Cleanup(func() { _ = conn.CloseNow() })
	return peer{s.t, conn}
}

func (s *server) dialSession() peer {
	s.t.Helper()
	p := s.dial("EIO=4&transport=websocket")
	parseOpen(s.t, p.next())
	return p
}

func (p peer) send(message string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(p.t, p.Write(ctx, websocket.MessageText, []byte(message)))
}

func (p peer) next() string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, data, err := p.Read(ctx)
	require.NoError(p.t, err)
	return string(data)
}

// ends waits for the connection's end, passing over what still comes, and returns the close code, -1 if there was none.
func (p peer) ends() websocket.StatusCode {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		if _, _, err := p.Read(ctx); err != nil {
			require.NoError(p.t, ctx.Err(), "the connection stays open")
			return websocket.CloseStatus(err)
		}
	}
}

func (s *server) rawConn() net.Conn {
	s.t.Helper()
	address := strings.TrimSuffix(strings.TrimPrefix(s.url, "http://"), "/socket.io/")
	conn, err := net.DialTimeout("tcp", address, patience)
	require.NoError(s.t, err)
	require.NoError(s.t, conn.SetDeadline(time.Now().Add(patience)))
	s.t.Cleanup(func() { _ = conn.Close() })
	return conn
}
