package gateway

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"supmesh.dev/gateway/auth"

	"supmesh.dev/gateway/typing"
	"supmesh.dev/gateway/wsconn"
	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

// typingMesh is two gateways with ann and bob on each and cat, who does not view.
type typingMesh struct {
	*mesh
	other                *mesh
	ann, ann2, bob, bob2 *client
	cat                  *client
}

func runTyping(t *testing.T) *typingMesh {
	t.Helper()
	m := &typingMesh{mesh: runMesh(t, func(c *Config) { c.RateLimits = "off" })}
	m.other = m.another(func(c *Config) { c.RateLimits = "off" })
	m.chat.add("c1", "ann", "bob", "cat")
	m.ann, m.ann2 = m.plain("ann", "1"), m.other.socketIO("ann", "2")
	m.bob, m.bob2 = m.socketIO("bob", "1"), m.other.plain("bob", "2")
	m.cat = m.other.plain("cat", "")
	for _, c := range []*client{m.ann, m.ann2, m.bob, m.bob2} {
		c.opens("c1")
	}
	return m
}

// viewersOf a user who types: both sockets of the other one.
func (m *typingMesh) others() []*client { return []*client{m.bob, m.bob2} }

func (m *typingMesh) nobodyElse(t *testing.T) {
	t.Helper()
	for _, c := range []*client{m.ann, m.ann2, m.bob, m.bob2, m.cat} {
		c.quiet()
	}
}

func TestTypingReachesViewers(t *testing.T) {
	t.Parallel()
	m := runTyping(t)
	for _, from := range []*client{m.ann, m.ann2} {
		require.Equal(t, proto.TypingRes{ExpiresInMs: 6000}, from.types(`{"chatId":"c1","threadId":"t"}`))
		for _, c := range m.others() {
			require.Equal(t, proto.Typing{ChatID: "c1", UserID: "ann", UserName: "Name of ann", ThreadID: "t", ExpiresInMs: 6000}, c.sees("ann"))
		}
		require.True(t, from.types(`{"chatId":"c1","threadId":"t"}`).Coalesced, "within 2 s")
		m.nobodyElse(t)
		g := from.ask("message:stop-typing", `{"chatId":"c1"}`)
		require.Equal(t, `"c1"`, field(t, g.data, "chatId"))
		for _, c := range m.others() {
			require.Equal(t, "t", c.seesEnd("ann", "").ThreadID)
		}
		from.ask("message:stop-typing", `{"chatId":"c1"}`)
		m.nobodyElse(t)
	}
	// Not to strangers, not from them.
	dan := m.plain("dan", "")
	for _, event := range []string{"message:typing", "message:stop-typing"} {
		for _, chat := range []string{"c1", "no such"} {
			g := dan.ask(event, `{"chatId":"`+chat+`"}`)
			require.Equal(t, proto.ChatNotFound, g.code(t), "%s %s", event, chat)
		}
		g := dan.ask(event, `{}`)
		require.Equal(t, proto.InvalidPayload, g.code(t))
	}
	// A typist need not view.
	m.cat.types(`{"chatId":"c1"}`)
	for _, c := range []*client{m.ann, m.ann2, m.bob, m.bob2} {
		c.sees("cat")
	}
	m.nobodyElse(t)
}

func TestTypingEnds(t *testing.T) {
	t.Parallel()
	m := runTyping(t)
	see := func() {
		t.Helper()
		for _, c := range m.others() {
			c.sees("ann")
		}
	}
	end := func(reason string) {
		t.Helper()
		for _, c := range m.others() {
			c.seesEnd("ann", reason)
		}
	}
	// With the message, which comes after it; and typing again is told at once.
	for range 2 {
		require.False(t, m.ann.types(`{"chatId":"c1"}`).Coalesced)
		see()
		require.Equal(t, "true", field(t, m.ann.ask("message:new", `{"chatId":"c1","encryptedContent":"done"}`).data, "success"))
		end("sent")
		for _, c := range m.others() {
			c.message()
		}
		m.cat.message()
		m.ann2.message()
	}
	// With the chat.
	m.ann.types(`{"chatId":"c1"}`)
	see()
	m.ann.ask("chat:leave", `{"chatId":"c1"}`)
	end("left")
	// With the connection.
	m.ann2.types(`{"chatId":"c1"}`)
	see()
	_ = m.ann2.conn.CloseNow()
	end("disconnected")
	// With the membership.
	m.ann.types(`{"chatId":"c1"}`)
	see()
	m.chat.remove("c1", "ann")
	for _, c := range m.others() {
		c.seesEnd("ann", "left")
		c.left("ann")
	}
	m.cat.left("ann")
	m.ann.left("ann")
	for _, c := range []*client{m.ann, m.bob, m.bob2, m.cat} {
		c.quiet()
	}
}

