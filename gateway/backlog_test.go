package gateway

import (
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

// TestBacklog: what a device has not had comes oldest first, before what is
// live in that chat, while another chat is not held up.
func TestBacklog(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.chat.add("c1", "ann")
	m.chat.add("c2", "ann")
	const backlog = 1000
	for i := range backlog {
		m.chat.say("c1", "x", strconv.Itoa(i+1))
	}
	m.chat.setDelivered("ann", "phone", "c1", 10)
	both(t, m, func(t *testing.T, connect func(string, string) *client) {
		m.chat.mu.Lock()
		total := len(m.chat.chats["c1"].messages)
		m.chat.mu.Unlock()
		c := connect("ann", "phone")
		require.EqualValues(t, total-10, c.hello.Missed)
		require.False(t, c.hello.Resync)
		var wg sync.WaitGroup
		wg.Go(func() {
			for range 50 {
				m.chat.say("c1", "x", "live")
				m.chat.say("c2", "x", "other")
			}
		})
		next, others := uint64(11), 0
		for next <= uint64(total+50) || others < 50 {
			g := c.next()
			require.Equal(t, "message:new", g.event)
			var n proto.NewMessage
			g.into(t, &n)
			if n.Message.ChatID == "c2" {
				others++
				continue
			}
			require.Equal(t, next, n.Message.Seq)
			next++
		}
		wg.Wait()
		c.quiet()
		require.Eventually(t, func() bool {
			for _, s := range m.svc.hub.everyone() {
				s.mu.Lock()
				behind := s.behind
				s.mu.Unlock()
				if behind {
					return false
				}
			}
			return true
		}, patience, time.Millisecond, "no goroutine stays behind")
		_ = c.conn.CloseNow()
		require.Eventually(t, func() bool { return len(m.svc.hub.everyone()) == 0 }, patience, time.Millisecond)
		m.chat.setDelivered("ann", "phone", "c1", 10)
	})
}

// TestBacklogIsPaced: a client that does not read gets no more than a bounded
// amount, and is not closed for what it missed.
func TestBacklogIsPaced(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.chat.add("c1", "ann")
	big := strings.Repeat("x", 40_000)
	for range 200 { // 8 MB, far more than may wait for one client
		m.chat.say("c1", "x", big)
	}
	m.chat.setDelivered("ann", "", "c1", 0)
	m.chat.setDelivered("ann", defaultDevice, "c1", 0)
	c := m.plain("ann", "")
	for i := range 200 {
		_, seq := c.message()
		require.EqualValues(t, i+1, seq)
	}
	c.quiet()
}

// TestNoEchoFromTheBacklog: what a socket sends while it is behind does not
// come back to it.
func TestNoEchoFromTheBacklog(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.chat.add("c1", "ann")
	for range 300 {
		m.chat.say("c1", "x", "old")
	}
	m.chat.mu.Lock()
	m.chat.pageLimit = 5 // many pages
	m.chat.mu.Unlock()
	m.chat.setDelivered("ann", "a", "c1", 0)
	c := m.socketIO("ann", "a")
	ids := map[string]bool{}
	for range 5 {
		ids[c.emit("message:new", `{"chatId":"c1","encryptedContent":"mine"}`)] = true
	}
	messages := 0
	for messages < 300 || len(ids) > 0 {
		g := c.next()
		if g.ack != "" {
			delete(ids, g.ack)
			continue
		}
		var n proto.NewMessage
		g.into(t, &n)
		require.Equal(t, "old", n.Message.EncryptedContent)
		messages++
	}
	m.chat.say("c1", "x", "last")
	text, seq := c.message()
	require.Equal(t, "last", text)
	require.EqualValues(t, 306, seq)
	c.quiet()
}

// TestRemovedWhileBehind: nothing of the backlog follows chat:member-left.
func TestRemovedWhileBehind(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.chat.add("c1", "ann")
	for range 500 {
		m.chat.say("c1", "x", "old")
	}
	m.chat.mu.Lock()
	m.chat.pageLimit = 5
	m.chat.mu.Unlock()
	m.chat.setDelivered("ann", "a", "c1", 0)
	c := m.plain("ann", "a")
	c.message()
	m.chat.remove("c1", "ann")
	c.left("ann")
	c.quiet()
	require.Eventually(t, func() bool { return m.svc.hub.chat("c1") == nil }, patience, time.Millisecond)
}
