package e2e

import (
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/tools/e2e/mesh"
)

// active is what the others hear of who has a chat open.
type active struct{ ChatID, UserID, Kind string }

// stopped is message:stop-typing.
type stopped struct{ ChatID, UserID, Reason string }

func last[T any](t *testing.T, events []mesh.Received) (v T) {
	t.Helper()
	require.NotEmpty(t, events)
	events[len(events)-1].Decode(t, &v)
	return v
}

// Stock clients on two gateway processes open a chat and type: those who have it open see it, nobody else does, and it ends with
// a message. When the typist's gateway is killed, the indicator ends within 6 s and the typist is active no more within the
// lease; after Redis was lost, who is active is known again. Edges 19, 37, 51.
func TestViewingAndTypingOverTwoGateways(t *testing.T) {
	t.Parallel()
	m := mesh.Start(t, mesh.Options{Gateways: 2})
	m.PutChat(t, "room", "ann", "bob", "cat")
	node := mesh.StartNode(t)
	ann := node.Dial(t, m.Gateways[1].URL, mesh.Token(t, "ann", "phone"), stay)
	bob := node.Dial(t, m.Gateways[0].URL, mesh.Token(t, "bob", "phone"), nil)
	bob2 := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "bob", "desk"))
	cat := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "cat", "")) // a member who has it not open
	room := map[string]any{"chatId": "room"}
	members := func() []string {
		var ack struct {
			ActiveMembers []string
			Count         int
		}
		mesh.Received{Data: bob.Emit(t, "chat:get-active-members", room).Raw}.Decode(t, &ack)
		require.Len(t, ack.ActiveMembers, ack.Count)
		return ack.ActiveMembers
	}

	for _, c := range []mesh.Client{bob, bob2, ann} {
		ack := c.Emit(t, "chat:join", room)
		require.True(t, ack.Success, "%s", ack.Raw)
	}
	require.Equal(t, active{"room", "ann", "active"}, last[active](t, bob.Await(t, "chat:member-joined", 1)))
	require.ElementsMatch(t, []string{"ann", "bob"}, members())

	require.True(t, ann.Emit(t, "message:typing", room).Success)
	for _, c := range []mesh.Client{bob, bob2} {
		var typing struct{ UserID, UserName string }
		e := c.Await(t, "message:typing", 1)[0]
		e.Decode(t, &typing)
		require.Equal(t, "ann", typing.UserID)
		require.Empty(t, e.Offset, "not durable")
	}
	require.True(t, ann.Emit(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": "there"}).Success)
	cat.Await(t, "message:new", 1)
	require.Equal(t, stopped{"room", "ann", "sent"}, last[stopped](t, bob.Await(t, "message:stop-typing", 1)))

	// bob's second socket types: neither of bob's sees it.
	require.True(t, bob2.Emit(t, "message:typing", room).Success)
	ann.Await(t, "message:typing", 1)
	require.True(t, bob2.Emit(t, "message:stop-typing", room).Success)
	require.Equal(t, stopped{"room", "bob", ""}, last[stopped](t, ann.Await(t, "message:stop-typing", 1)))

	require.True(t, ann.Emit(t, "message:typing", room).Success)
	bob.Await(t, "message:typing", 2)
	m.Gateways[1].Kill()
	require.Equal(t, stopped{"room", "ann", "expired"}, last[stopped](t, bob.Await(t, "message:stop-typing", 2)))
	require.Contains(t, members(), "ann", "not yet known to be gone")
	mesh.Eventually(t, 70*seconds, "the killed gateway's viewers have left", func() bool { return len(bob.Events("chat:member-left")) > 0 })
	require.Equal(t, active{"room", "ann", "active"}, last[active](t, bob.Events("chat:member-left")))
	require.Equal(t, []string{"bob"}, members())

	m.Redis.Kill()
	m.StartRedis(t)
	mesh.Eventually(t, 40*seconds, "who is active is known again", func() bool {
		ack := bob.Emit(t, "chat:get-active-members", room)
		var got struct{ ActiveMembers []string }
		if !ack.Success {
			return false
		}
		mesh.Received{Data: ack.Raw}.Decode(t, &got)
		return len(got.ActiveMembers) == 1 && got.ActiveMembers[0] == "bob"
	})
	require.Len(t, bob.Events("chat:member-joined"), 1, "nobody was told again")
	require.Len(t, bob.Events("message:typing"), 2)
	require.Empty(t, cat.Events("message:typing"))
	require.Empty(t, cat.Events("message:stop-typing"))
	require.Empty(t, cat.Events("chat:member-joined"))
	require.True(t, bob.Emit(t, "chat:leave", room).Success)
	require.True(t, bob2.Emit(t, "chat:leave", room).Success)
}
