package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/tools/e2e/mesh"
)

// aboutAChat is a valid request of every client event that concerns a chat, for a member. Its own message is the
// one that the asker sent while a member, other one that somebody else did.
func aboutAChat(chat string, own, other mesh.SentMessage) map[string]map[string]any {
	return map[string]map[string]any{
		"message:new":             {"chatId": chat, "encryptedContent": "x"},
		"message:delivered":       {"chatId": chat, "messageId": other.Message.ID},
		"message:read":            {"chatId": chat, "messageId": other.Message.ID},
		"message:typing":          {"chatId": chat},
		"message:stop-typing":     {"chatId": chat},
		"message:history":         {"chatId": chat},
		"message:edit":            {"chatId": chat, "messageId": own.Message.ID, "encryptedContent": "y"},
		"message:delete":          {"chatId": chat, "messageId": own.Message.ID},
		"reaction:new":            {"chatId": chat, "messageId": other.Message.ID, "reaction": "👍"},
		"reaction:remove":         {"chatId": chat, "messageId": other.Message.ID, "reaction": "👍"},
		"reaction:get":            {"chatId": chat, "messageId": other.Message.ID},
		"reaction:summary":        {"chatId": chat, "messageIds": []string{other.Message.ID}},
		"chat:join":               {"chatId": chat},
		"chat:leave":              {"chatId": chat},
		"chat:get-active-members": {"chatId": chat},
		"call:initiate":           {"callId": "call-" + chat, "targetUserId": "watcher", "callType": "audio", "offer": map[string]any{"type": "offer", "sdp": "o"}, "chatId": chat},
	}
}

// aboutChats are those that name several chats and say which of them failed.
func aboutChats(chat string) map[string]map[string]any {
	return map[string]map[string]any{
		"chat:join-multiple": {"chatIds": []string{chat}},
		"sync:pull":          {"chats": []map[string]any{{"chatId": chat, "afterSeq": 0}}},
	}
}

// aboutNoChat are the rest: there is nothing to be a member of. What they say of people is tried by peopleByMembersAndOthers.
var aboutNoChat = []string{"auth:refresh", "presence:update", "presence:subscribe", "presence:unsubscribe", "session:list", "call:history",
	"notification:read", "notification:clear", "notification:clear-all", "notification:get-pending", "notification:preferences",
	"device:register", "device:unregister", "device:push-config"}

// aboutACall is a valid request of every client event that concerns a call; calls_test.go tries them by strangers.
func aboutACall(call string) map[string]map[string]any {
	return map[string]map[string]any{
		"call:answer":        {"callId": call, "answer": map[string]any{"type": "answer", "sdp": "a"}},
		"call:reject":        {"callId": call},
		"call:end":           {"callId": call},
		"call:ice-candidate": {"callId": call, "candidate": map[string]any{"candidate": "c"}},
		"call:renegotiate":   {"callId": call, "offer": map[string]any{"type": "offer", "sdp": "o"}},
		"call:ice-servers":   {"callId": call},
	}
}

// harmless may succeed for whoever asks, since it takes something away from the asker only.
var harmless = map[string]bool{"chat:leave": true, "message:stop-typing": true}

