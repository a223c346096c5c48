package gateway

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

func TestViewing(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	other := m.another()
	m.chat.add("c1", "ann", "bob", "cat")
	both(t, m, func(t *testing.T, connect func(string, string) *client) {
		ann, ann2, bob, cat := connect("ann", "1"), other.plain("ann", "2"), other.socketIO("bob", ""), connect("cat", "")
		for _, c := range []*client{ann, ann2, bob} {
			c.opens("c1")
		}
		ann.opens("c1") // again changes nothing
		m.chat.awaitViewing("c1", "ann", "bob")
		require.Equal(t, `["ann","bob"]`, field(t, ann.ask("chat:get-active-members", `{"chatId":"c1"}`).data, "activeMembers"))

		// Kind active goes to those who view, but not to the user it is about.
		m.chat.tellActive("c1", "ann", true)
		g := bob.next()
		require.Equal(t, "chat:member-joined", g.event)
		require.Equal(t, `"active"`, field(t, g.data, "kind"))
		require.Empty(t, g.offset)
		for _, c := range []*client{ann, ann2, bob, cat} {
			c.quiet()
		}

		// The last of the sockets counts, whatever ends it.
		require.Equal(t, `"c1"`, field(t, ann.ask("chat:leave", `{"chatId":"c1"}`).data, "chatId"))
		require.Equal(t, "true", field(t, cat.ask("chat:leave", `{"chatId":"c1"}`).data, "success"), "who does not view leaves nothing")
		require.Equal(t, "true", field(t, cat.ask("chat:leave", `{"chatId":"no such"}`).data, "success"), "no oracle")
		m.chat.awaitViewing("c1", "ann", "bob")
		_ = ann2.conn.CloseNow()
		m.chat.awaitViewing("c1", "bob")
		require.Equal(t, "true", field(t, bob.ask("chat:leave", `{"chatId":"c1"}`).data, "success"))
		m.chat.awaitViewing("c1")
		m.chat.tellActive("c1", "cat", true)
		bob.quiet()
		for _, c := range []*client{ann, bob, cat} {
			_ = c.conn.CloseNow()
		}
	})
	require.Equal(t, "false", field(t, m.plain("dan", "").ask("chat:join", `{"chatId":"c1"}`).data, "success"), "a stranger")
}

func TestSubscribedWhileViewed(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.chat.add("c1", "ann")
	ann, ann2 := m.plain("ann", "1"), m.socketIO("ann", "2")
	before := m.host.NATS().NumSubscriptions()
	ann.opens("c1")
	ann2.opens("c1")
	require.Equal(t, before+1, m.host.NATS().NumSubscriptions(), "one for both")
	ann.ask("chat:leave", `{"chatId":"c1"}`)
	require.Equal(t, before+1, m.host.NATS().NumSubscriptions())
	ann2.ask("chat:leave", `{"chatId":"c1"}`)
	require.Equal(t, before, m.host.NATS().NumSubscriptions())
}

func TestJoinMultiple(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.chat.add("c1", "ann")
	m.chat.add("c2", "ann")
	m.chat.add("c3", "bob")
	ann := m.plain("ann", "")
	var res struct {
		Success bool
		proto.JoinChatsRes
	}
	g := ann.ask("chat:join-multiple", `{"chatIds":["c1","c3","c2"]}`)
	g.into(t, &res)
	require.True(t, res.Success)
	require.Equal(t, 2, res.JoinedCount)
	require.Equal(t, []string{"c1", "c2"}, res.Joined)
	require.Equal(t, []proto.FailedJoin{{ChatID: "c3", Code: proto.ChatNotFound}}, res.Failed)
	require.Equal(t, []string{"ann"}, m.chat.viewing("c1"), "known when the ack is there")
	require.Equal(t, []string{"ann"}, m.chat.viewing("c2"))
	g = ann.ask("chat:join-multiple", `{"chatIds":[]}`)
	require.Equal(t, proto.InvalidPayload, g.code(t))
}

// TestRemovalWinsOverJoin: whenever a removal comes, before, while or after chat
// answers a join, its user neither views nor gets anything of those who do; and
// who becomes a member again can view again.
func TestRemovalWinsOverJoin(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	other := m.another()
	m.chat.add("c1", "ann", "bob")
	ann, bob := m.plain("ann", ""), other.socketIO("bob", "")
	ann.opens("c1")
	for round := range 60 {
		m.chat.mu.Lock()
		m.chat.joined = nil
		if round%3 == 0 { // the answer is made, and then the removal comes
			once := sync.OnceFunc(func() { m.chat.remove("c1", "bob") })
			m.chat.joined = once
		}
		m.chat.mu.Unlock()
		var wg sync.WaitGroup
		if round%3 != 0 {
			wg.Go(func() { m.chat.remove("c1", "bob") })
		}
		bob.emit("chat:join", `{"chatId":"c1"}`)
		wg.Wait()
		// The ack and the removal come in either order; then nothing does.
		for seen := 0; seen < 2; {
			g := bob.next()
			switch {
			case g.ack != "":
				seen++
			case g.event == "chat:member-left":
				require.Equal(t, `"membership"`, field(t, g.data, "kind"))
				seen++
			}
		}
		ann.left("bob")
		require.Equal(t, proto.ChatNotFound, func() proto.Code { g := bob.ask("message:typing", `{"chatId":"c1"}`); return g.code(t) }())
		if topic := other.svc.hub.chat("c1"); topic != nil {
			topic.mu.Lock()
			require.Nil(t, topic.view)
			topic.mu.Unlock()
		}
		m.chat.tellActive("c1", "cat", true)
		g := ann.next()
		require.Equal(t, "chat:member-joined", g.event)
		bob.quiet()
		m.chat.awaitViewing("c1", "ann")

		m.chat.add("c1", "bob")
		ann.joined("bob")
		if round%2 == 0 { // at once: the membership may be on its way here
			bob.emit("chat:join", `{"chatId":"c1"}`)
			for range 2 {
				if g := bob.next(); g.ack != "" {
					require.Equal(t, "true", field(t, g.data, "success"), "%s", g.data)
				}
			}
			m.chat.awaitViewing("c1", "ann", "bob")
			continue
		}
		bob.joined("bob")
	}
}

// shortLease has a gateway of a test say more often that it lives.
const shortLease = 50 * time.Millisecond
