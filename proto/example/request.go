package example

import (
	"time"

	"supmesh.dev/proto"
)

// Request is one row with its request and the fields of its success ack.
type Request struct {
	Row      proto.Described
	Req, Res any
	// Or is the request again, where one value cannot show every field.
	Or any
}

// RequestID stands for the requestId of every ack here: a W3C trace id.
const RequestID = "4bf92f3577b34da6a3ce929d0e0e4736"

// When is the moment of every example. Its fraction ends in zeros on purpose:
// the contract's three digits must be written all the same.
var When = proto.At(time.Date(2026, time.March, 9, 12, 30, 5, 0, time.UTC))

func after(d time.Duration) proto.Timestamp { return proto.At(When.Add(d)) }

func ptr[T any](v T) *T { return &v }

// Requests is an example for every row of proto.Endpoints, in its order.
func Requests() []Request {
	return []Request{
		{Row: proto.SendMessage,
			Req: proto.SendMessageReq{
				ChatID: "chat-7", EncryptedContent: "b3BhcXVl <&> é\u2028", MessageType: "text",
				ReplyToID: "msg_01KK8Y8Z0G0000000400AVX3RA", Metadata: proto.Raw(`{"width":640,"ratio":1.50,"note":"<b>"}`),
				TempID: "tmp:1.a_b-C", ThreadID: "msg_01KK8Y8Z0G0000000400AVX3RA", ForwardFrom: forwarded(),
				Mentions: []string{"bob"}, TTLSec: 3600,
			},
			Res: proto.SendMessageRes{Message: message(true), Sender: sender(), Duplicate: true}},
		{Row: proto.MarkDelivered,
			Req: proto.DeliveredReq{
				ChatID: "chat-7", MessageID: "msg_01KK8Y8Z0G0000000A00BWY4SB",
				MessageIDs: []string{"msg_01KK8Y8Z0G0000000900BWY4SB"}, UpToSeq: 5, DeliveredAt: ptr(When),
			},
			Res: proto.DeliveredRes{ChatID: "chat-7", UpToSeq: 5, DeliveredAt: When}},
		{Row: proto.History,
			Req: proto.HistoryReq{ChatID: "chat-7", AfterSeq: new(uint64(4)), Limit: 100},
			Or:  proto.HistoryReq{ChatID: "chat-7", BeforeSeq: 10},
			Res: proto.HistoryRes{ChatID: "chat-7", Messages: []proto.Raw{stored}, LastSeq: 9, HasMore: true}},
		{Row: proto.JoinChat,
			Req: proto.JoinChatReq{ChatID: "chat-7"},
			Res: proto.JoinChatRes{ChatID: "chat-7", LastSeq: 9, ReadSeq: 5, UnreadCount: 4, Role: proto.RoleAdmin}},
		{Row: proto.AuthRefresh,
			Req: proto.AuthRefreshReq{Token: "header.claims.signature"},
			Res: proto.AuthRefreshRes{TokenExpiresAt: after(time.Hour)}},
		{Row: proto.OpenDevice,
			Req: proto.OpenReq{},
			Res: proto.OpenRes{
				Epoch: "9f86d081884c7d659a2feaa0c55ad015", Position: 120, NewDevice: true,
				Chats: []proto.ChatHead{{ChatID: "chat-7", Version: 3, Joined: 17, LastSeq: 9, LastPosition: 118, Delivered: 5}},
			}},
		{Row: proto.Backlog,
			Req: proto.BacklogReq{Chats: []proto.BacklogChat{{ChatID: "chat-7", AfterSeq: 4, UpToSeq: 5}}, Limit: 100},
			Res: proto.BacklogRes{
				Items: []proto.LogItem{{ChatID: "chat-7", Seq: 5, Position: 99, Body: stored}},
				More:  true, Gone: []string{"chat-8"},
			}},
		{Row: proto.PutChat, Req: chat(), Res: chatRes(true)},
		{Row: proto.PatchChat, Req: proto.PutChatReq{ChatID: "chat-7", Description: ptr("")}, Res: chatRes(false)},
		{Row: proto.GetChat, Req: proto.GetChatReq{ChatID: "chat-7", Cursor: "alice", Limit: 2}, Res: chatPage()},
		{Row: proto.AddMembers,
			Req: proto.AddMembersReq{ChatID: "chat-7", Members: members(), AddedBy: "alice"},
			Or:  proto.AddMembersReq{ChatID: "chat-7", UserID: "carol", Role: proto.RoleAdmin},
			Res: proto.MembersRes{ChatID: "chat-7", Version: 4, MemberCount: 3, Changed: 2}},
		{Row: proto.RemoveMember,
			Req: proto.RemoveMemberReq{ChatID: "chat-7", UserID: "bob", Reason: "banned"},
			Res: proto.MembersRes{ChatID: "chat-7", Version: 5, MemberCount: 2, Changed: 1}},
	}
}

func chat() proto.PutChatReq {
	return proto.PutChatReq{
		ChatID: "chat-7", Name: ptr("Team"), Avatar: ptr("https://example.com/team.png"), Description: ptr("Daily work"),
		Settings: map[string]proto.Raw{"muted": proto.Raw(`false`)}, Members: members(),
	}
}

func chatRes(created bool) proto.ChatRes {
	return proto.ChatRes{
		ChatID: "chat-7", Name: "Team", Avatar: "https://example.com/team.png", Description: "Daily work",
		Settings: map[string]proto.Raw{"muted": proto.Raw(`false`)}, Version: 4, LastSeq: 9,
		MemberCount: 2, Members: members(), Created: created,
	}
}

func chatPage() proto.ChatRes {
	res := chatRes(false)
	res.MemberCount, res.Members, res.NextCursor = 4, []proto.Member{{UserID: "bob", Role: proto.RoleMember}, {UserID: "carol", Role: proto.RoleAdmin}}, "carol"
	return res
}

func members() []proto.Member {
	return []proto.Member{{UserID: "alice", Role: proto.RoleOwner}, {UserID: "bob"}}
}
