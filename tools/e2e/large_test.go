package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/services/servicestest/long"
	"supmesh.dev/tools/e2e/mesh"
)

// What is legal reaches a device that was away, in whatever sizes it was sent, on the
// max_payload that is shipped; and what reads it is answered in pages.
func TestLargeBacklog(t *testing.T) {
	t.Parallel()
	m := mesh.Start(t, mesh.Options{})
	sizes := map[string]struct{ messages, size int }{"few": {5, 60_000}, "some": {30, 10_000}, "many": {100, 2_500}}
	total := 0
	for chat := range sizes {
		m.PutChat(t, chat, "ann", "bob")
	}
	mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "bob", "phone")).Drop()
	ann := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "ann", ""))
	for chat, of := range sizes {
		for range of.messages {
			require.True(t, ann.Emit(t, "message:new", map[string]any{"chatId": chat, "encryptedContent": strings.Repeat("x", of.size)}).Success)
			total++
		}
	}
	bob := mesh.StartNode(t).Dial(t, m.Gateways[0].URL, mesh.Token(t, "bob", "phone"), nil)
	bob.Await(t, "message:new", total)
	last := map[string]uint64{}
	for _, s := range bob.Messages(t) {
		require.Equal(t, last[s.Message.ChatID]+1, s.Message.Seq)
		last[s.Message.ChatID]++
	}
	for chat, of := range sizes {
		require.EqualValues(t, of.messages, last[chat])
		require.True(t, ann.Emit(t, "message:new", map[string]any{"chatId": chat, "encryptedContent": "live"}).Success)
	}
	bob.Await(t, "message:new", total+len(sizes))

	for chat := range sizes {
		for _, ask := range []map[string]any{{"chatId": chat}, {"chatId": chat, "limit": 100}, {"chatId": chat, "afterSeq": 0, "limit": 100}} {
			var page struct{ Messages []any }
			ack := bob.Emit(t, "message:history", ask)
			require.True(t, ack.Success, "%s", ack.Raw)
			decode(t, ack.Raw, &page)
			require.NotEmpty(t, page.Messages)
		}
	}
	ack := bob.Emit(t, "sync:pull", map[string]any{"chats": []map[string]any{{"chatId": "few"}, {"chatId": "some"}, {"chatId": "many"}}})
	require.True(t, ack.Success, "%.300s", ack.Raw)

	for n := range 70 {
		status, answer := m.Admin(t, http.MethodPost, "/v1/notifications", map[string]any{
			"userIds": []string{"bob"}, "type": "system", "title": "t", "key": fmt.Sprint(n), "data": map[string]any{"a": strings.Repeat("x", 3_500)},
		})
		require.Equal(t, http.StatusOK, status, "%v", answer)
	}
	seen := 0
	for cursor := ""; ; {
		var page struct {
			Notifications []any
			NextCursor    string
		}
		ack := bob.Emit(t, "notification:get-pending", map[string]any{"limit": 100, "cursor": cursor, "types": []string{"system"}})
		require.True(t, ack.Success, "%.300s", ack.Raw)
		decode(t, ack.Raw, &page)
		seen += len(page.Notifications)
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	require.Equal(t, 70, seen)

	// What JSON makes larger than any message is refused at once, with its field; what only its spelling makes so is not.
	refused := ann.Emit(t, "message:new", map[string]any{"chatId": "few", "encryptedContent": strings.Repeat("\x01", 60<<10)})
	require.Equal(t, "PAYLOAD_TOO_LARGE", refused.Code)
	require.Equal(t, "encryptedContent", refused.Field)
	require.True(t, ann.Emit(t, "message:new", map[string]any{"chatId": "few", "encryptedContent": strings.Repeat("<", 64<<10)}).Success)
	require.True(t, ann.Emit(t, "message:new", map[string]any{"chatId": "few", "encryptedContent": strings.Repeat(`"`, 64<<10)}).Success)
	bob.Await(t, "message:new", total+len(sizes)+2)
}

// Nobody is locked out by how many chats they are in.
func TestTrialManyChats(t *testing.T) {
	t.Parallel()
	long.Only(t)
	const chats = 1700
	m := mesh.Start(t, mesh.Options{})
	id := func(n int) string { return fmt.Sprintf("%s%04d", strings.Repeat("c", 116), n) }
	for n := range chats {
		m.PutChat(t, id(n), "ann", "bob")
	}
	bob := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "bob", "phone"))
	ann := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "ann", ""))
	for i, n := range []int{0, 850, chats - 1} {
		require.True(t, ann.Emit(t, "message:new", map[string]any{"chatId": id(n), "encryptedContent": "hello"}).Success)
		bob.Await(t, "message:new", i+1)
	}
	bob.Drop()
	for n := range 300 { // more than one question of the backlog names
		require.True(t, ann.Emit(t, "message:new", map[string]any{"chatId": id(n), "encryptedContent": "away"}).Success)
	}
	back := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "bob", "phone"))
	back.Await(t, "message:new", 300)
}
