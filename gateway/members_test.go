package gateway

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

// left is the next frame but messages, which must be chat:member-left of user.
func (c *client) left(user string) (before []uint64) {
	c.t.Helper()
	for {
		g := c.next()
		if g.event == "message:new" {
			var m proto.NewMessage
			g.into(c.t, &m)
			before = append(before, m.Message.Seq)
			continue
		}
		require.Equal(c.t, "chat:member-left", g.event, "%s", g.data)
		var l proto.MemberLeft
		g.into(c.t, &l)
		require.Equal(c.t, user, l.UserID)
		return before
	}
}

func (c *client) joined(user string) {
	c.t.Helper()
	g := c.next()
	require.Equal(c.t, "chat:member-joined", g.event, "%s", g.data)
	require.Len(c.t, g.offset, 22)
	var j proto.MemberJoined
	g.into(c.t, &j)
	require.Equal(c.t, user, j.UserID)
}

func TestMembershipAppliesAtOnce(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.chat.add("c1", "ann")
	ann, bob, bob2, cat := m.socketIO("ann", ""), m.plain("bob", "1"), m.socketIO("bob", "2"), m.plain("cat", "")

	// A chat that is hosted here already.
	m.chat.add("c1", "bob")
	m.chat.say("c1", "x", "one")
	for _, c := range []*client{ann, bob, bob2} {
		c.joined("bob")
		text, _ := c.message()
		require.Equal(t, "one", text)
	}
	m.chat.remove("c1", "bob")
	m.chat.say("c1", "x", "two")
	for _, c := range []*client{ann, bob, bob2} {
		require.Empty(t, c.left("bob"))
	}
	text, _ := ann.message()
	require.Equal(t, "two", text)
	for _, c := range []*client{ann, bob, bob2, cat} {
		c.quiet()
	}

	// A chat of which no member was here: what follows at once is not missed.
	m.chat.add("c2", "cat")
	for i := range 5 {
		m.chat.say("c2", "x", fmt.Sprint(i))
	}
	cat.joined("cat")
	for i := range 5 {
		text, seq := cat.message()
		require.Equal(t, fmt.Sprint(i), text)
		require.EqualValues(t, i+1, seq)
	}
	m.chat.remove("c2", "cat")
	cat.left("cat")
	for _, c := range []*client{ann, cat} {
		c.quiet()
	}
	require.Eventually(t, func() bool { return m.svc.hub.chat("c2") == nil }, patience, time.Millisecond, "no member, no subscription")
}

// TestRemovalWins: while messages flow, a removed member gets those before the
// removal, then chat:member-left, then nothing.
func TestRemovalWins(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.chat.add("c1", "ann", "bob")
	ann, bob := m.plain("ann", ""), m.socketIO("bob", "")
	for round := range 5 {
		var wg sync.WaitGroup
		wg.Go(func() {
			for range 100 {
				m.chat.say("c1", "x", "flow")
			}
		})
		m.chat.remove("c1", "bob")
		m.chat.mu.Lock()
		removal := m.chat.chat("c1").metaLast
		var last uint64
		for _, item := range m.chat.chat("c1").messages {
			if item.Position < removal {
				last = item.Seq
			}
		}
		m.chat.mu.Unlock()
		wg.Wait()
		before := bob.left("bob")
		if len(before) > 0 {
			require.Equal(t, last, before[len(before)-1])
		}
		bob.quiet()
		require.Len(t, ann.left("bob"), len(before))
		for n := len(before); n < 100; n++ {
			ann.message()
		}
		ann.quiet()
		m.chat.add("c1", "bob")
		ann.joined("bob")
		bob.joined("bob")
		_ = round
	}
}

