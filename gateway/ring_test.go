package gateway

import (
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/gateway/auth"
	"supmesh.dev/gateway/wsconn"
	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
)

// TestForOneSocket: an event for one socket reaches that one and no other.
func TestForOneSocket(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	one, two, bob := m.plain("ann", "1"), m.socketIO("ann", "2"), m.plain("bob", "")
	for i, c := range []*client{one, two} {
		id := strconv.Itoa(i)
		require.NoError(t, services.EmitTo(m.chat.host, proto.CallAnswerEvent, token(t, "ann"), c.hello.SocketID, proto.CallAnswer{CallID: id}))
	}
	require.NoError(t, services.EmitTo(m.chat.host, proto.CallAnswerEvent, token(t, "ann"), "another", proto.CallAnswer{CallID: "9"}))
	require.NoError(t, m.chat.host.Flush())
	for i, c := range []*client{one, two} {
		require.Equal(t, `"`+strconv.Itoa(i)+`"`, field(t, c.told("call:answer").data, "callId"))
	}
	for _, c := range []*client{one, two, bob} {
		c.quiet()
	}
}

// TestSlowSideOfACall: who is too far behind for an event of a call is closed, to
// come back and be told.
func TestSlowSideOfACall(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	full := &fullPeer{}
	s, err := m.svc.newSession(full, "s1", auth.Identity{User: "cat"})
	require.NoError(t, err)
	t.Cleanup(s.gone)
	require.NoError(t, m.svc.hub.withUser(s.user, func(topic *topic) { topic.joinLocked(s, 0) }))
	m.svc.live(&entry{subject: proto.UserEphemeral("cat"), event: "call:answer", to: "s1", body: []byte(`{"callId":"c"}`)})
	require.Equal(t, []proto.CloseCode{proto.CloseSlowConsumer}, full.closed)
}

// TestRing: what rings comes with an offset, in both profiles; what is for
// services alone does not come.
func TestRing(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	later := time.Now().Add(time.Hour)
	clients := []*client{m.plain("ann", "1"), m.socketIO("ann", "2")}
	m.opened()
	m.ring("ann", "c1", later)
	m.chat.publish(proto.UserCalls(token(t, "ann")), "call:record", 0, "", []byte(`{"callId":"c1"}`))
	m.chat.publish(proto.UserRelations(token(t, "ann")), "relations", 0, "", []byte(`{}`))
	m.chat.publish(proto.UserLog(token(t, "ann")), "notification:new", 0, "", []byte(`{"id":"n1"}`))
	m.missedCall("ann", "c1")
	for _, c := range clients {
		require.Equal(t, `"c1"`, c.stored("call:incoming"))
		require.Equal(t, `"n1"`, c.stored("notification:new"))
		require.Equal(t, `"c1"`, c.stored("call:end"))
		c.quiet()
	}
}

// deafenUser is deafen for a user's own topic.
func (m *mesh) deafenUser(user string) (hear func()) {
	m.t.Helper()
	t := m.svc.hub.user(token(m.t, user))
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sub.end()
	require.NoError(m.t, m.host.NATS().Flush())
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		sub, err := m.svc.store.subscribe(t.live())
		require.NoError(m.t, err)
		t.sub = sub
		require.NoError(m.t, m.host.NATS().Flush())
	}
}

// TestMissedRingIsReread: a hole in what rings is read from the log, in order and
// once, but for what must not ring any more.
func TestMissedRingIsReread(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	later, over := time.Now().Add(time.Hour), time.Now().Add(-time.Second)
	ann := m.plain("ann", "")
	m.opened()
	m.ring("ann", "c0", over)
	require.Equal(t, `"c0"`, ann.stored("call:incoming"), "live, the time is the client's to judge")
	hear := m.deafenUser("ann")
	for i := range 300 { // more than one read
		m.chat.publish(proto.UserCalls(token(t, "ann")), "call:record", 0, "", []byte(`{"callId":"c`+strconv.Itoa(i)+`"}`))
	}
	m.ring("ann", "c1", over)
	m.ring("ann", "c2", later)
	m.chat.publish(proto.UserLog(token(t, "ann")), "notification:new", 0, "", []byte(`{"id":"n1"}`))
	m.missedCall("ann", "c1")
	hear()
	m.ring("ann", "c3", later) // shows the hole in its kind; the other is read along
	require.Equal(t, `"c2"`, ann.stored("call:incoming"))
	require.Equal(t, `"n1"`, ann.stored("notification:new"))
	require.Equal(t, `"c1"`, ann.stored("call:end"))
	require.Equal(t, `"c3"`, ann.stored("call:incoming"))
	m.repaired("ann")
	ann.quiet()

	hear = m.deafenUser("ann")
	m.ring("ann", "c4", later)
	hear()
	m.svc.recheckOn(nil)
	require.Equal(t, `"c4"`, ann.stored("call:incoming"), "where nothing follows")
	ann.quiet()
}

