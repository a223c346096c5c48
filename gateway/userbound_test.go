package gateway

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

// tries connects a client of a user. It reports whether the client was let in; one that was not must
// have been refused as CONTRACT §1 and §2 say for CONNECTION_LIMIT.
func (m *mesh) tries(socket bool, user string) bool {
	m.t.Helper()
	auth := `{"token":"` + tokenFor(m.t, user, "", time.Hour) + `"}`
	if socket {
		c := m.newClient(m.dial("/socket.io/?EIO=4&transport=websocket", nil), true)
		c.write("40" + auth)
		select {
		case g := <-c.in:
			require.Equal(m.t, "connected", g.event, "no CONNECT_ERROR: the client is to come back")
			return true
		case <-c.ended:
			return false
		}
	}
	c := m.newClient(m.dial("/ws", nil), false)
	c.write(`{"event":"auth","data":` + auth + `}`)
	g := c.next()
	if g.event == "connected" {
		return true
	}
	require.Equal(m.t, proto.ConnectionLimit, g.code(m.t))
	require.NotEmpty(m.t, field(m.t, g.data, "retryAfterMs"))
	require.EqualValues(m.t, proto.CloseConnectionLimit, c.closed())
	return false
}

// TestBoundOfAUser: the connection over the bound is refused, the others stay, and a returning
// session takes its own place.
func TestBoundOfAUser(t *testing.T) {
	t.Parallel()
	m := runMesh(t, func(c *Config) { c.MaxPerUser = 3 })
	clients := []*client{m.plain("ann", "1"), m.socketIO("ann", "2"), m.socketIO("ann", "3")}
	for _, socket := range []bool{false, true} {
		require.False(t, m.tries(socket, "ann"))
	}
	require.True(t, m.tries(true, "bob"), "another user")
	back := m.returning(true, "ann", "3", clients[2].hello.PID)
	clients[2].closed()
	clients[2] = back
	require.False(t, m.tries(true, "ann"))
	for _, c := range clients {
		c.quiet()
	}
	require.NoError(t, clients[0].conn.CloseNow())
	servicestest.Eventually(t, patience, "there is room again", func() bool { return m.tries(false, "ann") })
	require.False(t, m.tries(false, "ann"))
}

// TestBoundOfAUserAtOnce: many connects at once of one user: never more than the bound are there.
func TestBoundOfAUserAtOnce(t *testing.T) {
	t.Parallel()
	m := runMesh(t, func(c *Config) { c.MaxPerUser = 5 })
	var refused, greeted int
	var clients []*client
	for range 15 {
		clients = append(clients, m.newClient(m.dial("/ws?token="+tokenFor(t, "ann", "", time.Hour), nil), false))
	}
	for _, c := range clients {
		if c.next().event == "connected" {
			greeted++
		} else {
			refused++
		}
	}
	require.Equal(t, 5, greeted)
	require.Equal(t, 10, refused)
}

// TestBoundOfAUserOverAllGateways: what presence says of other gateways counts.
func TestBoundOfAUserOverAllGateways(t *testing.T) {
	t.Parallel()
	m := runMesh(t, func(c *Config) { c.MaxPerUser = 3 })
	m.presence.with(func() {
		for i := range 2 {
			m.presence.here[fmt.Sprint("p", i)] = &known{inbox: "another", open: proto.Opened{UserID: "ann"}}
		}
	})
	require.True(t, m.tries(true, "ann"))
	require.False(t, m.tries(true, "ann"))
	require.False(t, m.tries(false, "ann"))
	m.presence.with(func() { delete(m.presence.here, "p0") })
	require.True(t, m.tries(false, "ann"))
	servicestest.Eventually(t, patience, "who was refused is gone", func() bool { return len(m.svc.hub.everyone()) == 2 })
}

// TestDeadConnectionsMakeRoom: a user whose old connections are dead, though nobody has noticed, is
// let in at a later try, on whichever gateway. Those that live stay.
func TestDeadConnectionsMakeRoom(t *testing.T) {
	t.Parallel()
	bound := func(c *Config) { c.MaxPerUser = 3 }
	m := runMesh(t, bound)
	other := *m
	other.runGateway(bound)
	live := m.plain("ann", "")

	_ = m.dial("/ws?token="+tokenFor(t, "ann", "", time.Hour), nil) // nobody reads it, so no ping is answered
	dead := m.dial("/socket.io/?EIO=4&transport=websocket", nil)
	require.NoError(t, dead.Write(t.Context(), 1, []byte(`40{"token":"`+tokenFor(t, "ann", "", time.Hour)+`"}`)))
	servicestest.Eventually(t, patience, "all three are there", func() bool { return len(m.svc.hub.everyone()) == 3 })

	require.False(t, other.tries(true, "ann"), "all three count")
	servicestest.Eventually(t, 3*patience, "there is room", func() bool { return other.tries(true, "ann") })
	servicestest.Eventually(t, patience, "only the live one is left", func() bool { return len(m.svc.hub.everyone()) == 1 })
	live.quiet()
}