// Every client event, by stock clients: by a member, by one whose membership has ended, and by a stranger: members are served, the
// others hear that there is no such chat, and nobody hears of them. Edges 21, 22 and CONTRACT §3 (no existence oracle).
func TestEveryEventByMembersAndOthers(t *testing.T) {
	t.Parallel()
	m := mesh.Start(t, mesh.Options{Gateways: 2})
	m.PutChat(t, "room", "watcher", "member", "former")
	m.PutChat(t, "elsewhere", "stranger")
	watcher := mesh.DialPlain(t, m.Gateways[1].URL, mesh.Token(t, "watcher", ""))
	other := sent(t, watcher.Emit(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": "by watcher"}))
	require.True(t, watcher.Emit(t, "chat:join", map[string]any{"chatId": "room"}).Success)

	node := mesh.StartNode(t)
	people := map[string]mesh.Client{}
	own := map[string]mesh.SentMessage{"stranger": other}
	for i, user := range []string{"member", "former", "stranger"} {
		people[user] = node.Dial(t, m.Gateways[i%2].URL, mesh.Token(t, user, ""), nil)
		if user != "stranger" {
			require.True(t, people[user].Emit(t, "chat:join", map[string]any{"chatId": "room"}).Success)
			own[user] = sent(t, people[user].Emit(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": "by " + user}))
		}
	}
	status, answer := m.Admin(t, http.MethodDelete, "/v1/chats/room/members/former", nil)
	require.Equal(t, http.StatusOK, status, "%v", answer)
	people["former"].Await(t, "chat:member-left", 1)
	for _, c := range []mesh.Client{watcher, people["member"]} { // who have the chat open hear of both: no member, not active
		c.Await(t, "chat:member-left", 2)
	}

	single, several := aboutAChat("room", own["member"], other), aboutChats("room")
	for _, e := range proto.Endpoints {
		row, _, _ := e.Describe()
		if row.Event == "" {
			continue
		}
		_, one := single[row.Event]
		_, many := several[row.Event]
		_, call := aboutACall("call")[row.Event]
		require.True(t, one || many || call || slices.Contains(aboutNoChat, row.Event), "%s is a client event without a row in this test", row.Event)
	}

	for _, user := range []string{"former", "stranger"} {
		watcher.Forget()
		people[user].Forget()
		for event, request := range aboutAChat("room", own[user], other) {
			ack := people[user].Emit(t, event, request)
			if harmless[event] && ack.Success {
				continue
			}
			require.False(t, ack.Success, "%s by the %s: %s", event, user, ack.Raw)
			require.Equal(t, "CHAT_NOT_FOUND", ack.Code, "%s by the %s: %s", event, user, ack.Raw)
			// A chat that never was answers the same, so that nobody can tell them apart.
			ghost := people[user].Emit(t, event, aboutAChat("no-such-room", own[user], other)[event])
			require.Equal(t, ack.Code, ghost.Code, event)
			require.Equal(t, messageOf(t, ack), messageOf(t, ghost), event)
		}
		for event, request := range aboutChats("room") {
			ack := people[user].Emit(t, event, request)
			require.True(t, ack.Success, "%s by the %s: %s", event, user, ack.Raw)
			var res struct {
				Joined []string
				Chats  []json.RawMessage
				Failed []struct{ ChatID, Code string }
			}
			require.NoError(t, json.Unmarshal(ack.Raw, &res))
			require.Empty(t, res.Joined, event)
			require.Empty(t, res.Chats, event)
			require.Len(t, res.Failed, 1, "%s by the %s: %s", event, user, ack.Raw)
			require.Equal(t, "CHAT_NOT_FOUND", res.Failed[0].Code, event)
		}
		// Whatever they caused would come before this.
		require.True(t, people["member"].Emit(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": "end of " + user}).Success)
		for _, e := range watcher.Await(t, "message:new", 1) {
			require.Contains(t, string(e.Data), "end of "+user, "nothing of the %s is seen", user)
		}
		for _, e := range watcher.Events("") {
			require.NotContains(t, string(e.Data), fmt.Sprintf(`"userId":%q`, user), "%s shows the %s", e.Event, user)
		}
		require.Empty(t, people[user].Events(""), "nothing of the chat reaches the %s", user)
	}

	peopleByMembersAndOthers(t, watcher, people)

	// The member last: deleting and leaving take away what the others were measured against.
	for _, event := range []string{
		"message:new", "message:delivered", "message:read", "message:typing", "message:stop-typing", "message:history",
		"message:edit", "chat:join", "chat:get-active-members", "call:initiate",
		"reaction:new", "reaction:get", "reaction:summary", "reaction:remove", "chat:leave", "message:delete",
	} {
		ack := people["member"].Emit(t, event, single[event])
		require.True(t, ack.Success, "%s by the member: %s", event, ack.Raw)
		delete(single, event)
	}
	require.Empty(t, single, "every event was tried")
	for event, request := range several {
		ack := people["member"].Emit(t, event, request)
		require.True(t, ack.Success, "%s by the member: %s", event, ack.Raw)
		require.NotContains(t, string(ack.Raw), "CHAT_NOT_FOUND", event)
	}
}

// peopleByMembersAndOthers: who shares a chat is shown how others are there; who does not, or no more, is shown what they would be shown of
// nobody, and is seen by nobody. Each hears of their own sessions alone.
func peopleByMembersAndOthers(t *testing.T, watcher mesh.Client, people map[string]mesh.Client) {
	t.Helper()
	res := watch(t, watcher, "member", "former", "stranger")
	require.Equal(t, []string{"former", "stranger"}, res.Denied)
	for user, c := range people {
		seen := watch(t, c, "watcher", "no-such-user")
		if user == "member" {
			require.Equal(t, []string{"no-such-user"}, seen.Denied)
			require.Equal(t, proto.StatusOnline, seen.Presences[0].Status)
		} else {
			require.Equal(t, []string{"watcher", "no-such-user"}, seen.Denied, user)
			require.Equal(t, proto.Presence{UserID: "watcher", Status: proto.StatusOffline}, seen.Presences[0], user)
		}
		require.Equal(t, proto.Presence{UserID: "no-such-user", Status: proto.StatusOffline}, seen.Presences[1], user)

		require.Equal(t, proto.StatusBusy, set(t, c, map[string]any{"status": "busy", "customStatus": "by " + user}).EffectiveStatus)
		require.True(t, c.Emit(t, "presence:unsubscribe", map[string]any{"userIds": []string{"watcher", "no-such-user"}}).Success, user)
		var own proto.SessionsRes
		decode(t, c.Emit(t, "session:list").Raw, &own)
		require.Len(t, own.Sessions, 1, user)
		require.True(t, own.Sessions[0].Current, user)
	}
	sees(t, watcher, "member", proto.StatusBusy)
	for _, user := range []string{"former", "stranger"} {
		for _, p := range shown(t, watcher, user) {
			require.Equal(t, proto.Presence{UserID: user, Status: proto.StatusOffline}, p, "nothing of the %s is seen", user)
		}
	}
}

func messageOf(t *testing.T, ack mesh.Ack) (message string) {
	t.Helper()
	var f struct{ Message string }
	require.NoError(t, json.Unmarshal(ack.Raw, &f))
	return f.Message
}
