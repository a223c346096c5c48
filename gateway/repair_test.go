package gateway

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

// deafen ends the subscription of a chat here, as if copies were dropped, and
// gives back a function that restores it.
func (m *mesh) deafen(chat string) (hear func()) {
	m.t.Helper()
	t := m.svc.hub.chat(token(m.t, chat))
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

func (c *client) messages(from, to uint64) {
	c.t.Helper()
	for want := from; want <= to; want++ {
		_, seq := c.message()
		require.Equal(c.t, want, seq)
	}
}

// TestGapIsReread: a copy that is missing is read from the log when the next
// one shows the hole, in order and once.
func TestGapIsReread(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.chat.add("c1", "ann", "bob")
	ann, bob := m.plain("ann", ""), m.socketIO("bob", "")
	m.chat.say("c1", "x", "1")
	ann.messages(1, 1)
	hear := m.deafen("c1")
	for i := range 700 { // more than one read
		m.chat.say("c1", "x", fmt.Sprint(i))
	}
	hear()
	for range 5 {
		m.chat.say("c1", "x", "after")
	}
	ann.messages(2, 706)
	bob.messages(1, 706)
	ann.quiet()
	bob.quiet()
}

// TestLastCopyMissing: where nothing follows, the look after a slow consumer
// or a reconnect finds it.
func TestLastCopyMissing(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.chat.add("c1", "ann", "bob")
	ann := m.plain("ann", "")
	m.chat.say("c1", "x", "1")
	ann.messages(1, 1)
	hear := m.deafen("c1")
	m.chat.say("c1", "x", "2")
	hear()
	m.svc.recheckOn(nil)
	ann.messages(2, 2)
	ann.quiet()
}

// TestCopiesTwiceAndLate: what comes again is dropped.
func TestCopiesTwiceAndLate(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.chat.add("c1", "ann")
	ann := m.plain("ann", "")
	nc := m.nats.Connect()
	live, err := nc.SubscribeSync(proto.ChatLive("c1"))
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	var copies []*nats.Msg
	for i := range 3 {
		m.chat.say("c1", "x", fmt.Sprint(i))
		c, err := live.NextMsg(patience)
		require.NoError(t, err)
		copies = append(copies, c)
	}
	ann.messages(1, 3)
	for _, c := range copies {
		require.NoError(t, nc.PublishMsg(&nats.Msg{Subject: c.Subject, Header: c.Header, Data: c.Data}))
	}
	require.NoError(t, nc.Flush())
	m.chat.say("c1", "x", "last")
	ann.messages(4, 4)
	ann.quiet()
}

// TestAReadKeepsTheOrderOfItsLog: what comes live while a hole is being read waits for
// it, of whatever kind: nothing passes a removal, no removal passes what was before it.
func TestAReadKeepsTheOrderOfItsLog(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.chat.add("c1", "ann", "bob")
	m.chat.add("other", "cat")
	ann, bob, cat := m.plain("ann", ""), m.socketIO("bob", ""), m.plain("cat", "")
	m.chat.say("c1", "x", "1")
	ann.messages(1, 1)
	bob.messages(1, 1)
	topic := m.svc.hub.chat(token(t, "c1"))
	topic.mu.Lock()
	topic.suspectLocked() // and nobody reads yet
	topic.mu.Unlock()
	m.chat.edit("c1", 1, "one")
	m.chat.say("c1", "x", "2")
	m.chat.remove("c1", "bob")
	m.chat.edit("c1", 1, "uno")
	m.chat.say("c1", "x", "3")
	m.passedBy(cat, "other")
	ann.quiet()
	bob.quiet()
	m.svc.repairs.push(topic)
	for _, want := range []string{"message:edited", "message:new", "chat:member-left"} {
		require.Equal(t, want, func() string { g := bob.next(); return g.event }())
	}
	for _, want := range []string{"message:edited", "message:new", "chat:member-left", "message:edited", "message:new"} {
		require.Equal(t, want, func() string { g := ann.next(); return g.event }())
	}
	ann.quiet()
	bob.quiet()
}

// passedBy waits until all that was stored before has passed at the gateway: live
// copies have one order, and the client is a member of that other chat.
func (m *mesh) passedBy(c *client, other string) {
	m.t.Helper()
	seq := m.chat.say(other, "x", "marker").Seq
	c.messages(seq, seq)
}

// TestAChatIsKeptWhileItIsRead: its last member leaves while it is being read, and comes
// back by a copy that waits for that read.
func TestAChatIsKeptWhileItIsRead(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.chat.add("c1", "ann")
	m.chat.add("other", "cat")
	ann, cat := m.plain("ann", ""), m.plain("cat", "")
	topic := m.svc.hub.chat(token(t, "c1"))
	topic.mu.Lock()
	topic.suspectLocked()
	topic.mu.Unlock()
	m.chat.remove("c1", "ann")
	m.svc.repairs.push(topic)
	ann.left("ann")
	servicestest.Eventually(t, patience, "it is gone behind the read", func() bool { return m.svc.hub.chatOf("c1") == nil })

	m.chat.add("c1", "ann")
	ann.joined("ann")
	m.chat.say("c1", "x", "1")
	ann.messages(1, 1)
	topic = m.svc.hub.chatOf("c1")
	topic.mu.Lock()
	topic.suspectLocked()
	s := topic.members[0].session
	topic.mu.Unlock()
	m.svc.hub.release(topic, s) // as the removal does that the read brings
	require.Same(t, topic, m.svc.hub.chatOf("c1"))
	m.chat.remove("c1", "ann")
	m.chat.add("c1", "ann")
	m.chat.say("c1", "x", "2")
	m.passedBy(cat, "other")
	m.svc.repairs.push(topic)
	ann.left("ann")
	ann.joined("ann")
	ann.messages(2, 2)
	ann.quiet()
}

// TestReconnect: the gateway's link to NATS breaks; sockets stay, and what was
// said and changed meanwhile is made up for.
func TestReconnect(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.chat.add("c1", "ann", "bob", "cat")
	m.chat.add("c2", "bob")
	ann, bob, cat, dan := m.plain("ann", ""), m.socketIO("bob", ""), m.plain("cat", ""), m.plain("dan", "")
	m.chat.say("c1", "x", "1")
	for _, c := range []*client{ann, bob, cat} {
		c.messages(1, 1)
	}
	id, err := m.host.NATS().GetClientID()
	require.NoError(t, err)
	require.NoError(t, m.nats.Server.DisconnectClientByID(id))
	require.Eventually(t, func() bool { return !m.host.NATS().IsConnected() }, patience, time.Millisecond)
	m.chat.say("c1", "x", "2")
	m.chat.remove("c1", "cat")
	m.chat.say("c1", "x", "3")
	m.chat.say("c2", "x", "1")
	m.chat.add("c3", "dan")
	m.chat.setDelivered("dan", defaultDevice, "c3", 0)
	m.chat.say("c3", "x", "1")
	require.False(t, m.host.NATS().IsConnected(), "all of this was missed")
	require.Equal(t, []uint64{2}, cat.left("cat"))
	require.Equal(t, []uint64{2}, ann.left("cat"))
	ann.messages(3, 3)
	seen := map[string][]uint64{}
	for range 4 {
		g := bob.next()
		if g.event == "message:new" {
			var n proto.NewMessage
			g.into(t, &n)
			seen[n.Message.ChatID] = append(seen[n.Message.ChatID], n.Message.Seq)
		}
	}
	require.Equal(t, map[string][]uint64{"c1": {2, 3}, "c2": {1}}, seen)
	dan.joined("dan") // how it came to be a member was missed too
	dan.messages(1, 1)
	m.chat.say("c3", "x", "2")
	dan.messages(2, 2)
	for _, c := range []*client{ann, bob, cat, dan} {
		c.quiet()
	}
}

// TestNATSRestart: sockets stay, sends fail in a way that may be retried, and
// afterwards everything goes on.
func TestNATSRestart(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.chat.add("c1", "ann", "bob")
	ann, bob := m.plain("ann", ""), m.socketIO("bob", "")
	m.nats.Stop()
	ann.emitOnly("pong", "{}")
	ann.quiet()
	id := ann.emit("auth:refresh", `{"token":"x"}`)
	require.Equal(t, id, ann.next().ack, "what needs no NATS works")
	m.nats.Start()
	require.Eventually(t, func() bool {
		return m.host.NATS().IsConnected() && m.chat.host.NATS().IsConnected()
	}, patience, 5*time.Millisecond)
	var g got
	require.Eventually(t, func() bool {
		g = ann.ask("message:new", `{"chatId":"c1","encryptedContent":"back"}`)
		return field(t, g.data, "success") == "true"
	}, 20*time.Second, 100*time.Millisecond)
	text, _ := bob.message()
	require.Equal(t, "back", text)
}

// TestAnotherEpoch: another log makes every position void; connections start anew.
func TestAnotherEpoch(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.chat.add("c1", "ann")
	ann, bob := m.plain("ann", ""), m.socketIO("bob", "")
	require.ErrorIs(t, m.svc.checkEpoch("another"), errEpoch)
	require.EqualValues(t, proto.CloseDrain, ann.closed())
	bob.closed()
	require.NoError(t, m.svc.checkEpoch("another"))
}
