package proto_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

type validator interface{ Validate() error }

// badField is one request with one thing wrong, and the field and code its
// error must name.
type badField struct {
	name  string
	req   validator
	field string
	code  proto.Code
}

var long = strings.Repeat("x", 129)

func send(change func(*proto.SendMessageReq)) validator {
	r := &proto.SendMessageReq{ChatID: "c", EncryptedContent: "x"}
	change(r)
	return r
}

func ptr[T any](v T) *T { return &v }

func members(n int) []proto.Member {
	return slices.Repeat([]proto.Member{{UserID: "u"}}, n)
}

func TestValidateNamesTheField(t *testing.T) {
	t.Parallel()
	bad := []badField{
		{"no chat", send(func(r *proto.SendMessageReq) { r.ChatID = "" }), "chatId", ""},
		{"chat too long", send(func(r *proto.SendMessageReq) { r.ChatID = long }), "chatId", ""},
		{"chat not printable", send(func(r *proto.SendMessageReq) { r.ChatID = "a\n" }), "chatId", ""},
		{"no content", send(func(r *proto.SendMessageReq) { r.EncryptedContent = "" }), "encryptedContent", ""},
		{"content too big", send(func(r *proto.SendMessageReq) { r.EncryptedContent = strings.Repeat("x", proto.MaxContent+1) }), "encryptedContent", proto.PayloadTooLarge},
		{"content that JSON escapes", send(func(r *proto.SendMessageReq) { r.EncryptedContent = strings.Repeat("\x01", proto.MaxEncoded/6+1) }), "encryptedContent", proto.PayloadTooLarge},
		{"edit that JSON escapes", &proto.EditReq{ChatID: "c", MessageID: "m", EncryptedContent: strings.Repeat("\x01", proto.MaxEncoded/6+1)}, "encryptedContent", proto.PayloadTooLarge},
		{"offer that JSON escapes", &proto.RenegotiateReq{CallID: "c", Offer: &proto.Sdp{Type: "offer", SDP: strings.Repeat("\x01", proto.MaxEncoded/6+1)}}, "offer.sdp", proto.PayloadTooLarge},
		{"settings too big", &proto.PutChatReq{ChatID: "c", Settings: map[string]proto.Raw{"a": proto.Raw(`"` + strings.Repeat("x", proto.MaxSettingsBytes) + `"`)}}, "settings", proto.PayloadTooLarge},
		{"open behind nothing", &proto.OpenReq{Cursor: "a.b"}, "cursor", ""},
		{"unknown type", send(func(r *proto.SendMessageReq) { r.MessageType = "sticker" }), "messageType", ""},
		{"bad reply", send(func(r *proto.SendMessageReq) { r.ReplyToID = "a\x00" }), "replyToId", ""},
		{"metadata too big", send(func(r *proto.SendMessageReq) {
			r.Metadata = proto.Raw(`{"a":"` + strings.Repeat("x", proto.MaxMetadata) + `"}`)
		}), "metadata", proto.PayloadTooLarge},
		{"metadata an array", send(func(r *proto.SendMessageReq) { r.Metadata = proto.Raw(`[1]`) }), "metadata", ""},
		{"metadata a string", send(func(r *proto.SendMessageReq) { r.Metadata = proto.Raw(`"x"`) }), "metadata", ""},
		{"bad tempId", send(func(r *proto.SendMessageReq) { r.TempID = "a b" }), "tempId", ""},
		{"tempId too long", send(func(r *proto.SendMessageReq) { r.TempID = long }), "tempId", ""},
		{"bad thread", send(func(r *proto.SendMessageReq) { r.ThreadID = "\n" }), "threadId", ""},
		{"forward without chat", send(func(r *proto.SendMessageReq) { r.ForwardFrom = &proto.ForwardedFrom{MessageID: "m"} }), "forwardFrom.chatId", ""},
		{"forward without message", send(func(r *proto.SendMessageReq) { r.ForwardFrom = &proto.ForwardedFrom{ChatID: "c"} }), "forwardFrom.messageId", ""},
		{"forward of nobody", send(func(r *proto.SendMessageReq) {
			r.ForwardFrom = &proto.ForwardedFrom{ChatID: "c", MessageID: "m", SenderID: "\n"}
		}), "forwardFrom.senderId", ""},
		{"edit without message", &proto.EditReq{ChatID: "c", EncryptedContent: "x"}, "messageId", ""},
		{"edit without chat", &proto.EditReq{MessageID: "m", EncryptedContent: "x"}, "chatId", ""},
		{"edit to nothing", &proto.EditReq{ChatID: "c", MessageID: "m"}, "encryptedContent", ""},
		{"edit too big", &proto.EditReq{ChatID: "c", MessageID: "m", EncryptedContent: strings.Repeat("x", proto.MaxContent+1)}, "encryptedContent", proto.PayloadTooLarge},
		{"edit's metadata too big", &proto.EditReq{ChatID: "c", MessageID: "m", EncryptedContent: "x", Metadata: proto.Raw(`{"a":"` + strings.Repeat("x", proto.MaxMetadata) + `"}`)}, "metadata", proto.PayloadTooLarge},
		{"edit's metadata an array", &proto.EditReq{ChatID: "c", MessageID: "m", EncryptedContent: "x", Metadata: proto.Raw(`[1]`)}, "metadata", ""},
		{"edit with 51 mentions", &proto.EditReq{ChatID: "c", MessageID: "m", EncryptedContent: "x", Mentions: slices.Repeat([]string{"u"}, 51)}, "mentions", ""},
		{"edit mentions nobody", &proto.EditReq{ChatID: "c", MessageID: "m", EncryptedContent: "x", Mentions: []string{"u", ""}}, "mentions[1]", ""},
		{"delete without message", &proto.DeleteReq{ChatID: "c"}, "messageId", ""},
		{"delete without chat", &proto.DeleteReq{MessageID: "m"}, "chatId", ""},
		{"sync of nothing", &proto.SyncReq{}, "chats", ""},
		{"sync of 101 chats", &proto.SyncReq{Chats: slices.Repeat([]proto.SyncFrom{{ChatID: "c"}}, 101)}, "chats", ""},
		{"sync of a chat without id", &proto.SyncReq{Chats: []proto.SyncFrom{{ChatID: "c"}, {}}}, "chats.chatId", ""},
		{"51 mentions", send(func(r *proto.SendMessageReq) { r.Mentions = slices.Repeat([]string{"u"}, 51) }), "mentions", ""},
		{"bad mention", send(func(r *proto.SendMessageReq) { r.Mentions = []string{"u", ""} }), "mentions[1]", ""},
		{"ttl too short", send(func(r *proto.SendMessageReq) { r.TTLSec = new(4) }), "ttlSec", ""},
		{"ttl too long", send(func(r *proto.SendMessageReq) { r.TTLSec = new(proto.MaxTTL + 1) }), "ttlSec", ""},
		{"ttl negative", send(func(r *proto.SendMessageReq) { r.TTLSec = new(-5) }), "ttlSec", ""},

		{"delivered: no chat", &proto.DeliveredReq{MessageID: "m"}, "chatId", ""},
		{"delivered: nothing", &proto.DeliveredReq{ChatID: "c"}, "messageId", ""},
		{"delivered: bad message", &proto.DeliveredReq{ChatID: "c", MessageID: long}, "messageId", ""},
		{"delivered: 201", &proto.DeliveredReq{ChatID: "c", MessageIDs: slices.Repeat([]string{"m"}, 201)}, "messageIds", ""},
		{"read: no chat", &proto.ReadReq{MessageID: "m"}, "chatId", ""},
		{"read: nothing", &proto.ReadReq{ChatID: "c"}, "messageId", ""},
		{"read: 201", &proto.ReadReq{ChatID: "c", MessageIDs: slices.Repeat([]string{"m"}, 201)}, "messageIds", ""},
		{"read: one bad", &proto.ReadReq{ChatID: "c", MessageIDs: []string{"m", ""}}, "messageIds[1]", ""},
		{"delivered: one bad", &proto.DeliveredReq{ChatID: "c", MessageIDs: []string{"m", "m", ""}}, "messageIds[2]", ""},

		{"history: no chat", &proto.HistoryReq{}, "chatId", ""},
		{"history: both ways", &proto.HistoryReq{ChatID: "c", BeforeSeq: 9, AfterSeq: new(uint64(1))}, "afterSeq", ""},
		{"history: 101", &proto.HistoryReq{ChatID: "c", Limit: new(101)}, "limit", ""},
		{"history: negative", &proto.HistoryReq{ChatID: "c", Limit: new(-1)}, "limit", ""},

		{"join: no chat", &proto.JoinChatReq{}, "chatId", ""},
		{"get: no chat", &proto.GetChatReq{}, "chatId", ""},
		{"refresh: no token", &proto.AuthRefreshReq{}, "token", ""},

		{"backlog: none", &proto.BacklogReq{Limit: 1}, "chats", ""},
		{"backlog: 1001", &proto.BacklogReq{Limit: 1, Chats: slices.Repeat([]proto.BacklogChat{{ChatID: "c"}}, 1001)}, "chats", ""},
		{"backlog: bad chat", &proto.BacklogReq{Limit: 1, Chats: []proto.BacklogChat{{}}}, "chats.chatId", ""},
		{"backlog: no limit", &proto.BacklogReq{Chats: []proto.BacklogChat{{ChatID: "c"}}}, "limit", ""},
		{"backlog: limit", &proto.BacklogReq{Chats: []proto.BacklogChat{{ChatID: "c"}}, Limit: 201}, "limit", ""},

		{"put: no chat", &proto.PutChatReq{}, "chatId", ""},
		{"put: name", &proto.PutChatReq{ChatID: "c", Name: ptr(strings.Repeat("x", proto.MaxName+1))}, "name", proto.PayloadTooLarge},
		{"put: avatar", &proto.PutChatReq{ChatID: "c", Avatar: ptr(strings.Repeat("x", proto.MaxAvatar+1))}, "avatar", proto.PayloadTooLarge},
		{"put: description", &proto.PutChatReq{ChatID: "c", Description: ptr(strings.Repeat("x", proto.MaxDescription+1))}, "description", proto.PayloadTooLarge},
		{"put: settings", &proto.PutChatReq{ChatID: "c", Settings: settings(65)}, "settings", ""},
		{"put: 1001 members", &proto.PutChatReq{ChatID: "c", Members: members(1001)}, "members", ""},
		{"put: bad member", &proto.PutChatReq{ChatID: "c", Members: []proto.Member{{UserID: ""}}}, "members.userId", ""},
		{"put: bad role", &proto.PutChatReq{ChatID: "c", Members: []proto.Member{{UserID: "u", Role: "king"}}}, "members.role", ""},

		{"add: no chat", &proto.AddMembersReq{UserID: "u"}, "chatId", ""},
		{"add: nobody", &proto.AddMembersReq{ChatID: "c"}, "userId", ""},
		{"add: both", &proto.AddMembersReq{ChatID: "c", UserID: "u", Members: members(1)}, "userId", ""},
		{"add: bad user", &proto.AddMembersReq{ChatID: "c", UserID: long}, "userId", ""},
		{"add: bad role", &proto.AddMembersReq{ChatID: "c", UserID: "u", Role: "king"}, "role", ""},
		{"add: 1001", &proto.AddMembersReq{ChatID: "c", Members: members(1001)}, "members", ""},
		{"add: bad member", &proto.AddMembersReq{ChatID: "c", Members: []proto.Member{{UserID: "\n"}}}, "members.userId", ""},
		{"add: bad adder", &proto.AddMembersReq{ChatID: "c", UserID: "u", AddedBy: "\n"}, "addedBy", ""},

		{"remove: no chat", &proto.RemoveMemberReq{UserID: "u"}, "chatId", ""},
		{"remove: nobody", &proto.RemoveMemberReq{ChatID: "c"}, "userId", ""},
		{"remove: reason", &proto.RemoveMemberReq{ChatID: "c", UserID: "u", Reason: "bored"}, "reason", ""},
	}
	for _, c := range bad {
		t.Run(c.name, func(t *testing.T) {
			var e *proto.Error
			require.ErrorAs(t, c.req.Validate(), &e)
			require.Equal(t, c.field, e.Field)
			if c.code == "" {
				c.code = proto.InvalidPayload
			}
			require.Equal(t, c.code, e.Code)
			require.True(t, strings.HasPrefix(e.Message, c.field+" "), "%q says which field", e.Message)
		})
	}
}

