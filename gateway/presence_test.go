package gateway

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/gateway/auth"
	"supmesh.dev/gateway/wsconn"
	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
	"supmesh.dev/services/wire"
)

func userList(users []string) string {
	data, _ := json.Marshal(map[string][]string{"userIds": users})
	return string(data)
}

// subscribes has the client watch users, and gives the ack and the events before it.
func (c *client) subscribes(users ...string) (res proto.SubscribePresenceRes, events []proto.Presence) {
	c.t.Helper()
	id := c.emit("presence:subscribe", userList(users))
	for {
		g := c.next()
		if g.ack == id {
			require.Equal(c.t, "true", field(c.t, g.data, "success"), "%s", g.data)
			g.into(c.t, &res)
			return res, events
		}
		events = append(events, c.presence(g))
	}
}

func (c *client) presence(g got) (p proto.Presence) {
	c.t.Helper()
	require.Equal(c.t, "presence:update", g.event, "%s", g.data)
	require.Empty(c.t, g.offset, "not durable")
	g.into(c.t, &p)
	return p
}

// shows is the next frame, which must say how a user is there.
func (c *client) shows(user string, status proto.Status, version uint64) {
	c.t.Helper()
	p := c.presence(c.next())
	require.Equal(c.t, []any{user, status, version}, []any{p.UserID, p.Status, p.Version})
}

func (c *client) unsubscribes(users ...string) int {
	c.t.Helper()
	var res struct {
		Success bool
		proto.UnsubscribePresenceRes
	}
	g := c.ask("presence:unsubscribe", userList(users))
	g.into(c.t, &res)
	require.True(c.t, res.Success, "%s", g.data)
	return res.Total
}

func TestPresenceSubscription(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	both(t, m, func(t *testing.T, connect func(string, string) *client) {
		bob := m.presence.is("bob", proto.StatusBusy, 5)
		bob.CustomStatus = "at lunch"
		m.presence.with(func() { m.presence.users["bob"] = bob })
		m.presence.is("eve", proto.StatusOnline, 9)
		m.presence.deny("ann", "eve", true)
		ann, cat := connect("ann", ""), connect("cat", "")
		before := m.host.NATS().NumSubscriptions()
		res, events := ann.subscribes("bob", "eve", "nobody", "bob")
		want := []proto.Presence{bob, {UserID: "eve", Status: proto.StatusOffline}, {UserID: "nobody", Status: proto.StatusOffline}}
		require.Equal(t, want, events, "one each, and as it is in the ack")
		require.Equal(t, proto.SubscribePresenceRes{Presences: want, Denied: []string{"eve"}, Total: 3}, res)
		require.Equal(t, before+3, m.host.NATS().NumSubscriptions())
		cat.subscribes("bob", "eve")
		require.Equal(t, before+3, m.host.NATS().NumSubscriptions(), "one for both")

		// Changes: each once, what is old or unknown not, nor what is not allowed.
		for _, version := range []uint64{6, 6, 4, 7} {
			m.presence.publish(proto.Presence{UserID: "bob", Status: proto.StatusAway, Version: version})
		}
		m.presence.publish(proto.Presence{UserID: "bob", Status: proto.StatusUnknown, Version: 8})
		m.presence.notice("bob", "presence:later-version", []byte(`{}`))
		m.presence.notice("bob", proto.PresenceEvent.Name, []byte(`{`))
		m.presence.becomes("eve", proto.StatusAway, 10)
		for _, c := range []*client{ann, cat} {
			c.shows("bob", proto.StatusAway, 6)
			c.shows("bob", proto.StatusAway, 7)
		}
		ann.quiet()
		cat.shows("eve", proto.StatusAway, 10)

		// What presence says of the invisible is passed on as it is.
		m.presence.notice("bob", proto.PresenceEvent.Name, []byte(`{"userId":"bob","status":"offline","lastSeen":7,"version":9,"more":1}`))
		for _, c := range []*client{ann, cat} {
			require.JSONEq(t, `{"userId":"bob","status":"offline","lastSeen":7,"version":9,"more":1}`, string(c.next().data))
		}

		// Again: the newest there is, and nothing is counted twice.
		m.presence.is("bob", proto.StatusOnline, 12)
		res, events = ann.subscribes("bob")
		require.Equal(t, 3, res.Total)
		require.Len(t, events, 1)
		require.EqualValues(t, 12, events[0].Version)

		require.Equal(t, 2, ann.unsubscribes("bob", "bob", "never", "strange"))
		m.presence.becomes("bob", proto.StatusAway, 13)
		cat.shows("bob", proto.StatusAway, 13)
		ann.quiet()
		m.presence.await("it is told", func() bool {
			k := m.presence.here[ann.hello.PID]
			return len(k.watches) == 2 && !k.watches["bob"]
		})
		_ = cat.conn.CloseNow()
		require.Equal(t, 0, ann.unsubscribes("eve", "nobody"))
		servicestest.Eventually(t, patience, "nothing is subscribed", func() bool { return m.svc.metrics.watches.Load() == 0 && m.svc.metrics.watched.Load() == 0 })
		require.LessOrEqual(t, m.host.NATS().NumSubscriptions(), before)
		for _, s := range m.svc.hub.sessions("ann") {
			require.Empty(t, s.watchList())
		}
		_ = ann.conn.CloseNow()
		servicestest.Eventually(t, patience, "all are gone", m.svc.hub.empty)
	})
	m.presence.sound()
}

