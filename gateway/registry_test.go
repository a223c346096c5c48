package gateway

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/gateway/auth"
	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

// returning connects a client that presents the session it had.
func (m *mesh) returning(socket bool, user, device, pid string) *client {
	m.t.Helper()
	auth := `{"token":"` + tokenFor(m.t, user, device, time.Hour) + `","pid":"` + pid + `"}`
	path, first := "/ws", `{"event":"auth","data":`+auth+`}`
	if socket {
		path, first = "/socket.io/?EIO=4&transport=websocket", "40"+auth
	}
	c := m.newClient(m.dial(path, nil), socket)
	c.write(first)
	c.greeted()
	return c
}

// knows waits until presence knows exactly these connections, and gives them.
func (p *presenceService) knows(clients ...*client) (all []*known) {
	p.t.Helper()
	p.await(fmt.Sprintf("%d connections are known", len(clients)), func() bool {
		all = nil
		for _, c := range clients {
			if k := p.here[c.hello.PID]; k != nil {
				all = append(all, k)
			}
		}
		return len(all) == len(clients) && len(p.here) == len(clients)
	})
	return all
}

func (p *presenceService) sound() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	require.Empty(p.t, p.bad)
}

// TestOpenedAndClosed: presence knows of a connection before its client is
// greeted, and hears of its end: when that was, and whether it was for good.
func TestOpenedAndClosed(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	goodbye, dropped, idle := m.socketIO("ann", "1"), m.socketIO("ann", "2"), m.plain("bob", "")
	for i, c := range []*client{goodbye, dropped, idle} {
		m.presence.with(func() {
			k := m.presence.here[c.hello.PID]
			require.NotNil(t, k)
			require.Equal(t, c.hello.SocketID, k.open.SocketID)
			require.Equal(t, []string{"1", "2", "default"}[i], k.open.DeviceID)
			require.Equal(t, m.svc.announcer.called(), k.gateway)
		})
	}
	before := time.Now()
	goodbye.write("41")
	_ = dropped.conn.CloseNow()
	for _, s := range m.svc.hub.sessions("bob") {
		s.close(proto.CloseIdle)
	}
	m.presence.knows()
	m.presence.with(func() {
		require.Empty(t, m.presence.told, "nothing is told twice")
		require.Len(t, m.presence.closed, 3)
		for _, c := range m.presence.closed {
			require.Equal(t, c.PID != dropped.hello.PID, c.Final, c.UserID)
			require.WithinRange(t, c.At.Time, before.Add(-time.Second), time.Now())
			require.NotZero(t, c.Fence)
		}
	})
	m.presence.sound()
}

// TestDrainTells: what a gateway that stops had is closed, not for good, and its
// lease is given back.
func TestDrainTells(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	for i := range 50 {
		m.plain(fmt.Sprint("u", i), "")
	}
	require.NoError(t, m.stop())
	m.presence.with(func() {
		require.Empty(t, m.presence.here)
		require.Empty(t, m.presence.leases)
		require.Len(t, m.presence.closed, 50)
		require.Less(t, m.presence.reports, 25, "many in one report")
		for _, c := range m.presence.closed {
			require.False(t, c.Final)
		}
	})
	m.presence.sound()
}

// TestPresenceAwayAtConnect: clients are served all the same, and presence hears
// of them, and of what they opened, when it is back.
func TestPresenceAwayAtConnect(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.chat.add("c1", "ann")
	m.presence.with(func() { m.presence.down = true })
	ann, gone := m.socketIO("ann", "1"), m.plain("bob", "")
	ann.opens("c1")
	m.presence.is("bob", proto.StatusOnline, 5)
	g := ann.ask("presence:subscribe", `{"userIds":["bob"]}`)
	require.Contains(t, string(g.data), `"status":"unknown"`)
	_ = gone.conn.CloseNow()
	servicestest.Eventually(t, patience, "bob is gone", func() bool { return len(m.svc.hub.everyone()) == 1 })
	m.presence.with(func() {
		require.Empty(t, m.presence.here)
		m.presence.down = false
	})
	ann.shows("bob", proto.StatusOnline, 5) // who was unknown is told
	k := m.presence.knows(ann)[0]
	m.presence.await("all of it is known", func() bool { return k.views["c1"] && k.watches["bob"] && len(m.presence.closed) == 1 })
	m.presence.with(func() { require.Equal(t, gone.hello.PID, m.presence.closed[0].PID) })
	m.presence.sound()
}

// TestPresenceSilentAtConnect: one that does not answer holds nobody up.
func TestPresenceSilentAtConnect(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	require.NoError(t, m.presence.stop())
	for range 2 {
		ann := m.plain("ann", "")
		ann.quiet()
	}
}

