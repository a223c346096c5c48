package e2e

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/tools/e2e/mesh"
)

// receipt is message:delivered and message:read.
type receipt struct {
	MessageID, UserID, ChatID string
	MessageIDs                []string
	Seq                       uint64
	DeliveredAt, ReadAt       time.Time
	UnreadCount               *uint64
}

// couple is two users with two devices each, over two gateways in processes of their own: for each user one stock client
// and one plain websocket, neither on one gateway with the other.
type couple struct {
	m                  *mesh.Mesh
	annPhone, annDesk  mesh.Client
	bobPhone, bobDesk  mesh.Client
	everyone, ann, bob []mesh.Client
	say                func(c mesh.Client, content string, more ...map[string]any) mesh.SentMessage
	refused            func(c mesh.Client, event string, request map[string]any, code, field string)
}

func newCouple(t *testing.T, env map[string]string) *couple {
	t.Helper()
	m := mesh.Start(t, mesh.Options{Gateways: 2, Chats: 2, Env: env})
	m.PutChat(t, "room", "ann", "bob")
	node := mesh.StartNode(t)
	c := &couple{
		m:        m,
		annPhone: node.Dial(t, m.Gateways[0].URL, mesh.Token(t, "ann", "phone"), nil),
		annDesk:  mesh.DialPlain(t, m.Gateways[1].URL, mesh.Token(t, "ann", "desk")),
		bobPhone: node.Dial(t, m.Gateways[1].URL, mesh.Token(t, "bob", "phone"), nil),
		bobDesk:  mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "bob", "desk")),
	}
	c.ann, c.bob = []mesh.Client{c.annPhone, c.annDesk}, []mesh.Client{c.bobPhone, c.bobDesk}
	c.everyone = append(append([]mesh.Client{}, c.ann...), c.bob...)
	c.say = func(from mesh.Client, content string, more ...map[string]any) mesh.SentMessage {
		t.Helper()
		request := map[string]any{"chatId": "room", "encryptedContent": content}
		for _, fields := range more {
			maps.Copy(request, fields)
		}
		return sent(t, from.Emit(t, "message:new", request))
	}
	c.refused = func(from mesh.Client, event string, request map[string]any, code, field string) {
		t.Helper()
		ack := from.Emit(t, event, request)
		require.False(t, ack.Success, "%s", ack.Raw)
		require.Equal(t, code, ack.Code, "%s", ack.Raw)
		require.Equal(t, field, ack.Field, "%s", ack.Raw)
	}
	return c
}

func answer[T any](t *testing.T, ack mesh.Ack) (v T) {
	t.Helper()
	require.True(t, ack.Success, "%s", ack.Raw)
	require.NoError(t, json.Unmarshal(ack.Raw, &v))
	return v
}

// Delivered goes to the author once, from whichever device is first; read goes to the author and to the reader's other
// sockets with the badge; neither goes back, whatever order and clock they come with. Edges 24, 25, 26.
// by is what a client was told of one user's reading.
func by(t *testing.T, c mesh.Client, user string) (out []receipt) {
	t.Helper()
	for _, e := range c.Events("message:read") {
		var r receipt
		e.Decode(t, &r)
		if r.UserID == user {
			out = append(out, r)
		}
	}
	return out
}