// TestSubscriptionLimit: 1,000 of a connection, and a request over it changes nothing.
func TestSubscriptionLimit(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	ann := m.plain("ann", "")
	for page := range 10 {
		var users []string
		for i := range 100 {
			users = append(users, fmt.Sprint("u", page, ".", i))
		}
		if page == 9 {
			users = users[:99]
		}
		ann.subscribes(users...)
	}
	g := ann.ask("presence:subscribe", `{"userIds":["a","b"]}`)
	require.Equal(t, proto.SubscriptionLimit, g.code(t))
	require.EqualValues(t, 999, m.svc.metrics.watched.Load())
	res, _ := ann.subscribes("a", "u0.0")
	require.Equal(t, 1000, res.Total)
	g = ann.ask("presence:subscribe", `{"userIds":["b"]}`)
	require.Equal(t, proto.SubscriptionLimit, g.code(t))
	require.Equal(t, 999, ann.unsubscribes("a"))
	ann.subscribes("b")
	m.presence.await("all are told", func() bool { return len(m.presence.here[ann.hello.PID].watches) == 1000 })
	for _, data := range []string{`{}`, `{"userIds":[]}`, `{"userIds":[""]}`, userList(make([]string, 101))} {
		for _, event := range []string{"presence:subscribe", "presence:unsubscribe"} {
			g := ann.ask(event, data)
			require.Equal(t, proto.InvalidPayload, g.code(t), event)
		}
	}
	m.presence.sound()
}

// TestChangeOvertakesSnapshot: a change that comes before the answer is not
// undone by it, and not lost.
func TestChangeOvertakesSnapshot(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.presence.is("bob", proto.StatusOnline, 5)
	ann := m.plain("ann", "")
	m.presence.with(func() {
		m.presence.made = sync.OnceFunc(func() {
			m.presence.becomes("bob", proto.StatusAway, 6)
			servicestest.Eventually(t, patience, "it is here", func() bool { return m.svc.watched.get("bob").seen() == 6 })
		})
	})
	res, events := ann.subscribes("bob")
	require.Len(t, events, 1)
	require.EqualValues(t, 6, events[0].Version)
	require.Equal(t, events, res.Presences)
	ann.quiet()
}

