package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/tools/e2e/mesh"
)

// grace is PRESENCE_GRACE as it comes, with what publishing takes.
const grace = 12 * time.Second

// watch subscribes to users and gives what the ack says of them, in order.
func watch(t *testing.T, c mesh.Client, users ...string) proto.SubscribePresenceRes {
	t.Helper()
	ack := c.Emit(t, "presence:subscribe", map[string]any{"userIds": users})
	require.True(t, ack.Success, "%s", ack.Raw)
	var res proto.SubscribePresenceRes
	decode(t, ack.Raw, &res)
	require.Len(t, res.Presences, len(users))
	return res
}

// shown is every presence:update about a user, in order.
func shown(t *testing.T, c mesh.Client, user string) (all []proto.Presence) {
	t.Helper()
	for _, e := range c.Events("presence:update") {
		var p proto.Presence
		e.Decode(t, &p)
		if p.UserID == user {
			require.Empty(t, e.Offset, "not durable")
			all = append(all, p)
		}
	}
	return all
}

// sees waits until the newest that a client was shown of a user is of this status.
func sees(t *testing.T, c mesh.Client, user string, status proto.Status) (newest proto.Presence) {
	t.Helper()
	mesh.Eventually(t, 20*seconds, user+" is shown "+string(status), func() bool {
		all := shown(t, c, user)
		if len(all) > 0 {
			newest = all[len(all)-1]
		}
		return newest.Status == status
	})
	return newest
}

// set is presence:update.
func set(t *testing.T, c mesh.Client, update map[string]any) (res proto.UpdatePresenceRes) {
	t.Helper()
	ack := c.Emit(t, "presence:update", update)
	require.True(t, ack.Success, "%s", ack.Raw)
	decode(t, ack.Raw, &res)
	return res
}

// pidOf is what a return of the client presents.
func pidOf(t *testing.T, c mesh.Client) string {
	t.Helper()
	hello := last[struct{ PID string }](t, c.Await(t, "connected", 1))
	require.NotEmpty(t, hello.PID)
	return hello.PID
}

// state is what a backend is told of a user.
func state(t *testing.T, m *mesh.Mesh, user string) (s proto.PresenceState) {
	t.Helper()
	answer := m.AdminAt(t, 0, http.MethodGet, "/v1/users/"+user+"/presence", struct{}{}, nil)
	require.Equal(t, http.StatusOK, answer.Status, answer.Body)
	decode(t, []byte(answer.Body), &s)
	return s
}

// put sets the contacts or blocks of a user.
func put(t *testing.T, m *mesh.Mesh, user, relation string, users ...string) {
	t.Helper()
	status, answer := m.Admin(t, http.MethodPut, "/v1/users/"+user+"/"+relation, map[string]any{"userIds": append([]string{}, users...)})
	require.Equal(t, http.StatusOK, status, "%v", answer)
}

var stay = map[string]any{"transports": []string{"websocket"}, "reconnection": false}

