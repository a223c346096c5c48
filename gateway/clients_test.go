package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
)

const testSecret = "0123456789abcdef0123456789abcdef"

// mesh is a gateway, its chat and presence services, NATS and Redis.
type mesh struct {
	t        testing.TB
	nats     *servicestest.NATS
	redis    *servicestest.Redis
	chat     *chatService
	presence *presenceService
	svc      *Service
	host     *services.Host
	addr     string
	stop     func() error
	tune     func(*Service)
}

func testConfig() Config {
	return Config{
		Host: "127.0.0.1", AdminHost: "127.0.0.1", JWTSecret: testSecret, JWTAlgorithms: []string{"HS256"},
		AdminToken: "admin-token-of-the-tests", PingInterval: 25000, PingTimeout: 60000, MaxPayload: 1 << 20, MaxQueue: 1 << 20,
		MaxIdle: 1800000, ConnectTimeout: 45 * time.Second, AuthTimeout: 10 * time.Second, SweepEvery: time.Hour, ConnectionWindow: 60000, MaxConnections: 1000, AdmitRate: 10000, DrainRate: 1000, DrainNotice: 10 * time.Millisecond,
		RateLimits: "message:new=100000/1s", Poller: true,
		ReadTimeout: 10 * time.Second, MinReadRate: 512,
	}
}

func runMesh(tb testing.TB, change ...func(*Config)) *mesh {
	tb.Helper()
	return runTuned(tb, nil, change...)
}

// runTuned is runMesh with a gateway that was changed before it runs.
func runTuned(tb testing.TB, tune func(*Service), change ...func(*Config)) *mesh {
	tb.Helper()
	m := &mesh{t: tb, nats: servicestest.RunNATS(tb), redis: servicestest.RunRedis(tb), tune: tune}
	m.chat = runChat(tb, m.nats, m.redis)
	m.presence = runPresence(tb, m.nats, m.redis)
	m.chat.presence = m.presence
	m.runGateway(change...)
	return m
}

func (m *mesh) runGateway(change ...func(*Config)) {
	m.t.Helper()
	cfg := testConfig()
	for _, fn := range change {
		fn(&cfg)
	}
	cfg.Config = servicestest.Config(m.nats, m.redis)
	m.host = servicestest.NewHostWith(m.t, "gateway", cfg.Config)
	svc, err := New(cfg, m.host)
	require.NoError(m.t, err)
	svc.announcer.every = shortLease
	if m.tune != nil {
		m.tune(svc)
	}
	m.svc = svc
	m.stop = servicestest.Run(m.t, m.host, svc)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	m.addr, err = svc.Addr(ctx)
	require.NoError(m.t, err)
}

func tokenFor(tb testing.TB, user, device string, lifetime time.Duration) string {
	tb.Helper()
	claims := jwt.MapClaims{"userId": user, "type": "access", "name": "Name of " + user, "iat": time.Now().Unix(), "exp": float64(time.Now().Add(lifetime).UnixMilli()) / 1000}
	if device != "" {
		claims["deviceId"] = device
	}
	s, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(testSecret))
	require.NoError(tb, err)
	return s
}

// got is one server event or ack, in whichever profile.
type got struct {
	event  string
	ack    string
	offset string
	data   json.RawMessage
}

func (g *got) into(tb testing.TB, v any) {
	tb.Helper()
	require.NoError(tb, json.Unmarshal(g.data, v), "%s", g.data)
}

func (g *got) code(tb testing.TB) proto.Code {
	tb.Helper()
	var f proto.Failure
	g.into(tb, &f)
	return f.Code
}

// client is a client of either profile.
type client struct {
	t      testing.TB
	conn   *websocket.Conn
	socket bool // Socket.IO
	in     chan *got
	ended  chan struct{}
	err    error // why it ended
	acks   int
	hello  proto.Connected
	offset string
	mesh   *mesh
}

// state is what the gateway knows, for when a test waits in vain.
func (m *mesh) state() string {
	var b strings.Builder
	for _, t := range append(all(&m.svc.hub.chats), all(&m.svc.hub.users)...) {
		t.mu.Lock()
		fmt.Fprintf(&b, "topic %s%s seq %d applied %d tracks %+v\n", t.chat, t.token, t.seq, t.applied, t.tracks)
		for _, x := range t.members {
			fmt.Fprintf(&b, "  %s from %d owed %+v queued %d\n", x.session.id, x.from, x.owed, x.session.peer.queued())
		}
		t.mu.Unlock()
	}
	fmt.Fprintf(&b, "live waiting %d, repairs waiting %d\n", m.svc.store.backlog(), m.svc.repairs.waiting())
	return b.String()
}

const patience = 30 * time.Second

func (m *mesh) dial(path string, header http.Header) *websocket.Conn {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, "ws://"+m.addr+path, &websocket.DialOptions{HTTPHeader: header})
	require.NoError(m.t, err)
	conn.SetReadLimit(8 << 20)
	m.t.Cleanup(func() { _ = conn.CloseNow() })
	return conn
}

func (m *mesh) newClient(conn *websocket.Conn, socket bool) *client {
	c := &client{mesh: m, t: m.t, conn: conn, socket: socket, in: make(chan *got, 20000), ended: make(chan struct{})}
	go c.read()
	m.t.Cleanup(func() { _ = conn.CloseNow(); <-c.ended })
	return c
}

// plain connects a client of the plain profile, with its token in the query.
func (m *mesh) plain(user, device string) *client {
	m.t.Helper()
	c := m.newClient(m.dial("/ws?token="+tokenFor(m.t, user, device, time.Hour), nil), false)
	c.greeted()
	return c
}

