package gateway

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

// leaver is a client that sends events, wants no answer, and goes.
type leaver struct {
	name  string
	leave func(m *mesh, user string, events []string) // events: `["name",data]`
}

// tcp connects a websocket and gives the socket below it.
func (m *mesh) tcp(path string) (*websocket.Conn, *net.TCPConn) {
	m.t.Helper()
	var below net.Conn
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (nc net.Conn, err error) {
		below, err = new(net.Dialer).DialContext(ctx, network, address)
		return below, err
	}}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, "ws://"+m.addr+path, &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
	require.NoError(m.t, err)
	return conn, below.(*net.TCPConn) //nolint:forcetypeassert // dialled as TCP
}

// onWebsocket sends the events, and a marker behind them if read is set, whose ack says
// that the gateway has read all; then it goes by end.
func onWebsocket(socket, read bool, end func(c *client, below *net.TCPConn)) func(*mesh, string, []string) {
	return func(m *mesh, user string, events []string) {
		path := "/ws?token=" + tokenFor(m.t, user, "", time.Hour)
		if socket {
			path = "/socket.io/?EIO=4&transport=websocket"
		}
		conn, below := m.tcp(path)
		c := m.newClient(conn, socket)
		if socket {
			c.write(`40{"token":"` + tokenFor(m.t, user, "", time.Hour) + `"}`)
		}
		c.greeted()
		for _, e := range events {
			name, data, _ := strings.Cut(strings.Trim(e, "[]"), ",")
			c.emitOnly(strings.Trim(name, `"`), data)
		}
		if read {
			c.quiet()
		}
		end(c, below)
	}
}

// byPolling sends the events and what ends the session in one body; with an empty end it
// cancels its poll instead.
func byPolling(end string) func(*mesh, string, []string) {
	return func(m *mesh, user string, events []string) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		do := func(method, query, body string) string {
			req, err := http.NewRequestWithContext(ctx, method, "http://"+m.addr+"/socket.io/?EIO=4&transport=polling"+query, strings.NewReader(body))
			require.NoError(m.t, err)
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				return err.Error()
			}
			defer func() { _ = res.Body.Close() }()
			text, _ := io.ReadAll(res.Body)
			return string(text)
		}
		open := do(http.MethodGet, "", "")
		sid := "&sid=" + field(m.t, []byte(open[1:]), "sid")
		sid = strings.ReplaceAll(sid, `"`, "")
		require.Equal(m.t, "ok", do(http.MethodPost, sid, `40{"token":"`+tokenFor(m.t, user, "", time.Hour)+`"}`))
		for got := ""; !strings.Contains(got, `["connected"`); {
			got += do(http.MethodGet, sid, "")
		}
		var body []string
		for _, e := range events {
			body = append(body, "42"+e)
		}
		if end != "" {
			require.Equal(m.t, "ok", do(http.MethodPost, sid, strings.Join(append(body, end), "\x1e")))
			return
		}
		asked, polled := make(chan struct{}, 1), make(chan string, 1)
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) {
			select {
			case asked <- struct{}{}:
			default:
			}
		}})
		go func() { polled <- do(http.MethodGet, sid, "") }()
		<-asked
		require.Equal(m.t, "ok", do(http.MethodPost, sid, strings.Join(body, "\x1e")))
		cancel()
		<-polled
	}
}

func packet(text string) func(*client, *net.TCPConn) {
	return func(c *client, _ *net.TCPConn) { c.write(text) }
}
func closeFrame(c *client, _ *net.TCPConn) { _ = c.conn.Close(websocket.StatusNormalClosure, "") }
func fin(_ *client, below *net.TCPConn)    { _ = below.CloseWrite() }
func hangUp(_ *client, below *net.TCPConn) { _ = below.Close() }
func reset(_ *client, below *net.TCPConn)  { _ = below.SetLinger(0); _ = below.Close() }
func eventOf(name, data string) string     { return `["` + name + `",` + data + `]` }
func messageOf(chat string, n int) string {
	return eventOf("message:new", fmt.Sprintf(`{"chatId":"%s","encryptedContent":"%d"}`, chat, n))
}