// A user's phone and desk on two gateways: the best of the devices shows, busy and invisible are of the user, the invisible still get
// messages and are not among the active, and come back as they had set themselves. Edges 31, 34, 35.
func TestPresenceOfSeveralDevices(t *testing.T) {
	t.Parallel()
	m := mesh.Start(t, mesh.Options{Gateways: 2})
	m.PutChat(t, "room", "ann", "bob")
	node := mesh.StartNode(t)
	bob := node.Dial(t, m.Gateways[0].URL, mesh.Token(t, "bob", "phone"), nil)
	require.Equal(t, proto.StatusOffline, watch(t, bob, "ann").Presences[0].Status)
	phone := node.Dial(t, m.Gateways[1].URL, mesh.Token(t, "ann", "phone"), nil)
	first := sees(t, bob, "ann", proto.StatusOnline)
	require.Zero(t, first.LastSeen, "of those who are there nobody says when")

	// A short loss shows nothing to anybody. Edge 31.
	phone.Drop(t)
	phone.AwaitNote(t, "connect", 2)
	wait(t, grace)
	require.Equal(t, first, last1(t, shown(t, bob, "ann")))
	require.Len(t, shown(t, bob, "ann"), 2, "offline before ann came, and online")

	// The best of the devices shows; busy is of all. Edge 34.
	desk := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "ann", "desk"))
	require.Equal(t, proto.StatusOnline, set(t, phone, map[string]any{"status": "away"}).EffectiveStatus)
	require.Equal(t, proto.StatusAway, set(t, desk, map[string]any{"status": "away"}).EffectiveStatus)
	sees(t, bob, "ann", proto.StatusAway)
	require.Equal(t, proto.StatusBusy, set(t, desk, map[string]any{"status": "busy", "customStatus": "in a talk"}).EffectiveStatus)
	require.Equal(t, "in a talk", sees(t, bob, "ann", proto.StatusBusy).CustomStatus)
	require.Equal(t, "in a talk", sees(t, phone, "ann", proto.StatusBusy).CustomStatus, "one's other devices follow")
	require.Equal(t, proto.StatusBusy, set(t, phone, map[string]any{"status": "away"}).EffectiveStatus, "another device's away changes nothing")

	// Invisible: offline to others, not among the active, and messages still come.
	for _, c := range []mesh.Client{bob, phone} {
		require.True(t, c.Emit(t, "chat:join", map[string]any{"chatId": "room"}).Success)
	}
	require.ElementsMatch(t, []string{"ann", "bob"}, activeMembers(t, bob))
	began := time.Now()
	require.Equal(t, proto.StatusOffline, set(t, phone, map[string]any{"status": "offline"}).EffectiveStatus)
	hidden := sees(t, bob, "ann", proto.StatusOffline)
	require.InDelta(t, began.UnixMilli(), hidden.LastSeen, 5_000)
	mesh.Eventually(t, 10*seconds, "the invisible are not active", func() bool { return len(activeMembers(t, bob)) == 1 })
	require.True(t, bob.Emit(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": "are you there?"}).Success)
	phone.Await(t, "message:new", 1)
	known := state(t, m, "ann")
	require.Equal(t, proto.StatusOffline, known.Effective)
	require.Equal(t, proto.StatusAway, known.Status, "the truth is for backends: both devices are away")
	require.Len(t, known.Sessions, 2)
	set(t, phone, map[string]any{"status": "online"})
	sees(t, bob, "ann", proto.StatusOnline)
	require.ElementsMatch(t, []string{"ann", "bob"}, activeMembers(t, bob))

	// Busy outlives the devices. Edge 35.
	set(t, desk, map[string]any{"status": "busy"})
	sees(t, bob, "ann", proto.StatusBusy)
	phone.Disconnect(t)
	left := time.Now()
	desk.Drop()
	gone := sees(t, bob, "ann", proto.StatusOffline)
	require.InDelta(t, left.UnixMilli(), gone.LastSeen, 2_000, "seen until the last connection ended")
	require.Greater(t, time.Since(left), 9*seconds, "not before the grace is over")
	mesh.DialPlain(t, m.Gateways[1].URL, mesh.Token(t, "ann", "desk"))
	sees(t, bob, "ann", proto.StatusBusy)
	var version uint64
	for _, p := range shown(t, bob, "ann")[1:] {
		require.Greater(t, p.Version, version, "versions grow")
		version = p.Version
	}
}

func last1(t *testing.T, all []proto.Presence) proto.Presence {
	t.Helper()
	require.NotEmpty(t, all)
	return all[len(all)-1]
}

func activeMembers(t *testing.T, c mesh.Client) []string {
	t.Helper()
	var ack struct{ ActiveMembers []string }
	mesh.Received{Data: c.Emit(t, "chat:get-active-members", map[string]any{"chatId": "room"}).Raw}.Decode(t, &ack)
	return ack.ActiveMembers
}

// Who shares no chat and is no contact, and who is blocked, sees offline and not since when; what backends change is seen at once. Edge 36.
func TestPresenceOfStrangersContactsAndTheBlocked(t *testing.T) {
	t.Parallel()
	m := mesh.Start(t, mesh.Options{Gateways: 2})
	m.PutChat(t, "room", "ann", "bob")
	node := mesh.StartNode(t)
	ann := node.Dial(t, m.Gateways[1].URL, mesh.Token(t, "ann", ""), nil)
	bob := node.Dial(t, m.Gateways[0].URL, mesh.Token(t, "bob", ""), nil)
	eve := node.Dial(t, m.Gateways[0].URL, mesh.Token(t, "eve", ""), nil)
	require.Equal(t, proto.StatusOnline, watch(t, bob, "ann").Presences[0].Status)
	require.Equal(t, "ann", watch(t, bob, "ann").Presences[0].UserID, "asking again is fine")

	res := watch(t, eve, "ann", "nobody")
	require.Equal(t, []string{"ann", "nobody"}, res.Denied)
	for i, user := range []string{"ann", "nobody"} {
		require.Equal(t, proto.Presence{UserID: user, Status: proto.StatusOffline}, res.Presences[i], "a stranger cannot tell whether there is such a user")
	}
	set(t, ann, map[string]any{"status": "busy"})
	sees(t, bob, "ann", proto.StatusBusy)
	require.Equal(t, proto.StatusOffline, last1(t, shown(t, eve, "ann")).Status)
	require.Len(t, shown(t, eve, "ann"), 1, "only the answer to the subscription")

	put(t, m, "ann", "contacts", "eve")
	sees(t, eve, "ann", proto.StatusBusy)
	put(t, m, "ann", "blocks", "eve", "bob")
	for _, c := range []mesh.Client{eve, bob} {
		hidden := sees(t, c, "ann", proto.StatusOffline)
		require.Zero(t, hidden.LastSeen, "blocked: not since when")
		require.Nil(t, hidden.LastSeenAt)
	}
	set(t, ann, map[string]any{"status": "online"})
	res = watch(t, bob, "ann")
	require.Equal(t, []string{"ann"}, res.Denied)
	require.Equal(t, []string{"bob"}, watch(t, ann, "bob").Denied, "nor does the one who blocks see the blocked")
	require.Equal(t, proto.StatusOffline, last1(t, shown(t, eve, "ann")).Status)
	put(t, m, "ann", "blocks")
	for _, c := range []mesh.Client{eve, bob} {
		sees(t, c, "ann", proto.StatusOnline)
	}

	// Membership is what lets bob see ann: it ends, and so does that.
	status, answer := m.Admin(t, http.MethodDelete, "/v1/chats/room/members/bob", nil)
	require.Equal(t, http.StatusOK, status, "%v", answer)
	sees(t, bob, "ann", proto.StatusOffline)
	require.True(t, eve.Emit(t, "presence:unsubscribe", map[string]any{"userIds": []string{"ann"}}).Success)
	before := len(shown(t, eve, "ann"))
	set(t, ann, map[string]any{"status": "away"})
	require.Equal(t, proto.StatusAway, state(t, m, "ann").Effective)
	wait(t, seconds)
	require.Len(t, shown(t, eve, "ann"), before, "no more of those one has unsubscribed")
}