func (m *mesh) rangUpTo(user string) uint64 {
	m.t.Helper()
	tracks := m.userTracks(user)
	return tracks[kindRing].Last()
}

func (m *mesh) repaired(user string) {
	m.t.Helper()
	servicestest.Eventually(m.t, patience, "the log has been read", func() bool {
		tracks := m.userTracks(user)
		for i := range tracks {
			if tracks[i].Reading() {
				return false
			}
		}
		return true
	})
}

// TestStoredWhileOpening: what is stored of the user behind the position of
// `connected`, and goes by while the session is held, comes once, in order.
func TestStoredWhileOpening(t *testing.T) {
	t.Parallel()
	later := time.Now().Add(time.Hour)
	for name, before := range map[string]func(m *mesh) *client{
		"alone":  func(*mesh) *client { return nil },
		"second": func(m *mesh) *client { return m.plain("ann", "other") },
	} {
		t.Run(name, func(t *testing.T) {
			m := runMesh(t)
			both(t, m, func(t *testing.T, connect func(string, string) *client) {
				other := before(m)
				m.opened()
				m.ring("ann", "before", later)
				var last uint64
				m.chat.afterAnswer(func() {
					m.ring("ann", "c1", later)
					m.chat.publish(proto.UserCalls(token(t, "ann")), "call:record", 0, "", []byte(`{}`))
					m.chat.publish(proto.UserLog(token(t, "ann")), "notification:new", 0, "", []byte(`{"id":"n1"}`))
					last = m.ring("ann", "c2", later)
					servicestest.Eventually(t, patience, "all of it has gone by", func() bool { return m.rangUpTo("ann") >= last })
				})
				ann := connect("ann", "phone")
				clients := []*client{ann}
				if other != nil {
					require.Equal(t, `"before"`, other.stored("call:incoming"))
					clients = append(clients, other)
				}
				for _, c := range clients {
					require.Equal(t, `"c1"`, c.stored("call:incoming"))
					require.Equal(t, `"n1"`, c.stored("notification:new"))
					require.Equal(t, `"c2"`, c.stored("call:incoming"))
				}
				m.opened()
				m.ring("ann", "c3", later)
				for _, c := range clients {
					require.Equal(t, `"c3"`, c.stored("call:incoming"))
					c.quiet()
					_ = c.conn.CloseNow()
				}
				servicestest.Eventually(t, patience, "all are gone", m.svc.hub.empty)
			})
		})
	}
}

// TestDroppedWhileOpening: copies that were dropped before any came are no
// beginning.
func TestDroppedWhileOpening(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	later := time.Now().Add(time.Hour)
	m.chat.afterAnswer(func() {
		hear := m.deafenUser("ann")
		m.ring("ann", "c1", later)
		hear()
		last := m.ring("ann", "c2", later)
		servicestest.Eventually(t, patience, "it has gone by", func() bool { return m.rangUpTo("ann") >= last })
	})
	ann := m.plain("ann", "")
	require.Equal(t, `"c1"`, ann.stored("call:incoming"))
	require.Equal(t, `"c2"`, ann.stored("call:incoming"))
	ann.quiet()
}

// countPeer counts what it is sent.
type countPeer struct {
	sink
	frames atomic.Int64
}

func (p *countPeer) send(*wsconn.Frame) error { p.frames.Add(1); return nil }

// TestLastCopyDroppedWhileOpening: nor is the last one lost, behind which nothing
// came, once there is word that copies were dropped.
func TestLastCopyDroppedWhileOpening(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	p := &countPeer{}
	s, err := m.svc.newSession(p, "s1", auth.Identity{User: "ann"})
	require.NoError(t, err)
	t.Cleanup(s.gone)
	res, err := m.svc.prepare(t.Context(), s)
	require.NoError(t, err)
	hear := m.deafenUser("ann")
	m.ring("ann", "c1", time.Now().Add(time.Hour))
	hear()
	m.svc.recheckOn(nil)
	servicestest.Eventually(t, patience, "it is noted", s.isStale)
	m.svc.activate(t.Context(), s, res)
	servicestest.Eventually(t, patience, "it is read", func() bool { return p.frames.Load() == 1 })
	m.repaired("ann")
	require.EqualValues(t, 1, p.frames.Load())
}