// TestAFormerMemberConnectsWhileChatIsBehind: chat answers from a Redis that a
// removal has not reached yet; the removal has passed here, so it wins.
func TestAFormerMemberConnectsWhileChatIsBehind(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.chat.add("c1", "bob") // nobody of c1 is connected: no topic knows its version
	m.chat.add("c2", "ann")
	ann := m.plain("ann", "")
	m.chat.mu.Lock()
	m.chat.behind = map[string]former{"c1": {"bob", m.chat.chat("c1").version}}
	m.chat.mu.Unlock()
	m.chat.remove("c1", "bob")
	m.chat.say("c2", "x", "behind the removal")
	ann.message()
	bob := m.plain("bob", "")
	m.chat.say("c1", "x", "not for bob")
	bob.quiet()

	m.chat.mu.Lock()
	m.chat.behind = nil
	m.chat.mu.Unlock()
	m.chat.add("c1", "bob")
	bob.joined("bob")
	m.chat.say("c1", "x", "for bob again")
	_, seq := bob.message()
	require.EqualValues(t, 2, seq)
}

// TestJoinWhileConnecting: a membership that changes while its user connects
// is never missed.
func TestJoinWhileConnecting(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	for i := range 20 {
		user, chat := fmt.Sprintf("u%d", i), fmt.Sprintf("c%d", i)
		m.chat.add(chat, "x")
		var wg sync.WaitGroup
		wg.Go(func() { m.chat.add(chat, user) })
		c := m.plain(user, "")
		wg.Wait()
		item := m.chat.say(chat, "x", "hello")
		var got got
		for got = c.next(); got.event == "chat:member-joined"; got = c.next() {
		}
		require.Equal(t, "message:new", got.event)
		var n proto.NewMessage
		got.into(t, &n)
		require.Equal(t, item.Seq, n.Message.Seq)
	}
}

// TestMessagesWhileConnecting: a client that connects while messages flow gets
// each message after the point where it began, once and in order.
func TestMessagesWhileConnecting(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.chat.add("c1", "ann", "bob")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				m.chat.say("c1", "x", "flow")
			}
		}
	})
	var clients []*client
	for i := range 10 {
		clients = append(clients, m.plain("ann", fmt.Sprint(i)), m.socketIO("bob", fmt.Sprint(i)))
	}
	close(stop)
	wg.Wait()
	end := m.chat.say("c1", "x", "end").Seq
	for _, c := range clients {
		_, seq := c.message()
		for seq < end {
			_, next := c.message()
			require.Equal(t, seq+1, next)
			seq = next
		}
		c.quiet()
	}
}

func TestUserEvents(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	ann, ann2, bob := m.plain("ann", "1"), m.socketIO("ann", "2"), m.plain("bob", "")
	subject := proto.UserLog(token(t, "ann"))
	m.chat.publish(subject, "notification:new", 0, ann.hello.SocketID, []byte(`{"id":"ntf_1"}`))
	m.chat.publish(subject, "notification:new", 0, "", []byte(`{"id":"ntf_2"}`))
	for _, want := range []string{`"ntf_1"`, `"ntf_2"`} {
		g := ann2.next()
		require.Equal(t, "notification:new", g.event)
		require.Equal(t, want, field(t, g.data, "id"))
	}
	g := ann.next()
	require.Equal(t, `"ntf_2"`, field(t, g.data, "id"), "no echo")
	for _, c := range []*client{ann, ann2, bob} {
		c.quiet()
	}
}

func TestNothingIsLeftOfAConnection(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.chat.add("c1", "ann", "bob")
	// The inbox for reads of the log is made when it is first needed, and stays.
	_, err := m.svc.store.storedBehind(t.Context(), proto.ChatLogAll(token(t, "c1")), 0)
	require.NoError(t, err)
	before := m.host.NATS().NumSubscriptions()
	clients := []*client{m.plain("ann", ""), m.socketIO("bob", ""), m.plain("bob", "2")}
	require.Len(t, m.svc.hub.everyone(), 3)
	require.Greater(t, m.host.NATS().NumSubscriptions(), before)
	for _, c := range clients {
		_ = c.conn.CloseNow()
	}
	require.Eventually(t, func() bool {
		return len(m.svc.hub.everyone()) == 0 && m.svc.hub.chat("c1") == nil && m.host.NATS().NumSubscriptions() == before && m.svc.timers.Len() == 0
	}, patience, 5*time.Millisecond)
}