// TestTypingExpires: the typist's gateway says nothing any more, and the others
// end the indicator by themselves, once.
func TestTypingExpires(t *testing.T) {
	t.Parallel()
	m := runTyping(t)
	began := time.Now()
	m.ann2.types(`{"chatId":"c1"}`)
	for _, c := range m.others() {
		c.sees("ann")
	}
	m.other.host.NATS().Close() // as if killed: no word reaches anybody
	m.bob.seesEnd("ann", "expired")
	require.GreaterOrEqual(t, time.Since(began), typing.For-500*time.Millisecond)
	m.bob.quiet()
	m.ann.quiet()
}

func TestWhoComesIsToldWhoTypes(t *testing.T) {
	t.Parallel()
	m := runTyping(t)
	m.ann.types(`{"chatId":"c1"}`)
	for _, c := range m.others() {
		c.sees("ann")
	}
	// On a gateway where the chat is open already, and on one that hears of it now.
	third := m.another()
	for _, c := range []*client{m.other.plain("bob", "3"), third.socketIO("bob", "4")} {
		id := c.emit("chat:join", `{"chatId":"c1"}`)
		var seen, acked bool
		for !seen || !acked {
			g := c.next()
			if g.ack == id {
				acked = true
				continue
			}
			require.Equal(t, "message:typing", g.event)
			var what proto.Typing
			g.into(t, &what)
			require.Equal(t, "ann", what.UserID)
			require.Positive(t, what.ExpiresInMs)
			require.LessOrEqual(t, what.ExpiresInMs, int64(6000))
			seen = true
		}
		c.quiet()
	}
	again := m.other.plain("ann", "5")
	again.opens("c1") // and not of oneself
	again.quiet()
}

func TestTypingIsNeverRefused(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.chat.add("c1", "ann", "eve", "bob")
	users := []string{"eve", "ann"}
	both(t, m, func(t *testing.T, connect func(string, string) *client) {
		bob := connect("bob", "")
		bob.opens("c1")
		user := users[0] // one each: the limit is the user's
		users = users[1:]
		ann := connect(user, "")
		for i := range 30 {
			require.Equal(t, i > 0, ann.types(`{"chatId":"c1"}`).Coalesced)
		}
		bob.sees(user)
		bob.quiet()
		_ = ann.conn.CloseNow()
		bob.seesEnd(user, "disconnected")
	})
}

// TestSlowSocketKeepsLastIndicator: typing does not close a client that does not
// read, nor fill its queue; when it reads again it gets what is so then.
func TestSlowSocketKeepsLastIndicator(t *testing.T) {
	t.Parallel()
	// No timeout of the gateway is to close a client that reads nothing for as long as the test takes.
	m := runTuned(t, func(svc *Service) {
		svc.writeTimeout = time.Hour
		require.NoError(t, svc.buildEdge())
	}, func(c *Config) { c.RateLimits, c.MaxQueue, c.PingInterval = "off", 64<<20, 3_600_000 })
	m.chat.add("c1", "ann", "bob")
	conn, below := m.tcp("/ws?token=" + tokenFor(t, "bob", "", time.Hour))
	t.Cleanup(func() { _ = conn.CloseNow() })
	conn.SetReadLimit(1 << 20)
	require.NoError(t, below.SetReadBuffer(16<<10))
	require.NoError(t, conn.Write(t.Context(), websocket.MessageText, []byte(`{"event":"chat:join","data":{"chatId":"c1"}}`)))
	m.chat.awaitViewing("c1", "bob")
	s := m.svc.hub.sessions(token(t, "bob"))[0]
	ann := m.plain("ann", "")
	big := strings.Repeat("x", 60_000)
	// More than the kernel's buffers take of it while the test goes on.
	const kernel = 4 << 20
	for s.peer.queued() < kernel+4*roomFor {
		m.chat.say("c1", "cat", big)
		ann.message()
	}
	before := s.peer.queued()
	for range 1000 {
		ann.types(`{"chatId":"c1"}`)
		ann.ask("message:stop-typing", `{"chatId":"c1"}`)
	}
	ann.types(`{"chatId":"c1","threadId":"t"}`)
	servicestest.Eventually(t, patience, "the newest is kept back", func() bool {
		m.svc.lag.mu.Lock()
		defer m.svc.lag.mu.Unlock()
		return len(m.svc.lag.waiting[s]) == 2 && m.svc.store.backlog() == 0
	})
	require.LessOrEqual(t, s.peer.queued(), before, "nothing was queued; the socket may have taken more")
	require.False(t, s.left(), "nor is it closed")

	bob := m.newClient(conn, false)
	shown := map[string][]string{} // events, by thread
	see := func(g got) {
		if g.event == "message:typing" || g.event == "message:stop-typing" {
			thread := field(t, g.data, "threadId")
			shown[thread] = append(shown[thread], g.event)
		}
	}
	for len(shown) < 2 {
		see(bob.next())
	}
	id := bob.emit("pong", "")
	for g := bob.next(); g.ack != id; g = bob.next() {
		see(g)
	}
	require.Equal(t, []string{"message:stop-typing"}, shown[""], "of 2,000 events")
	// On a slow machine the second indicator lapses, before or after it is sent.
	require.Contains(t, [][]string{
		{"message:typing"}, {"message:stop-typing"}, {"message:typing", "message:stop-typing"},
	}, shown[`"t"`])
	// The frames arrive before the look that sent them has ended.
	servicestest.Eventually(t, patience, "nobody is waiting", func() bool { return m.svc.lag.behind.Load() == 0 })
}

