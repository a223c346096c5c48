package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/tools/e2e/mesh"
)

// The same exchange in one process, as `make run` has it.
func TestClientsOfEveryKindInOneProcess(t *testing.T) {
	t.Parallel()
	o := mesh.StartOne(t, nil)
	exchange(t, func(int) string { return o.Gateways[0].URL }, func(users []string) { o.PutChat(t, "room", users...) })
	o.Interrupt(t)
}

// Nobody makes a chat: under the policy of the dev run the first to come makes it, and joining makes a member. Then the process
// is killed, with its Redis in memory, and everything is there again.
func TestOneProcessSurvivesKill(t *testing.T) {
	t.Parallel()
	o := mesh.StartOne(t, nil)
	url := o.Gateways[0].URL
	node := mesh.StartNode(t)
	ann := node.Dial(t, url, mesh.Token(t, "ann", ""), nil)
	bob := mesh.DialPlain(t, url, mesh.Token(t, "bob", "phone"))
	require.True(t, bob.Emit(t, "chat:join", map[string]any{"chatId": "lobby"}).Success)
	first := sent(t, ann.Emit(t, "message:new", map[string]any{"chatId": "lobby", "encryptedContent": "hello", "tempId": "t-0"}))
	bob.Await(t, "message:new", 1)
	bob.Drop()
	for i := range 20 {
		sent(t, ann.Emit(t, "message:new", map[string]any{"chatId": "lobby", "encryptedContent": fmt.Sprint(i), "tempId": fmt.Sprint("k-", i)}))
	}
	o.Kill()
	o.Start(t)
	ann.AwaitNote(t, "connect", 2) // the stock client comes back by itself
	again := sent(t, ann.Emit(t, "message:new", map[string]any{"chatId": "lobby", "encryptedContent": "hello", "tempId": "t-0"}))
	require.True(t, again.Duplicate)
	require.Equal(t, first.Message, again.Message)
	bob = mesh.DialPlain(t, url, mesh.Token(t, "bob", "phone"))
	bob.Await(t, "message:new", 21)
	got := bob.Messages(t)
	require.Len(t, got, 21, "nothing was confirmed, so all of it comes")
	for i, s := range got {
		require.EqualValues(t, i+1, s.Message.Seq)
	}
	require.Len(t, mesh.History(t, bob, "lobby"), 21)
}

// What a user has set, and when users were last seen, outlives the process and its Redis in memory: who hid is not shown online.
func TestStatusSurvivesKillOfOneProcess(t *testing.T) {
	t.Parallel()
	o := mesh.StartOne(t, nil)
	url := o.Gateways[0].URL
	ann := mesh.DialPlain(t, url, mesh.Token(t, "ann", "phone"))
	bob := mesh.DialPlain(t, url, mesh.Token(t, "bob", "phone"))
	require.True(t, ann.Emit(t, "presence:update", map[string]any{"status": "offline", "customStatus": "away from it all"}).Success)
	require.True(t, bob.Emit(t, "presence:update", map[string]any{"status": "online"}).Success)
	hidden := state(t, &o.Mesh, "ann").LastSeen
	require.NotZero(t, hidden)
	before := time.Now().UnixMilli()
	o.Kill()
	o.Start(t)
	is := state(t, &o.Mesh, "ann")
	require.NotNil(t, is.Own)
	require.Equal(t, proto.StatusOffline, is.Own.Status)
	require.Equal(t, "away from it all", is.Own.CustomStatus)
	require.Equal(t, hidden, is.LastSeen)
	require.InDelta(t, before, state(t, &o.Mesh, "bob").LastSeen, 60_000, "who was there until then")
	back := mesh.DialPlain(t, url, mesh.Token(t, "ann", "phone"))
	mesh.Eventually(t, 30*time.Second, "ann is there", func() bool { return state(t, &o.Mesh, "ann").Status == proto.StatusOnline })
	require.Equal(t, proto.StatusOffline, state(t, &o.Mesh, "ann").Effective)
	back.Drop()
}