// socketIO connects a client of the Socket.IO profile over a websocket.
func (m *mesh) socketIO(user, device string) *client {
	m.t.Helper()
	c := m.newClient(m.dial("/socket.io/?EIO=4&transport=websocket", nil), true)
	c.write(`40{"token":"` + tokenFor(m.t, user, device, time.Hour) + `"}`)
	c.greeted()
	return c
}

func (c *client) greeted() {
	c.t.Helper()
	g := c.next()
	require.Equal(c.t, "connected", g.event, "%s", g.data)
	g.into(c.t, &c.hello)
	c.offset = g.offset
	require.Len(c.t, g.offset, 22)
}

func (c *client) read() {
	defer close(c.ended)
	for {
		_, data, err := c.conn.Read(context.Background())
		if err != nil {
			c.err = err
			return
		}
		if g, ok := c.parse(data); ok {
			c.in <- &g
		}
	}
}

func (c *client) parse(data []byte) (got, bool) {
	if !c.socket {
		var f struct {
			Event  string          `json:"event"`
			Ack    json.RawMessage `json:"ack"`
			Offset string          `json:"offset"`
			Data   json.RawMessage `json:"data"`
		}
		if json.Unmarshal(data, &f) != nil {
			return got{event: "?" + string(data)}, true
		}
		return got{event: f.Event, ack: string(f.Ack), offset: f.Offset, data: f.Data}, true
	}
	text := string(data)
	switch {
	case text == "2":
		_ = c.conn.Write(context.Background(), websocket.MessageText, []byte("3"))
		return got{}, false
	case strings.HasPrefix(text, "0"), strings.HasPrefix(text, "40"):
		return got{}, false
	case strings.HasPrefix(text, "41"):
		return got{event: "disconnect packet"}, true
	case strings.HasPrefix(text, "44"):
		return got{event: "connect_error", data: json.RawMessage(text[2:])}, true
	case strings.HasPrefix(text, "42"):
		var args []json.RawMessage
		if json.Unmarshal(data[2:], &args) != nil || len(args) < 2 {
			return got{event: "?" + text}, true
		}
		g := got{data: args[1]}
		_ = json.Unmarshal(args[0], &g.event)
		if len(args) > 2 {
			_ = json.Unmarshal(args[2], &g.offset)
		}
		return g, true
	case strings.HasPrefix(text, "43"):
		at := strings.IndexByte(text, '[')
		return got{ack: text[2:at], data: json.RawMessage(text[at+1 : len(text)-1])}, true
	}
	return got{event: "?" + text}, true
}

func (c *client) write(text string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(c.t, c.conn.Write(ctx, websocket.MessageText, []byte(text)))
}

// emit sends an event and returns its ack id.
func (c *client) emit(event, data string) string {
	c.t.Helper()
	c.acks++
	id := strconv.Itoa(c.acks)
	if c.socket {
		if data != "" {
			data = "," + data
		}
		c.write("42" + id + `["` + event + `"` + data + `]`)
		return id
	}
	if data == "" {
		data = "null"
	}
	c.write(`{"event":"` + event + `","data":` + data + `,"ack":` + id + `}`)
	return id
}

// emitOnly sends an event that wants no ack.
func (c *client) emitOnly(event, data string) {
	c.t.Helper()
	if c.socket {
		c.write(`42["` + event + `",` + data + `]`)
		return
	}
	c.write(`{"event":"` + event + `","data":` + data + `}`)
}

func (c *client) next() got {
	c.t.Helper()
	select {
	case g := <-c.in:
		return *g
	default:
	}
	select {
	case g := <-c.in:
		return *g
	case <-c.ended:
		select {
		case g := <-c.in:
			return *g
		default:
		}
		require.FailNow(c.t, "the connection ended", "%v", c.err)
	case <-time.After(patience):
		require.FailNow(c.t, "nothing came", "%s\n%s", c.hello.SocketID, c.mesh.state())
	}
	return got{}
}

// ask sends an event and gives its ack; other frames must not come before it.
func (c *client) ask(event, data string) got {
	c.t.Helper()
	id := c.emit(event, data)
	g := c.next()
	require.Equal(c.t, id, g.ack, "%s %s", g.event, g.data)
	return g
}

// message is the next frame, which must be a message:new.
func (c *client) message() (text string, seq uint64) {
	c.t.Helper()
	g := c.next()
	require.Equal(c.t, "message:new", g.event, "%s", g.data)
	require.Len(c.t, g.offset, 22)
	var m proto.NewMessage
	g.into(c.t, &m)
	return m.Message.EncryptedContent, m.Message.Seq
}

// quiet makes sure that nothing has come and nothing is on its way: what the
// gateway had for this client before the answer to this question is here.
func (c *client) quiet() {
	c.t.Helper()
	g := c.ask("pong", "")
	require.JSONEq(c.t, `true`, field(c.t, g.data, "success"))
}

func field(tb testing.TB, data json.RawMessage, name string) string {
	tb.Helper()
	var m map[string]json.RawMessage
	require.NoError(tb, json.Unmarshal(data, &m), "%s", data)
	return string(m[name])
}

// closed waits for the end and gives the close code, -1 for none.
func (c *client) closed() int {
	c.t.Helper()
	select {
	case <-c.ended:
		return int(websocket.CloseStatus(c.err))
	case <-time.After(patience):
		require.FailNow(c.t, "the connection did not end")
	}
	return 0
}