// TestPresenceHangsAtConnect: one that does not answer in time hears of the
// connection afterwards.
func TestPresenceHangsAtConnect(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.presence.with(func() { m.presence.hangs = true })
	start := time.Now()
	ann := m.plain("ann", "")
	require.GreaterOrEqual(t, time.Since(start), openPatience)
	m.presence.knows(ann)
	m.presence.with(func() { require.Len(t, m.presence.told, 1) })
	servicestest.Eventually(t, patience, "presence is there again", func() bool { return !m.svc.announcer.trouble.Load() })
	m.presence.sound()
}

// TestEverythingIsToldAgain: what presence has lost it hears again, quietly,
// under another name.
func TestEverythingIsToldAgain(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	var users []string
	for i := range 20 {
		users = append(users, fmt.Sprintf("u%02d", i))
	}
	m.chat.add("c1", users...)
	var clients []*client
	for _, user := range users {
		c := m.plain(user, "")
		c.opens("c1")
		c.subscribes("zoe")
		clients = append(clients, c)
	}
	require.Contains(t, string(clients[1].ask("presence:update", `{"status":"busy"}`).data), `"busy"`)
	require.Contains(t, string(clients[2].ask("presence:update", `{"status":"away"}`).data), `"away"`)
	m.chat.awaitViewing("c1", users...)

	m.presence.with(func() { m.presence.down = true })
	_ = clients[0].conn.CloseNow()
	servicestest.Eventually(t, patience, "the connection is gone", func() bool { return len(m.svc.hub.everyone()) == 19 })
	require.Len(t, m.chat.viewing("c1"), 20)
	m.presence.with(func() { m.presence.down = false })
	m.chat.awaitViewing("c1", users[1:]...)

	old := m.svc.announcer.called()
	m.presence.with(func() {
		require.Zero(t, m.presence.quiet)
		fence := m.presence.fence
		m.presence.registry = newRegistry() // everything is lost
		m.presence.fence = fence
	})
	m.chat.awaitViewing("c1", users[1:]...)
	all := m.presence.knows(clients[1:]...)
	m.presence.await("subscriptions are known", func() bool {
		for _, k := range all {
			if !k.watches["zoe"] {
				return false
			}
		}
		return true
	})
	m.presence.with(func() {
		require.Positive(t, m.presence.quiet, "clients knew all of them")
		require.Len(t, m.presence.leases, 1)
		require.False(t, m.presence.leases[old])
		require.Len(t, m.presence.told, 19, "once each")
		require.Equal(t, proto.StatusAway, all[1].open.Status)
		for _, k := range all {
			require.NotZero(t, k.open.Fence)
			require.WithinRange(t, k.open.Since.Time, time.Now().Add(-time.Minute), time.Now())
		}
	})
	require.NoError(t, m.stop())
	require.Empty(t, m.chat.viewing("c1"), "a gateway that stops leaves nothing behind")
	m.presence.with(func() { require.Empty(t, m.presence.leases) })
	m.presence.sound()
}

// TestToldAgainInPaces: presence need not take more than 2,000 connections a
// second, and one that it refuses keeps no other from being told.
func TestToldAgainInPaces(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	const n = 700
	m.presence.with(func() { m.presence.refuse = "u300" })
	began := time.Now()
	for i := range n {
		s, err := m.svc.newSession(&sink{}, fmt.Sprint("s", i), auth.Identity{User: fmt.Sprint("u", i), Device: "d"})
		require.NoError(t, err)
		require.NoError(t, m.svc.hub.withUser(s.user, func(topic *topic) { topic.joinLocked(s, 0) }))
		m.svc.registered(s, &proto.OpenSessionRes{}, "")
		t.Cleanup(s.gone)
	}
	m.presence.await("all but one are known", func() bool { return len(m.presence.here) == n-1 })
	require.Greater(t, time.Since(began), 2*proto.MaxReport*openedPace)
	m.presence.with(func() {
		require.LessOrEqual(t, m.presence.most, proto.MaxReport)
		require.GreaterOrEqual(t, m.presence.most, 100)
	})
	m.presence.sound()
}