// TestRecheckOfPresence: who may see whom changes, and so what is shown, whichever way the
// gateway hears of it.
func TestRecheckOfPresence(t *testing.T) {
	t.Parallel()
	m := runTuned(t, func(svc *Service) {
		svc.checks.after = [...]time.Duration{20 * time.Millisecond, 60 * time.Millisecond}
	})
	m.chat.add("c1", "ann")
	m.presence.is("bob", proto.StatusOnline, 5)
	ann, dan := m.plain("ann", ""), m.socketIO("dan", "")
	ann.subscribes("bob", "cat")
	dan.subscribes("bob")

	m.presence.deny("ann", "bob", true)
	m.presence.notice("bob", proto.RecheckPresence, nil)
	ann.shows("bob", proto.StatusOffline, 0)
	m.presence.becomes("bob", proto.StatusAway, 6)
	dan.shows("bob", proto.StatusAway, 6)
	ann.quiet()

	// A membership: of the watched, and of the watcher.
	m.presence.deny("ann", "bob", false)
	m.chat.add("c1", "bob")
	ann.joined("bob")
	ann.shows("bob", proto.StatusAway, 6)
	m.presence.deny("ann", "bob", true)
	m.chat.remove("c1", "ann")
	ann.left("ann")
	ann.shows("bob", proto.StatusOffline, 0)

	// After a reconnect, when anything may have been missed.
	m.presence.deny("ann", "bob", false)
	m.presence.is("bob", proto.StatusOnline, 8)
	m.presence.is("cat", proto.StatusOnline, 3)
	m.svc.recheckSoon()
	seen := map[string]uint64{}
	for range 2 {
		p := ann.presence(ann.next())
		seen[p.UserID] = p.Version
	}
	require.Equal(t, map[string]uint64{"bob": 8, "cat": 3}, seen)
	dan.shows("bob", proto.StatusOnline, 8)

	// A registry that was lost knows nobody, until they are told of again; for a
	// while that is not believed.
	m.presence.with(func() { clear(m.presence.users) })
	for range 2 {
		m.presence.asks(func() { m.presence.notice("cat", proto.RecheckPresence, nil) })
		ann.quiet()
	}
	m.svc.checks.doubt.Store(0)
	m.presence.notice("cat", proto.RecheckPresence, nil)
	ann.shows("cat", proto.StatusOffline, 0)
	m.presence.becomes("cat", proto.StatusOnline, 1<<40)
	ann.shows("cat", proto.StatusOnline, 1<<40)

	// Nothing is told twice.
	for range 2 {
		m.presence.asks(func() { m.presence.notice("cat", proto.RecheckPresence, nil) })
	}
	ann.quiet()
	dan.quiet()
}

// TestPresenceAfterReconnect: a change that went by while the gateway's link to
// NATS was broken is made up for.
func TestPresenceAfterReconnect(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.presence.is("bob", proto.StatusOnline, 5)
	ann := m.plain("ann", "")
	ann.subscribes("bob")
	id, err := m.host.NATS().GetClientID()
	require.NoError(t, err)
	require.NoError(t, m.nats.Server.DisconnectClientByID(id))
	servicestest.Eventually(t, patience, "the link is broken", func() bool { return !m.host.NATS().IsConnected() })
	m.presence.becomes("bob", proto.StatusAway, 6)
	require.False(t, m.host.NATS().IsConnected(), "this was missed")
	ann.shows("bob", proto.StatusAway, 6)
	m.presence.becomes("bob", proto.StatusOnline, 7)
	ann.shows("bob", proto.StatusOnline, 7)
	ann.quiet()
}

// TestSlowRecheck: what nobody tells of is found all the same.
func TestSlowRecheck(t *testing.T) {
	t.Parallel()
	m := runTuned(t, func(svc *Service) { svc.checks.every = 640 * time.Millisecond })
	m.presence.is("bob", proto.StatusOnline, 5)
	ann := m.plain("ann", "")
	ann.subscribes("bob")
	m.presence.is("bob", proto.StatusAway, 6)
	ann.shows("bob", proto.StatusAway, 6)
}