func settings(n int) map[string]proto.Raw {
	out := map[string]proto.Raw{}
	for i := range n {
		out[strings.Repeat("k", i+1)] = proto.Raw(`1`)
	}
	return out
}

func TestValidateAccepts(t *testing.T) {
	t.Parallel()
	for name, req := range map[string]validator{
		"smallest send":       send(func(*proto.SendMessageReq) {}),
		"odd chat id":         send(func(r *proto.SendMessageReq) { r.ChatID = "a.b * > {c}" }),
		"largest content":     send(func(r *proto.SendMessageReq) { r.EncryptedContent = strings.Repeat("x", proto.MaxContent) }),
		"content of quotes":   send(func(r *proto.SendMessageReq) { r.EncryptedContent = strings.Repeat(`"`, proto.MaxContent) }),
		"content of controls": send(func(r *proto.SendMessageReq) { r.EncryptedContent = strings.Repeat("\x01", proto.MaxEncoded/6) }),
		"null metadata":       send(func(r *proto.SendMessageReq) { r.Metadata = proto.Raw(`null`) }),
		"50 mentions":         send(func(r *proto.SendMessageReq) { r.Mentions = slices.Repeat([]string{"u"}, 50) }),
		"shortest ttl":        send(func(r *proto.SendMessageReq) { r.TTLSec = new(proto.MinTTL) }),
		"longest ttl":         send(func(r *proto.SendMessageReq) { r.TTLSec = new(proto.MaxTTL) }),
		"read up to":          &proto.ReadReq{ChatID: "c", UpToSeq: 1},
		"delivered up to":     &proto.DeliveredReq{ChatID: "c", UpToSeq: 1},
		"delivered one":       &proto.DeliveredReq{ChatID: "c", MessageID: "m"},
		"delivered 200":       &proto.DeliveredReq{ChatID: "c", MessageIDs: slices.Repeat([]string{"m"}, 200)},
		"newest page":         &proto.HistoryReq{ChatID: "c"},
		"open":                &proto.OpenReq{},
		"bare chat":           &proto.PutChatReq{ChatID: "c"},
		"empty name":          &proto.PutChatReq{ChatID: "c", Name: ptr("")},
		"64 settings":         &proto.PutChatReq{ChatID: "c", Settings: settings(64)},
		"1000 members":        &proto.AddMembersReq{ChatID: "c", Members: members(1000)},
		"removed":             &proto.RemoveMemberReq{ChatID: "c", UserID: "u"},
	} {
		require.NoError(t, req.Validate(), name)
	}
}
