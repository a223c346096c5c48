package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/tools/e2e/mesh"
)

func decode(t *testing.T, raw []byte, v any) {
	t.Helper()
	require.NoError(t, json.Unmarshal(raw, v), "%s", raw)
}

// A recipient whose network is gone while TCP stays open: the message stays in the device's queue until message:delivered, and
// comes again on each connection until then. Edge 24.
func TestAMessageStaysUntilItIsDelivered(t *testing.T) {
	t.Parallel()
	m := mesh.Start(t, mesh.Options{})
	m.PutChat(t, "room", "ann", "bob")
	node := mesh.StartNode(t)
	ann := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "ann", ""))
	zombie := node.Dial(t, m.Gateways[0].URL, mesh.Token(t, "bob", "phone"), nil)
	zombie.Freeze(t)
	for i := range 3 {
		require.True(t, ann.Emit(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": fmt.Sprint(i)}).Success)
	}
	for range 2 { // not confirmed: it comes again, whole and in order
		bob := node.Dial(t, m.Gateways[0].URL, mesh.Token(t, "bob", "phone"), nil)
		bob.Await(t, "message:new", 3)
		for i, s := range bob.Messages(t) {
			require.EqualValues(t, i+1, s.Message.Seq)
		}
		var hello struct{ Missed int }
		bob.Events("connected")[0].Decode(t, &hello)
		require.Equal(t, 3, hello.Missed)
		bob.Disconnect(t)
	}
	bob := node.Dial(t, m.Gateways[0].URL, mesh.Token(t, "bob", "phone"), nil)
	got := bob.Await(t, "message:new", 3)
	require.Len(t, got, 3)
	second := bob.Messages(t)[1]
	ack := bob.Emit(t, "message:delivered", map[string]any{"chatId": "room", "messageId": second.Message.ID})
	require.True(t, ack.Success, "%s", ack.Raw)
	// A late, older confirmation moves nothing back.
	var cursor struct{ UpToSeq uint64 }
	decode(t, bob.Emit(t, "message:delivered", map[string]any{"chatId": "room", "upToSeq": 1}).Raw, &cursor)
	require.EqualValues(t, 2, cursor.UpToSeq)
	bob.Disconnect(t)
	bob = node.Dial(t, m.Gateways[0].URL, mesh.Token(t, "bob", "phone"), nil)
	bob.Await(t, "message:new", 1)
	require.EqualValues(t, 3, bob.Messages(t)[0].Message.Seq)

	// Another device of bob's has never been seen: it starts at the head, and its queue is its own.
	tablet := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "bob", "tablet"))
	require.True(t, ann.Emit(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": "live"}).Success)
	tablet.Await(t, "message:new", 1)
	require.EqualValues(t, 4, tablet.Messages(t)[0].Message.Seq)
}

// A backlog of a thousand messages comes in order and paged, while live messages of another chat pass it. Edge 27.
func TestABacklogDoesNotStarveTheLiveStream(t *testing.T) {
	t.Parallel()
	const backlog = 1000
	m := mesh.Start(t, mesh.Options{})
	m.PutChat(t, "busy", "ann", "bob")
	m.PutChat(t, "quiet", "ann", "bob")
	mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "bob", "phone")).Drop()
	ann := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "ann", ""))
	var acks []<-chan json.RawMessage
	for i := range backlog {
		acks = append(acks, ann.EmitAsync(t, "message:new", map[string]any{"chatId": "busy", "encryptedContent": fmt.Sprint(i)}))
		if len(acks) == 100 {
			for _, ack := range acks {
				require.True(t, mesh.AwaitAck(t, "message:new", ack).Success)
			}
			acks = nil
		}
	}
	bob := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "bob", "phone"))
	for i := range 20 {
		require.True(t, ann.Emit(t, "message:new", map[string]any{"chatId": "quiet", "encryptedContent": fmt.Sprint("live ", i)}).Success)
		require.True(t, ann.Emit(t, "message:new", map[string]any{"chatId": "busy", "encryptedContent": fmt.Sprint("tail ", i)}).Success)
	}
	bob.Await(t, "message:new", backlog+40)
	next := map[string]uint64{}
	for _, s := range bob.Messages(t) {
		next[s.Message.ChatID]++
		require.Equal(t, next[s.Message.ChatID], s.Message.Seq, "each chat in order, once, without a hole")
	}
	require.EqualValues(t, backlog+20, next["busy"])
	require.EqualValues(t, 20, next["quiet"])
}

// Members who never called chat:join get every message; someone who is not a member learns nothing, not even that the chat exists. Edges 20, 23.
func TestMembersAndStrangers(t *testing.T) {
	t.Parallel()
	m := mesh.Start(t, mesh.Options{Gateways: 2, Chats: 2})
	m.PutChat(t, "room", "ann", "bob")
	m.PutChat(t, "other", "ann")
	ann := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "ann", ""))
	bob := mesh.DialPlain(t, m.Gateways[1].URL, mesh.Token(t, "bob", ""))
	eve := mesh.DialPlain(t, m.Gateways[1].URL, mesh.Token(t, "eve", ""))
	first := sent(t, ann.Emit(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": "hi"}))
	foreign := sent(t, ann.Emit(t, "message:new", map[string]any{"chatId": "other", "encryptedContent": "elsewhere"}))
	bob.Await(t, "message:new", 1)

	for _, req := range []struct {
		event string
		data  map[string]any
	}{
		{"message:new", map[string]any{"encryptedContent": "x"}}, {"message:history", map[string]any{}},
		{"message:delivered", map[string]any{"upToSeq": 1}}, {"chat:join", map[string]any{}},
	} {
		for _, chat := range []string{"room", "no such chat"} {
			req.data["chatId"] = chat
			ack := eve.Emit(t, req.event, req.data)
			require.Equal(t, "CHAT_NOT_FOUND", ack.Code, "%s in %s: %s", req.event, chat, ack.Raw)
		}
	}

	reply := sent(t, bob.Emit(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": "re", "replyToId": first.Message.ID}))
	for _, id := range []string{foreign.Message.ID, "msg_01JZZZZZZZZZZZZZZZZZZZZZZZ", "nonsense"} {
		ack := bob.Emit(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": "re", "replyToId": id})
		require.Equal(t, "MESSAGE_NOT_FOUND", ack.Code, "reply to %s: %s", id, ack.Raw)
	}
	require.Len(t, mesh.History(t, ann, "room"), 2, "nothing was stored for a refused reply")
	require.EqualValues(t, 2, reply.Message.Seq)

	// Eve becomes a member while connected, and later is one no more.
	status, _ := m.Admin(t, "POST", "/v1/chats/room/members", map[string]any{"userId": "eve"})
	require.Equal(t, 200, status)
	eve.Await(t, "chat:member-joined", 1)
	sent(t, ann.Emit(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": "welcome"}))
	eve.Await(t, "message:new", 1)
	status, _ = m.Admin(t, "DELETE", "/v1/chats/room/members/eve", map[string]any{})
	require.Equal(t, 200, status)
	eve.Await(t, "chat:member-left", 1)
	sent(t, ann.Emit(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": "without eve"}))
	bob.Await(t, "message:new", 3)
	require.Equal(t, "CHAT_NOT_FOUND", eve.Emit(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": "x"}).Code)
	ofChat := slices.DeleteFunc(eve.Events(""), func(e mesh.Received) bool { return e.Event == "notification:new" }) // of the invitation, whenever notify gets to it
	require.Equal(t, "chat:member-left", ofChat[len(ofChat)-1].Event, "it comes last, then nothing more of the chat")
}