// TestTypingBurst: 2,000 of 10,000 members type at once, again and again, and
// 500 look on. What is published and delivered is bounded by the board.
func TestTypingBurst(t *testing.T) {
	t.Parallel()
	m := runMesh(t, func(c *Config) { c.RateLimits = "off" })
	other := m.another(func(c *Config) { c.RateLimits = "off" })
	m.chat.mu.Lock()
	room := m.chat.chat("c1")
	room.version = 1
	for i := range 10_000 {
		room.members[burstUser(i)] = 1
	}
	m.chat.mu.Unlock()
	eph := m.nats.Connect()
	var published atomic.Int64
	_, err := eph.Subscribe(proto.ChatEph("c1"), func(msg *nats.Msg) {
		if msg.Header.Get(proto.HeaderEvent) == proto.TypingEvent.Name {
			published.Add(1)
		}
	})
	require.NoError(t, err)
	require.NoError(t, eph.Flush())

	// Sessions without connections: 2,000 on each gateway, of which 250 view.
	var delivered atomic.Int64
	var typists []*Session
	for i := range 2000 {
		for _, g := range []*mesh{m, other} {
			s := countingSession(t, g.svc, burstUser(i), &delivered)
			require.NoError(t, g.svc.hub.withChat("c1", "c1", func(topic *topic) {
				topic.joinLocked(s, 0)
				if i < 250 {
					v, _, err := g.svc.viewLocked(topic, s, 1)
					require.NoError(t, err)
					require.Equal(t, viewing, v)
				}
			}))
			if g == m || i%2 == 0 {
				typists = append(typists, s)
			}
			t.Cleanup(s.gone)
		}
	}
	began := time.Now()
	const burst = 4 * time.Second
	attempts := 0
	for time.Since(began) < burst {
		for _, s := range typists {
			body, err := s.svc.typing(t.Context(), s, []byte(`{"chatId":"c1"}`))
			require.NoError(t, err)
			require.NotEmpty(t, body)
			attempts++
		}
	}
	took := time.Since(began).Seconds()
	servicestest.Eventually(t, patience, "all has been passed on", func() bool { return m.svc.store.backlog()+other.svc.store.backlog() == 0 && eph.Flush() == nil })
	windows := int(took/typing.Every.Seconds()) + 1
	require.LessOrEqual(t, int(published.Load()), 2*typing.MaxShown*windows, "of each gateway's typists, 50 every 2 s")
	require.GreaterOrEqual(t, int(published.Load()), typing.MaxShown)
	// Each viewer sees at most 50, each renewed every 2 s, and the two gateways may both tell of one.
	require.LessOrEqual(t, int(delivered.Load()), 500*2*typing.MaxShown*windows)
	require.GreaterOrEqual(t, int(delivered.Load()), 400*typing.MaxShown)
	for _, g := range []*mesh{m, other} {
		topic := g.svc.hub.chat("c1")
		topic.mu.Lock()
		require.Equal(t, typing.MaxShown, topic.view.board.Len())
		topic.mu.Unlock()
	}
	t.Logf("%d events of typing in %.1f s: %d published (%.0f/s), %d delivered to 500 viewers (%.0f/s)", attempts, took,
		published.Load(), float64(published.Load())/took, delivered.Load(), float64(delivered.Load())/took)
}

func burstUser(i int) string { return fmt.Sprintf("u%d", i) }

// countingSession is an open session whose peer counts what it is sent.
func countingSession(t *testing.T, svc *Service, user string, sent *atomic.Int64) *Session {
	t.Helper()
	s, err := svc.newSession(countingPeer{sent: sent}, newRequestID(), auth.Identity{User: user, Device: "d", Name: user, Expires: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	s.phase = open
	return s
}

type countingPeer struct {
	peer
	sent *atomic.Int64
}

func (p countingPeer) profile() int             { return profilePlain }
func (p countingPeer) queued() int              { return 0 }
func (p countingPeer) send(*wsconn.Frame) error { p.sent.Add(1); return nil }
func (p countingPeer) close(proto.CloseCode)    {}
