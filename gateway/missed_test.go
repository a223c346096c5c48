package gateway

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

// asked is how often chat was asked what a device needs, since the last call.
func (c *chatService) asked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.opens
	c.opens = 0
	return n
}

// afterAnswer has fn run once, between an answer of chat and its arrival.
func (c *chatService) afterAnswer(fn func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.made = sync.OnceFunc(fn)
}

// TestOneQuestion: where nothing happens, chat is asked once, whether or not
// the chats are new to the gateway.
func TestOneQuestion(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	for i := range maxLooks {
		m.chat.add(fmt.Sprint("c", i), "ann", "bob")
	}
	m.chat.say("c0", "x", "1")
	_ = m.plain("ann", "")
	require.Equal(t, 1, m.chat.asked())
	_ = m.socketIO("bob", "")
	require.Equal(t, 1, m.chat.asked())
	m.chat.add("one too many", "cat")
	for i := range maxLooks {
		m.chat.add(fmt.Sprint("d", i), "cat")
	}
	_ = m.plain("cat", "")
	require.Equal(t, 2, m.chat.asked(), "cheaper than so many looks")
}

// TestStoredBehindTheAnswer: what chat's answer does not know, and the
// subscription of a new chat came too late for, is served all the same.
func TestStoredBehindTheAnswer(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.chat.add("c1", "ann", "bob")
	m.chat.add("c2", "ann")
	m.chat.say("c1", "x", "1")
	m.chat.setDelivered("ann", defaultDevice, "c1", 1)
	m.chat.setDelivered("ann", defaultDevice, "c2", 0)

	m.chat.afterAnswer(func() { m.chat.say("c1", "x", "2"); m.chat.say("c2", "x", "1") })
	ann := m.plain("ann", "")
	require.Equal(t, 2, m.chat.asked())
	got := map[string]uint64{}
	for range 2 {
		var n proto.NewMessage
		g := ann.next()
		require.Equal(t, "message:new", g.event)
		g.into(t, &n)
		got[n.Message.ChatID] = n.Message.Seq
	}
	require.Equal(t, map[string]uint64{"c1": 2, "c2": 1}, got)
	m.chat.say("c1", "x", "3")
	ann.messages(3, 3)
	ann.quiet()

	m.chat.add("c3", "cat")
	m.chat.afterAnswer(func() { m.chat.remove("c3", "cat"); m.chat.say("c3", "x", "not for cat") })
	cat := m.plain("cat", "")
	cat.quiet()
	require.Eventually(t, func() bool { return m.svc.hub.chat("c3") == nil }, patience, time.Millisecond)
	m.chat.add("c3", "cat")
	cat.joined("cat")
	cat.quiet()
}