func TestReceiptsOverTwoGateways(t *testing.T) {
	t.Parallel()
	c := newCouple(t, nil)
	one, two := c.say(c.annPhone, "one"), c.say(c.annDesk, "two")
	c.bobPhone.Await(t, "message:new", 2)

	// Out of order, with a clock that is an hour ahead.
	future := time.Now().Add(time.Hour).UTC().Format("2006-01-02T15:04:05.000Z")
	got := answer[receiptAck](t, c.bobPhone.Emit(t, "message:delivered", map[string]any{"chatId": "room", "messageId": two.Message.ID, "deliveredAt": future}))
	require.EqualValues(t, 2, got.UpToSeq)
	require.WithinDuration(t, time.Now(), got.DeliveredAt, 30*seconds, "clamped to now")
	got = answer[receiptAck](t, c.bobPhone.Emit(t, "message:delivered", map[string]any{"chatId": "room", "messageId": one.Message.ID}))
	require.EqualValues(t, 2, got.UpToSeq, "it never goes back")
	for _, ann := range c.ann { // both devices of the author, on both gateways
		d := last[receipt](t, ann.Await(t, "message:delivered", 1))
		require.Equal(t, "bob", d.UserID)
		require.Equal(t, two.Message.ID, d.MessageID)
		require.ElementsMatch(t, []string{one.Message.ID, two.Message.ID}, d.MessageIDs)
	}
	// The second device has it later: the author has been told.
	require.True(t, c.bobDesk.Emit(t, "message:delivered", map[string]any{"chatId": "room", "upToSeq": 2}).Success)

	read := answer[receiptAck](t, c.bobPhone.Emit(t, "message:read", map[string]any{"chatId": "room", "messageIds": []string{one.Message.ID}}))
	require.EqualValues(t, 1, read.UpToSeq)
	require.EqualValues(t, 1, *read.UnreadCount)
	badge := last[receipt](t, c.bobDesk.Await(t, "message:read", 1))
	require.EqualValues(t, 1, *badge.UnreadCount, "the badge of the other device follows")
	require.Equal(t, "bob", badge.UserID)
	r := last[receipt](t, c.annDesk.Await(t, "message:read", 1))
	require.Equal(t, one.Message.ID, r.MessageID)
	require.Nil(t, r.UnreadCount, "another's badge is nobody's business")

	// What one answers is read: the author and one's own other device are told.
	c.say(c.bobPhone, "three")
	for _, ann := range c.ann {
		require.Equal(t, two.Message.ID, last[receipt](t, ann.Await(t, "message:read", 2)).MessageID)
	}
	require.Zero(t, *last[receipt](t, c.bobDesk.Await(t, "message:read", 2)).UnreadCount)
	mesh.Eventually(t, 10*seconds, "what bob said is read by bob", func() bool {
		return answer[joinAck](t, c.bobDesk.Emit(t, "chat:join", map[string]any{"chatId": "room"})).UnreadCount == 0
	})
	joined := answer[joinAck](t, c.annPhone.Emit(t, "chat:join", map[string]any{"chatId": "room"}))
	require.EqualValues(t, 1, joined.UnreadCount, "bob's message")
	require.Equal(t, []memberReceipt{{"bob", 3, 3}}, joined.Receipts)

	// Once each, and none to the socket that read.
	require.True(t, c.annPhone.Emit(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": "end"}).Success)
	c.bobPhone.Await(t, "message:new", 3)
	for _, ann := range c.ann {
		require.Len(t, ann.Events("message:delivered"), 1)
		require.Len(t, by(t, ann, "bob"), 2)
		for _, e := range ann.Events("message:read") {
			require.Empty(t, e.Offset, "not of the log")
		}
	}
	c.bobPhone.Await(t, "message:read", 1) // ann's answer has read bob's
	require.Empty(t, by(t, c.bobPhone, "bob"))

	c.refused(c.bobPhone, "message:read", map[string]any{"chatId": "room", "messageId": "msg_01KK8Y8Z0G0000000A00BWY4SB"}, "MESSAGE_NOT_FOUND", "")
	c.refused(c.bobPhone, "message:read", map[string]any{"chatId": "room"}, "INVALID_PAYLOAD", "messageId")
}

type receiptAck struct {
	UpToSeq             uint64
	DeliveredAt, ReadAt time.Time
	UnreadCount         *uint64
}

type memberReceipt struct {
	UserID                string
	DeliveredSeq, ReadSeq uint64
}

type joinAck struct {
	LastSeq, ReadSeq, UnreadCount uint64
	Receipts                      []memberReceipt
}

// An edit and a deletion reach every device of every member, in one order; history, sync and a device that was away show
// the same; a deleted message is answered by nobody. Edges 13, 23.
func TestEditsAndDeletionsOverTwoGateways(t *testing.T) {
	t.Parallel()
	c := newCouple(t, nil)
	first := c.say(c.annPhone, "frist")
	gone := c.say(c.annDesk, "said too much")
	ad := c.say(c.bobPhone, "an advertisement")
	in := func(m mesh.SentMessage, more ...any) map[string]any {
		request := map[string]any{"chatId": "room", "messageId": m.Message.ID}
		for i := 0; i+1 < len(more); i += 2 {
			request[more[i].(string)] = more[i+1] //nolint:forcetypeassert // names, above
		}
		return request
	}

	require.True(t, c.annDesk.Emit(t, "message:edit", in(first, "encryptedContent", "first")).Success)
	require.True(t, c.annPhone.Emit(t, "message:delete", in(gone, "forEveryone", true)).Success)
	for i, device := range c.everyone {
		var edited struct{ MessageID, EncryptedContent, EditedBy string }
		e := device.Await(t, "message:edited", 1)[0]
		e.Decode(t, &edited)
		require.Equal(t, first.Message.ID, edited.MessageID, i)
		require.Equal(t, "first", edited.EncryptedContent)
		require.Equal(t, "ann", edited.EditedBy)
		require.Len(t, e.Offset, 22, "durable")
		var deleted struct {
			MessageID, DeletedBy, Reason string
			ForEveryone                  bool
		}
		device.Await(t, "message:deleted", 1)[0].Decode(t, &deleted)
		require.Equal(t, gone.Message.ID, deleted.MessageID)
		require.True(t, deleted.ForEveryone)
	}
	c.refused(c.bobPhone, "message:edit", in(first, "encryptedContent", "x"), "PERMISSION_DENIED", "")
	c.refused(c.bobPhone, "message:delete", in(first, "forEveryone", true), "PERMISSION_DENIED", "")
	c.refused(c.annPhone, "message:edit", in(gone, "encryptedContent", "x"), "MESSAGE_NOT_FOUND", "messageId")
	c.refused(c.bobPhone, "message:new", map[string]any{"chatId": "room", "encryptedContent": "re", "replyToId": gone.Message.ID}, "MESSAGE_NOT_FOUND", "replyToId")
	c.m.PutChat(t, "other", "ann")
	elsewhere := sent(t, c.annPhone.Emit(t, "message:new", map[string]any{"chatId": "other", "encryptedContent": "secret"}))
	c.refused(c.bobPhone, "message:new", map[string]any{"chatId": "room", "encryptedContent": "re", "replyToId": elsewhere.Message.ID}, "MESSAGE_NOT_FOUND", "replyToId")
	c.refused(c.bobPhone, "message:new", map[string]any{
		"chatId": "room", "encryptedContent": "fw", "forwardFrom": map[string]any{"chatId": "other", "messageId": elsewhere.Message.ID},
	}, "MESSAGE_NOT_FOUND", "forwardFrom.messageId")
	c.say(c.annPhone, "fw", map[string]any{"forwardFrom": map[string]any{"chatId": "other", "messageId": elsewhere.Message.ID}, "mentions": []string{"bob", "bob", "nobody"}})

	// For bob alone: both of his devices, nobody else's.
	require.True(t, c.bobDesk.Emit(t, "message:delete", in(ad)).Success)
	require.Len(t, c.bobPhone.Await(t, "message:deleted", 2), 2)
	require.Len(t, c.bobDesk.Await(t, "message:deleted", 2), 2)

	want := map[string][]string{"ann": {"first", "", "an advertisement", "fw"}, "bob": {"first", "", "fw"}}
	for user, contents := range want {
		fresh := mesh.DialPlain(t, c.m.Gateways[1].URL, mesh.Token(t, user, "phone"))
		var read struct{ Messages []mesh.SentMessage }
		for _, ack := range []mesh.Ack{
			fresh.Emit(t, "message:history", map[string]any{"chatId": "room"}),
			fresh.Emit(t, "message:history", map[string]any{"chatId": "room", "afterSeq": 0}),
		} {
			read = answer[struct{ Messages []mesh.SentMessage }](t, ack)
			require.Equal(t, contents, contentsOf(read.Messages), user)
		}
		synced := answer[struct {
			Chats []struct{ Messages []mesh.SentMessage }
		}](t, fresh.Emit(t, "sync:pull", map[string]any{"chats": []map[string]any{{"chatId": "room", "afterSeq": 0}}}))
		require.Equal(t, contents, contentsOf(synced.Chats[0].Messages), user)
	}
	require.Len(t, c.annPhone.Events("message:deleted"), 1)

	// Killed, all of it: the log has every edit.
	c.m.KillAll()
	c.m.StartAll(t)
	back := mesh.DialPlain(t, c.m.Gateways[0].URL, mesh.Token(t, "bob", "desk"))
	require.Equal(t, want["bob"], contentsOf(mesh.History(t, back, "room")))
}

func contentsOf(messages []mesh.SentMessage) []string {
	out := make([]string, len(messages))
	for i, m := range messages {
		out[i] = m.Message.EncryptedContent
	}
	return out
}

// A message with a time to live is gone for everyone when it is over, also when everything was killed and came back later.
func TestDisappearingMessageAcrossKills(t *testing.T) {
	t.Parallel()
	c := newCouple(t, nil)
	short := c.say(c.annPhone, "soon gone", map[string]any{"ttlSec": 5})
	long := c.say(c.annPhone, "gone while all is down", map[string]any{"ttlSec": 9})
	for _, bob := range c.bob {
		var e struct{ MessageID, Reason string }
		bob.Await(t, "message:deleted", 1)[0].Decode(t, &e)
		require.Equal(t, short.Message.ID, e.MessageID)
		require.Equal(t, "expired", e.Reason)
	}
	c.m.KillAll()
	wait(t, 6*seconds)
	c.m.StartAll(t)
	back := mesh.DialPlain(t, c.m.Gateways[1].URL, mesh.Token(t, "bob", "tablet"))
	require.Equal(t, []string{"", ""}, contentsOf(mesh.History(t, back, "room")), "not shown past its time, timer or not")
	nc, err := nats.Connect(c.m.NATSURL)
	require.NoError(t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	log, err := js.Stream(t.Context(), proto.Events.Name)
	require.NoError(t, err)
	mesh.Eventually(t, 30*seconds, "the deletion is in the log", func() bool {
		entry, err := log.GetLastMsgForSubject(t.Context(), proto.ChatLog("room", proto.KindEdit))
		return err == nil && strings.Contains(string(entry.Data), long.Message.ID) && strings.Contains(string(entry.Data), `"reason":"expired"`)
	})
}

// Changes of a chat by a backend reach every device of every member, once.
func TestChatChangesOverTwoGateways(t *testing.T) {
	t.Parallel()
	c := newCouple(t, nil)
	status, answer := c.m.Admin(t, http.MethodPatch, "/v1/chats/room", map[string]any{"name": "The room", "settings": map[string]any{"theme": "dark"}})
	require.Equal(t, http.StatusOK, status, "%v", answer)
	status, answer = c.m.Admin(t, http.MethodPost, "/v1/chats/room/members", map[string]any{"userId": "cat", "role": "admin", "addedBy": "ann"})
	require.Equal(t, http.StatusOK, status, "%v", answer)
	cat := mesh.DialPlain(t, c.m.Gateways[1].URL, mesh.Token(t, "cat", ""))
	require.True(t, cat.Emit(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": "hello"}).Success)
	for _, device := range c.everyone {
		var u struct {
			UpdateType string
			Changes    struct{ Name string }
		}
		device.Await(t, "chat:updated", 1)[0].Decode(t, &u)
		require.Equal(t, "The room", u.Changes.Name)
		var j struct{ UserID, Role, AddedBy, Kind string }
		device.Await(t, "chat:member-joined", 1)[0].Decode(t, &j)
		require.Equal(t, struct{ UserID, Role, AddedBy, Kind string }{"cat", "admin", "ann", "membership"}, j)
		device.Await(t, "message:new", 1)
		require.Len(t, device.Events("chat:updated"), 1)
	}
	// An admin of the chat may delete what others said.
	ad := c.say(c.bobPhone, "an advertisement")
	require.True(t, cat.Emit(t, "message:delete", map[string]any{"chatId": "room", "messageId": ad.Message.ID, "forEveryone": true}).Success)
	var e struct{ DeletedBy, Reason string }
	c.bobDesk.Await(t, "message:deleted", 1)[0].Decode(t, &e)
	require.Equal(t, struct{ DeletedBy, Reason string }{"cat", "moderated"}, e)
}
