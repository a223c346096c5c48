package gateway

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

// TestDrain: clients are told, at least the notice before the close; requests
// under way are answered; no DISCONNECT packet is sent; new ones get 503.
func TestDrain(t *testing.T) {
	t.Parallel()
	m := runMesh(t, func(c *Config) { c.DrainNotice = time.Second })
	m.chat.add("c1", "ann")
	slow := make(chan struct{})
	m.chat.mu.Lock()
	m.chat.slow = slow
	m.chat.mu.Unlock()
	clients := []*client{m.plain("ann", ""), m.socketIO("ann", ""), m.plain("bob", ""), m.socketIO("bob", "")}
	ids := []string{clients[0].emit("message:new", `{"chatId":"c1","encryptedContent":"x"}`), clients[1].emit("message:new", `{"chatId":"c1","encryptedContent":"y"}`)}
	require.Eventually(t, func() bool {
		n := 0
		for _, s := range m.svc.hub.everyone() {
			if s.busy() {
				n++
			}
		}
		return n == 2
	}, patience, time.Millisecond)
	done := make(chan error, 1)
	go func() { done <- m.stop() }()
	told := time.Now()
	for _, c := range clients {
		g := c.next()
		require.Equal(t, "server:drain", g.event)
		var d proto.ServerDrain
		g.into(t, &d)
		require.GreaterOrEqual(t, d.ReconnectInMs, int64(1000))
	}
	for _, path := range []string{"/ws", "/socket.io/?EIO=4&transport=polling"} {
		res, err := http.Get("http://" + m.addr + path)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
		require.NotEmpty(t, res.Header.Get("Retry-After"))
		require.True(t, res.Close)
	}
	require.EqualValues(t, proto.CloseDrain, clients[2].closed())
	require.GreaterOrEqual(t, time.Since(told), 900*time.Millisecond)
	clients[3].closed()
	require.Empty(t, clients[3].in, "no DISCONNECT packet: a stock client would stay away")
	close(slow)
	for i, id := range ids {
		for {
			g := clients[i].next()
			if g.ack != "" {
				require.Equal(t, id, g.ack)
				require.Equal(t, "true", field(t, g.data, "success"))
				break
			}
		}
		clients[i].closed()
	}
	require.NoError(t, <-done)
}

// TestDrainTellsWhoHasJustBeenGreeted: a client that has its connected event is
// told, also while what it is owed is still being found out.
func TestDrainTellsWhoHasJustBeenGreeted(t *testing.T) {
	t.Parallel()
	m := runMesh(t, func(c *Config) { c.DrainNotice = 100 * time.Millisecond })
	ann := m.plain("ann", "")
	s := m.svc.hub.everyone()[0]
	require.Eventually(t, func() bool { return s.is(open) }, patience, time.Millisecond)
	s.mu.Lock()
	s.phase = opening
	s.mu.Unlock()
	done := make(chan error, 1)
	go func() { done <- m.stop() }()
	require.Equal(t, "server:drain", ann.next().event)
	m.svc.tellDrain(s) // as its greeting would
	require.EqualValues(t, proto.CloseDrain, ann.closed())
	require.Empty(t, ann.in, "it is told once")
	require.NoError(t, <-done)
}

// TestDrainOfThoseWhoLeft: a gateway whose clients have gone waits neither for
// the notice nor for their turns.
func TestDrainOfThoseWhoLeft(t *testing.T) {
	t.Parallel()
	for _, notice := range []time.Duration{time.Millisecond, 2 * patience} {
		m := runMesh(t, func(c *Config) { c.DrainNotice, c.DrainRate = notice, 1 })
		var clients []*client
		for i := range 30 {
			clients = append(clients, m.plain("ann", strconv.Itoa(i)))
		}
		stopped := make(chan error, 1)
		go func() { stopped <- m.stop() }()
		require.Eventually(t, m.svc.admission.draining.Load, patience, time.Millisecond)
		for _, c := range clients {
			_ = c.conn.CloseNow()
		}
		select {
		case err := <-stopped:
			require.NoError(t, err)
		case <-time.After(patience):
			require.Fail(t, "still draining, though everybody has left")
		}
	}
}

// TestSlowClient: one that does not read is closed so that it can come back,
// and the others notice nothing.
func TestSlowClient(t *testing.T) {
	t.Parallel()
	m := runMesh(t, func(c *Config) { c.MaxQueue = 256 << 10 })
	m.chat.add("c1", "ann", "bob")
	conn := m.dial("/ws?token="+tokenFor(t, "bob", "", time.Hour), nil) // nobody reads
	require.Eventually(t, func() bool { return len(m.svc.hub.everyone()) == 1 }, patience, time.Millisecond)
	ann := m.plain("ann", "")
	content := strings.Repeat("x", 60<<10)
	n := uint64(0)
	for len(m.svc.hub.everyone()) == 2 {
		n++
		m.chat.say("c1", "x", content)
		ann.messages(n, n)
		require.Less(t, n, uint64(2000), "the slow client is still there")
	}
	var err error
	for err == nil {
		_, _, err = conn.Read(t.Context())
	}
	if code := websocket.CloseStatus(err); code != -1 { // -1: the socket was full for too long even for a close frame
		require.EqualValues(t, proto.CloseSlowConsumer, code)
	}
	ann.quiet()
	bob := m.plain("bob", "")
	bob.quiet()
}