// TestReturn: a session that returns has open what it had open and watches whom
// it watched; presence is not told, and the connection it still had is closed
// without a word.
func TestReturn(t *testing.T) {
	t.Parallel()
	for _, socket := range []bool{true, false} {
		t.Run(map[bool]string{true: "socket.io", false: "plain"}[socket], func(t *testing.T) {
			m := runMesh(t)
			other := m.another()
			m.chat.add("c1", "ann", "bob")
			m.chat.add("c2", "ann")
			m.presence.is("bob", proto.StatusOnline, 7)
			connect := m.plain
			if socket {
				connect = m.socketIO
			}
			ann := connect("ann", "phone")
			ann.opens("c1")
			ann.opens("c2")
			ann.subscribes("bob", "zoe")
			m.presence.await("all is known", func() bool {
				k := m.presence.here[ann.hello.PID]
				return k != nil && len(k.views) == 2 && len(k.watches) == 2
			})
			m.chat.remove("c2", "ann")
			ann.left("ann")
			m.presence.await("c2 is closed", func() bool { return len(m.presence.here[ann.hello.PID].views) == 1 })

			back := other.returning(socket, "ann", "phone", ann.hello.PID)
			require.NotEqual(t, ann.hello.PID, back.hello.PID)
			require.False(t, back.hello.Resumed)
			code := ann.closed()
			if !socket {
				require.EqualValues(t, proto.CloseTakenOver, code)
			}
			require.Empty(t, ann.in, "no packet that would keep a client away")
			seen := map[string]string{}
			for range 2 {
				g := back.next()
				require.Equal(t, "presence:update", g.event)
				seen[field(t, g.data, "userId")] = field(t, g.data, "status")
			}
			require.Equal(t, map[string]string{`"bob"`: `"online"`, `"zoe"`: `"offline"`}, seen)
			m.chat.tellActive("c1", "bob", true)
			require.Equal(t, "chat:member-joined", back.next().event, "it has c1 open")
			m.presence.becomes("bob", proto.StatusAway, 8)
			back.shows("bob", proto.StatusAway, 8)
			m.presence.knows(back)
			m.presence.with(func() {
				require.Empty(t, m.presence.closed, "who is taken over is not closed")
				require.Empty(t, m.presence.told)
			})
			m.presence.sound()

			// One that has nothing to return to is as good.
			for _, pid := range []string{"nothing of ours", back.hello.PID} {
				fresh := m.returning(socket, "bob", "phone", pid)
				m.presence.becomes("bob", proto.StatusOnline, uint64(9+len(pid)))
				fresh.quiet()
				back.next()
			}
		})
	}
}

// TestReturnToWhatIsOver: a chat that the user is in no more is closed.
func TestReturnToWhatIsOver(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.chat.add("c1", "ann")
	ann := m.plain("ann", "1")
	ann.opens("c1")
	m.chat.awaitViewing("c1", "ann")
	_ = ann.conn.CloseNow()
	m.presence.knows()
	m.presence.with(func() { require.True(t, m.presence.kept[ann.hello.PID].views["c1"], "it may return") })
	m.chat.remove("c1", "ann")
	back := m.returning(false, "ann", "1", ann.hello.PID)
	m.presence.await("it is closed", func() bool { return len(m.presence.here[back.hello.PID].views) == 0 })
	m.presence.sound()
}

// TestTakeover: only the connection that is named is closed, and one that
// presence says lives elsewhere.
func TestTakeover(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	ann, ann2 := m.plain("ann", "1"), m.socketIO("ann", "2")
	m.presence.with(func() {
		k := m.presence.here[ann.hello.PID]
		m.presence.takeOver(k, k.open.Fence-1)
		m.presence.takeOver(&known{inbox: k.inbox, open: proto.Opened{UserID: "ann", PID: ann.hello.PID, SocketID: ann2.hello.SocketID}}, k.open.Fence)
	})
	ann.quiet()
	ann2.quiet()
	m.presence.with(func() {
		m.presence.takeOver(m.presence.here[ann.hello.PID], m.presence.here[ann.hello.PID].open.Fence)
	})
	require.EqualValues(t, proto.CloseTakenOver, ann.closed())
	ann2.quiet()

	// Told again while it lives elsewhere: a larger fence is known.
	m.presence.with(func() {
		k := m.presence.here[ann2.hello.PID]
		k.open.Fence += 1000
		m.presence.fence += 1000
		clear(m.presence.leases)
	})
	ann2.closed()
	servicestest.Eventually(t, patience, "nobody is here", func() bool { return len(m.svc.hub.everyone()) == 0 })
	m.presence.with(func() { require.Empty(t, m.presence.closed) })
}

// TestOddPID: apps put what they like there.
func TestOddPID(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	for _, pid := range []string{`"mine"`, `5`, `null`, `{"a":[]}`, `""`, `"` + strings.Repeat("x", 5000) + `"`, `"a\u0000b"`} {
		c := m.newClient(m.dial("/socket.io/?EIO=4&transport=websocket", nil), true)
		c.write(`40{"token":"` + tokenFor(t, "ann", "", time.Hour) + `","pid":` + pid + `,"offset":7}`)
		c.greeted()
		require.Len(t, c.hello.PID, 22)
	}
}
