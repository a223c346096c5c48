package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/tools/e2e/mesh"
)

// crowd connects users u-0 and on to a gateway.
func crowd(t *testing.T, node *mesh.Node, m *mesh.Mesh, gateway, n int) (users []string, sockets []*mesh.Stock) {
	t.Helper()
	for i := range n {
		users = append(users, fmt.Sprint("u-", i))
	}
	m.PutChat(t, "hall", append([]string{"watcher"}, users...)...)
	for _, user := range users {
		sockets = append(sockets, node.Open(t, m.Gateways[gateway].URL, map[string]any{"token": mesh.Token(t, user, "phone")}, stay))
	}
	for _, s := range sockets {
		s.Await(t, "connected", 1)
	}
	return users, sockets
}

// kill -9 of a gateway with 100 users: those who return within the grace are never seen offline, the others are soon, and were last
// seen when their gateway was last heard of. Edge 32; `sup bench presence` is the long form.
func TestKilledGatewaysUsers(t *testing.T) {
	t.Parallel()
	const all, returning, returnIn = 100, 50, 25 * time.Second // a busy machine takes seconds for their return
	m := mesh.Start(t, mesh.Options{Gateways: 2, Env: map[string]string{"PRESENCE_GRACE": returnIn.String()}})
	node := mesh.StartNode(t)
	users, sockets := crowd(t, node, m, 1, all)
	watcher := node.Dial(t, m.Gateways[0].URL, mesh.Token(t, "watcher", ""), nil)
	// A gateway that presence has not answered in time tells it of its connections later.
	mesh.Eventually(t, 60*seconds, "presence knows of everybody", func() bool {
		watcher.Forget()
		online := 0
		for i := 0; i < len(users); i += proto.MaxSubscribe {
			for _, p := range watch(t, watcher, users[i:i+proto.MaxSubscribe]...).Presences {
				if p.Status == proto.StatusOnline {
					online++
				}
			}
		}
		return online == len(users)
	})
	fence(t, watcher)
	watcher.Forget()

	killed := time.Now()
	m.Gateways[1].Kill()
	for i := range returning {
		back(t, node, m.Gateways[0].URL, mesh.Token(t, users[i], "phone"), pidOf(t, sockets[i]))
	}
	require.Less(t, time.Since(killed), returnIn, "within the grace")
	mesh.Eventually(t, 20*seconds, "backends hear that it is not known", func() bool {
		s := state(t, m, users[all-1])
		return s.Status == proto.StatusOnline || s.Status == proto.StatusUnknown
	})
	mesh.Eventually(t, 2*time.Minute, "the others are shown offline", func() bool {
		return len(watcher.Events("presence:update")) >= all-returning
	})
	for i, user := range users {
		seen := shown(t, watcher, user)
		if i < returning {
			require.Empty(t, seen, "%s has returned", user)
			require.Equal(t, proto.StatusOnline, state(t, m, user).Effective)
			continue
		}
		require.Len(t, seen, 1, user)
		require.Equal(t, proto.StatusOffline, seen[0].Status)
		require.LessOrEqual(t, seen[0].LastSeen, killed.UnixMilli()+1000, user)
		require.GreaterOrEqual(t, seen[0].LastSeen, killed.UnixMilli()-11_000, user)
	}
	m.StartGateway(t, 1)
	wait(t, grace)
	require.Len(t, watcher.Events("presence:update"), all-returning, "the gateway's return changes nothing")
}

// Presence is killed and started again, Redis loses everything, both restart: what is shown is the truth again by itself, and
// nobody flickers meanwhile. Edges 28, 33.
func TestPresenceConvergesAfterLoss(t *testing.T) {
	t.Parallel()
	m := mesh.Start(t, mesh.Options{Gateways: 2, Presence: 2})
	m.PutChat(t, "room", "ann", "bob", "cat", "dan")
	node := mesh.StartNode(t)
	watcher := node.Dial(t, m.Gateways[0].URL, mesh.Token(t, "bob", ""), nil)
	ann := node.Dial(t, m.Gateways[1].URL, mesh.Token(t, "ann", ""), nil)
	cat := node.Dial(t, m.Gateways[1].URL, mesh.Token(t, "cat", ""), nil)
	watch(t, watcher, "ann", "cat", "dan")
	room := map[string]any{"chatId": "room"}
	require.True(t, ann.Emit(t, "chat:join", room).Success)
	require.True(t, watcher.Emit(t, "chat:join", room).Success)
	set(t, ann, map[string]any{"status": "busy", "customStatus": "until it is done"})
	before := sees(t, watcher, "ann", proto.StatusBusy)
	whole := func(what string) {
		t.Helper()
		mesh.Eventually(t, 60*seconds, "the registry is whole after "+what, func() bool {
			ack := watcher.Emit(t, "chat:get-active-members", room)
			if !ack.Success {
				return false
			}
			var active struct{ ActiveMembers []string }
			mesh.Received{Data: ack.Raw}.Decode(t, &active)
			answer := m.AdminAt(t, 0, "GET", "/v1/users/ann/presence", struct{}{}, nil)
			var ann proto.PresenceState
			if answer.Status == 200 {
				decode(t, []byte(answer.Body), &ann)
			}
			return len(active.ActiveMembers) == 2 && ann.Effective == proto.StatusBusy && len(ann.Sessions) == 1
		})
	}

	m.Presence[0].Kill()
	whole("one of two instances has died")
	m.Presence[1].Kill()
	late := node.Dial(t, m.Gateways[1].URL, mesh.Token(t, "dan", ""), nil) // while there is no presence
	require.True(t, late.Emit(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": "served all the same"}).Success)
	m.StartPresence(t, 0)
	m.StartPresence(t, 1)
	whole("presence was away")
	sees(t, watcher, "dan", proto.StatusOnline)

	m.FlushRedis(t)
	whole("Redis was flushed")
	late.Disconnect(t)
	sees(t, watcher, "dan", proto.StatusOffline)
	m.Redis.Kill()
	m.StartRedis(t)
	whole("Redis was lost")
	set(t, cat, map[string]any{"status": "away"})
	sees(t, watcher, "cat", proto.StatusAway)
	set(t, ann, map[string]any{"status": "online"})
	after := sees(t, watcher, "ann", proto.StatusOnline)
	require.Greater(t, after.Version, before.Version)
	for _, p := range append(shown(t, watcher, "ann"), shown(t, watcher, "cat")...) {
		require.NotEqual(t, proto.StatusOffline, p.Status, "%s was there throughout", p.UserID)
	}
	require.Empty(t, watcher.Events("chat:member-left"))
}
