package e2e

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/tools/e2e/mesh"
)

// back connects as a client that returns to its session.
func back(t *testing.T, node *mesh.Node, url, token, pid string) *mesh.Stock {
	t.Helper()
	c := node.Open(t, url, map[string]any{"token": token, "pid": pid}, stay)
	c.AwaitNote(t, "connect", 1)
	c.Await(t, "connected", 1)
	return c
}

// A new socket presents the pid while the old one is half-open: the old one is closed at once, nobody sees anything of it, and what it
// had subscribed and opened is there again without asking. Edge 9.
func TestReturnTakesOverAtOnce(t *testing.T) {
	t.Parallel()
	m := mesh.Start(t, mesh.Options{Gateways: 2})
	m.PutChat(t, "room", "ann", "bob")
	node := mesh.StartNode(t)
	bob := node.Dial(t, m.Gateways[0].URL, mesh.Token(t, "bob", ""), nil)
	token := mesh.Token(t, "ann", "phone")
	old := node.Dial(t, m.Gateways[0].URL, token, stay)
	watch(t, bob, "ann")
	watch(t, old, "bob")
	room := map[string]any{"chatId": "room"}
	require.True(t, bob.Emit(t, "chat:join", room).Success)
	require.True(t, old.Emit(t, "chat:join", room).Success)
	bob.Await(t, "chat:member-joined", 1)
	before := len(shown(t, bob, "ann"))

	began := time.Now()
	fresh := back(t, node, m.Gateways[1].URL, token, pidOf(t, old))
	require.Equal(t, "transport close", old.AwaitNote(t, "disconnect", 1).Reason)
	require.Less(t, time.Since(began), 20*seconds, "no wait for a ping timeout")
	plain := mesh.OpenPlain(t, m.Gateways[0].URL, "")
	plain.Write(t, fmt.Appendf(nil, `{"event":"auth","data":{"token":%q,"pid":%q},"ack":1}`, token, pidOf(t, fresh)))
	plain.Await(t, "connected", 1)
	require.Equal(t, "transport close", fresh.AwaitNote(t, "disconnect", 1).Reason)
	again := mesh.OpenPlain(t, m.Gateways[1].URL, "")
	again.Write(t, fmt.Appendf(nil, `{"event":"auth","data":{"token":%q,"pid":%q},"ack":1}`, token, pidOf(t, plain)))
	again.Await(t, "connected", 1)
	require.EqualValues(t, proto.CloseTakenOver, plain.CloseCode(t))

	set(t, bob, map[string]any{"status": "busy"})
	sees(t, again, "bob", proto.StatusBusy)
	require.True(t, bob.Emit(t, "message:typing", room).Success)
	again.Await(t, "message:typing", 1)
	require.Len(t, state(t, m, "ann").Sessions, 1)
	wait(t, grace)
	require.Len(t, shown(t, bob, "ann"), before, "one presence throughout")
	require.Empty(t, bob.Events("chat:member-left"))
	require.Len(t, bob.Events("chat:member-joined"), 1)

	// Somebody else's pid is no key.
	eve := node.Open(t, m.Gateways[0].URL, map[string]any{"token": mesh.Token(t, "eve", ""), "pid": pidOf(t, again)}, stay)
	eve.AwaitNote(t, "connect", 1)
	require.True(t, again.Emit(t, "chat:get-active-members", room).Success, "not closed by a stranger")
	require.NotEqual(t, pidOf(t, again), pidOf(t, eve))
}

// A gateway that hangs, and goes on later, neither ends the connections that have moved on nor brings back those that are over. Edge 33.
func TestLateWordOfAHangingGateway(t *testing.T) {
	t.Parallel()
	m := mesh.Start(t, mesh.Options{Gateways: 2})
	m.PutChat(t, "room", "ann", "bob", "cat")
	node := mesh.StartNode(t)
	bob := node.Dial(t, m.Gateways[0].URL, mesh.Token(t, "bob", ""), nil)
	token := mesh.Token(t, "ann", "phone")
	ann := node.Dial(t, m.Gateways[1].URL, token, stay)
	cat := node.Dial(t, m.Gateways[1].URL, mesh.Token(t, "cat", ""), stay)
	watch(t, bob, "ann", "cat")
	m.Gateways[1].Signal(t, syscall.SIGSTOP)
	stopped := time.Now()
	fresh := back(t, node, m.Gateways[0].URL, token, pidOf(t, ann))
	mesh.Eventually(t, 70*seconds, "who stays on a hanging gateway is shown offline", func() bool {
		return last1(t, shown(t, bob, "cat")).Status == proto.StatusOffline
	})
	require.InDelta(t, stopped.UnixMilli(), last1(t, shown(t, bob, "cat")).LastSeen, 11_000, "seen until its gateway was last heard of")
	require.Len(t, shown(t, bob, "ann"), 1)

	m.Gateways[1].Signal(t, syscall.SIGCONT)
	ann.AwaitNote(t, "disconnect", 1)
	sees(t, bob, "cat", proto.StatusOnline)
	wait(t, grace)
	require.Equal(t, proto.StatusOnline, last1(t, shown(t, bob, "cat")).Status)
	require.Len(t, shown(t, bob, "ann"), 1, "nothing of the old connection is seen")
	require.Len(t, state(t, m, "ann").Sessions, 1)
	require.Empty(t, fresh.Notes("disconnect"))
	require.Empty(t, cat.Notes("disconnect"))
}