// TestOwnPresence: a user's other sockets hear what was set, and one that watches
// itself hears it once.
func TestOwnPresence(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	phone, tablet, desk := m.plain("ann", "1"), m.socketIO("ann", "2"), m.plain("ann", "3")
	desk.subscribes("ann")
	tablet.quiet() // it is past its greeting
	g := phone.ask("presence:update", `{"status":"busy","customStatus":"x"}`)
	require.Equal(t, `"busy"`, field(t, g.data, "effectiveStatus"))
	p := m.presence.is("ann", proto.StatusBusy, 5)
	require.NoError(t, services.Emit(m.presence.host, proto.PresenceEvent, "ann", phone.hello.SocketID, p))
	m.presence.publish(p)
	tablet.shows("ann", proto.StatusBusy, 5)
	desk.shows("ann", proto.StatusBusy, 5)
	for _, c := range []*client{phone, tablet, desk} {
		c.quiet()
	}
	for data, code := range map[string]proto.Code{
		`{}`: proto.InvalidPayload, `{"status":"asleep"}`: proto.InvalidStatus, `{"status":"busy","customStatus":"` + strings.Repeat("x", 141) + `"}`: proto.InvalidPayload,
	} {
		g := phone.ask("presence:update", data)
		require.Equal(t, code, g.code(t), data)
	}
	m.presence.with(func() { m.presence.down = true })
	g = phone.ask("presence:update", `{"isOnline":true}`)
	require.Equal(t, proto.ServiceUnavailable, g.code(t))
}

// TestRelationsAreForNobody: the log of contacts and blocks goes by, and the
// user's own goes on.
func TestRelationsAreForNobody(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	ann := m.plain("ann", "")
	ann.quiet() // it is past its greeting
	m.chat.publish(proto.UserRelations("ann"), "relations", 0, "", []byte(`{"contacts":["x"],"blocks":["y"]}`))
	m.chat.publish(proto.UserLog("ann"), "notification:new", 0, "", []byte(`{}`))
	require.Equal(t, "notification:new", ann.next().event)
	ann.quiet()
}

// laggard is a client with a full queue, until it is not stuck any more.
type laggard struct {
	sink
	stuck atomic.Bool
	got   atomic.Int64
}

func (p *laggard) queued() int {
	if p.stuck.Load() {
		return roomFor + 1
	}
	return 0
}
func (p *laggard) send(*wsconn.Frame) error { p.got.Add(1); return nil }

// TestPresenceOfTheSlow: for a client that does not keep up the newest of each
// user is kept, however many there are, and it is never closed for it.
func TestPresenceOfTheSlow(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	slow := &laggard{}
	slow.stuck.Store(true)
	s, err := m.svc.newSession(slow, "slow", auth.Identity{User: "ann"})
	require.NoError(t, err)
	t.Cleanup(s.gone)
	const users = 3 * maxLatest
	for i := range users {
		user := "u" + strconv.Itoa(i)
		w, _, err := m.svc.watched.watch(s, user)
		require.NoError(t, err)
		for version := range uint64(3) {
			p := proto.Presence{UserID: user, Status: proto.StatusOnline, Version: version + 1}
			m.svc.learn(w, s, p, false, 0, true)
			body, err := wire.Marshal(proto.Presence{UserID: user, Status: proto.StatusAway, Version: version + 10})
			require.NoError(t, err)
			m.svc.passPresence(w.token, &ephemeral{event: proto.PresenceEvent.Name, body: body})
		}
	}
	w := m.svc.watched.get("u7")
	m.svc.watched.leave(w, s)
	require.Zero(t, slow.got.Load())
	slow.stuck.Store(false)
	servicestest.Eventually(t, patience, "it has caught up", func() bool { return slow.got.Load() == users-1 })
	servicestest.Eventually(t, patience, "nobody is waiting", func() bool { return m.svc.lag.behind.Load() == 0 })
}