// inNoHurry gives requests more time than a busy machine needs to get to the end of a test.
func inNoHurry(svc *Service) {
	for _, r := range svc.events {
		r.row.Timeout = 5 * time.Minute
	}
}

// stall has chat hold up all sends until release is closed.
func (m *mesh) stall() (release chan struct{}) {
	release = make(chan struct{})
	m.chat.with(func() { m.chat.slow = release })
	return release
}

// firsts leaves out what has come before: a request that is held up for long is repeated,
// and most services of these tests carry out the repeat too.
func firsts(all []string) []string {
	var out []string
	for _, s := range all {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// contents is what a chat holds, oldest first.
func (c *chatService) contents(chat string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []string
	for _, item := range c.chat(chat).messages {
		all = append(all, field(c.t, []byte(field(c.t, item.Body, "message")), "encryptedContent"))
	}
	return strings.ReplaceAll(strings.Join(all, " "), `"`, "")
}

func (m *mesh) leavers(n int64) {
	m.t.Helper()
	servicestest.Eventually(m.t, patience, "connections that have left and are still busy", func() bool {
		return m.svc.hub.empty() && m.svc.leaving.sessions.Load() == n
	})
}

// TestWhatWasReadIsCarriedOut: clients of every transport send five messages and go, in
// every way in which one can go, while chat holds up the first. All five are stored.
func TestWhatWasReadIsCarriedOut(t *testing.T) {
	t.Parallel()
	m := runTuned(t, inNoHurry)
	release := m.stall()
	all := []leaver{
		{"polling, DISCONNECT", byPolling("41")},
		{"polling, CLOSE", byPolling("1")},
		{"polling, both", byPolling("41\x1e1")},
		{"polling, the poll is cancelled", byPolling("")},
		{"websocket, DISCONNECT", onWebsocket(true, false, packet("41"))},
		{"websocket, CLOSE", onWebsocket(true, false, packet("1"))},
		{"websocket, close frame", onWebsocket(true, false, closeFrame)},
		{"websocket, FIN", onWebsocket(true, false, fin)},
		{"websocket, closed socket", onWebsocket(true, false, hangUp)},
		{"websocket, RST", onWebsocket(true, true, reset)},
		{"plain, close frame", onWebsocket(false, false, closeFrame)},
		{"plain, FIN", onWebsocket(false, false, fin)},
		{"plain, closed socket", onWebsocket(false, false, hangUp)},
		{"plain, RST", onWebsocket(false, true, reset)},
	}
	for i, l := range all {
		user, chat := "u"+strconv.Itoa(i), "c"+strconv.Itoa(i)
		m.chat.add(chat, user)
		var events []string
		for n := range 5 {
			events = append(events, messageOf(chat, n))
		}
		l.leave(m, user, events)
	}
	m.leavers(int64(len(all)))
	close(release)
	m.leavers(0)
	require.Zero(t, m.svc.leaving.bytes.Load())
	for i, l := range all {
		require.Equal(t, "0 1 2 3 4", m.chat.contents("c"+strconv.Itoa(i)), l.name)
	}
}

// TestEveryLaneIsCarriedOut: not messages alone.
func TestEveryLaneIsCarriedOut(t *testing.T) {
	t.Parallel()
	m := runTuned(t, inNoHurry)
	service := m.nats.Connect()
	var mu sync.Mutex
	var got []string
	release := m.stall()
	events := map[string]string{}
	for _, row := range []proto.Row{proto.MarkDelivered.Row, proto.MarkRead.Row, proto.AddReaction.Row, proto.ReadNotifications.Row} {
		events[row.Event] = row.Subject
		_, err := service.Subscribe(row.Subject, func(msg *nats.Msg) {
			<-release
			mu.Lock()
			defer mu.Unlock()
			got = append(got, row.Event+" "+string(msg.Data))
			_ = msg.Respond([]byte(`{"success":true}`))
		})
		require.NoError(t, err)
	}
	require.NoError(t, service.Flush())
	for i, leave := range []func(*mesh, string, []string){byPolling("41"), onWebsocket(true, false, packet("41")), onWebsocket(false, false, fin)} {
		var all []string
		for event := range events {
			for n := range 2 {
				all = append(all, eventOf(event, fmt.Sprintf(`{"client":%d,"n":%d}`, i, n)))
			}
		}
		leave(m, "u"+strconv.Itoa(i), all)
	}
	m.leavers(3)
	close(release)
	m.leavers(0)
	mu.Lock()
	defer mu.Unlock()
	counts := map[string]int{}
	for _, request := range firsts(got) {
		event, _, _ := strings.Cut(request, " ")
		counts[event]++
	}
	for event := range events {
		require.Equal(t, 6, counts[event], event)
	}
}

// TestEndIsReportedBehindTheLane: signaling hears of the end of a connection after the
// events of calls that it sent, and presence after the status that it set.
func TestEndIsReportedBehindTheLane(t *testing.T) {
	t.Parallel()
	m := runTuned(t, inNoHurry)
	s := runSignaling(m)
	release := make(chan struct{})
	var mu sync.Mutex
	var early []string
	s.with(func() {
		s.acting = func(event, _ string) {
			<-release
			mu.Lock()
			defer mu.Unlock()
			if len(s.left()) > 0 {
				early = append(early, event)
			}
		}
	})
	m.presence.with(func() {
		m.presence.updating = func() {
			<-release
			mu.Lock()
			defer mu.Unlock()
			m.presence.with(func() {
				if len(m.presence.closed) > 0 {
					early = append(early, "presence:update")
				}
			})
		}
	})
	c := m.socketIO("ann", "phone")
	for _, event := range [][2]string{
		{"call:initiate", initiate}, {"call:ice-candidate", offers}, {"call:end", `{"callId":"c1"}`},
		{"presence:update", `{"status":"away"}`}, {"presence:update", `{"status":"busy"}`},
	} {
		c.emitOnly(event[0], event[1])
	}
	c.write("41")
	m.leavers(1)
	close(release)
	m.leavers(0)
	servicestest.Eventually(t, patience, "both hear of the end", func() bool {
		closed := 0
		m.presence.with(func() { closed = len(m.presence.closed) })
		return len(s.left()) == 1 && closed == 1
	})
	require.Empty(t, early)
	s.with(func() { require.Equal(t, []string{"call:initiate", "call:ice-candidate", "call:end"}, firsts(s.seen)) })
	m.presence.with(func() { require.True(t, m.presence.closed[0].Final) })
}

// TestDrainWaitsForThoseWhoLeft: a stop ends behind the requests of connections that have
// ended, whether any connection is open or not.
func TestDrainWaitsForThoseWhoLeft(t *testing.T) {
	t.Parallel()
	m := runTuned(t, inNoHurry)
	m.chat.add("c1", "ann")
	release := m.stall()
	onWebsocket(true, false, packet("41"))(m, "ann", []string{messageOf("c1", 0), messageOf("c1", 1), messageOf("c1", 2)})
	m.leavers(1)
	stopped := make(chan error, 1)
	go func() { stopped <- m.stop() }()
	servicestest.Eventually(t, patience, "the drain begins", m.svc.admission.draining.Load)
	close(release)
	require.NoError(t, <-stopped)
	require.Equal(t, "0 1 2", m.chat.contents("c1"))
}

// TestDroppedQueues: the queue of a connection is dropped when its user may do nothing
// more, or when those who left hold too much. The request under way ends.
func TestDroppedQueues(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*mesh, *client){
		"revoked": func(m *mesh, c *client) {
			m.svc.hub.everyone()[0].close(proto.CloseRevoked)
			c.closed()
		},
		"full": func(m *mesh, c *client) {
			m.svc.leaving.bytes.Store(maxLeavingBytes)
			c.write("41")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := runTuned(t, inNoHurry)
			m.chat.add("c1", "ann")
			release := m.stall()
			c := m.socketIO("ann", "")
			for n := range 3 {
				c.emitOnly("message:new", fmt.Sprintf(`{"chatId":"c1","encryptedContent":"%d"}`, n))
			}
			c.quiet()
			before := m.svc.leaving.bytes.Load()
			end(m, c)
			m.leavers(1)
			close(release)
			m.leavers(0)
			require.Equal(t, "0", m.chat.contents("c1"))
			if name == "full" {
				before = maxLeavingBytes
			}
			require.Equal(t, before, m.svc.leaving.bytes.Load())
		})
	}
}
