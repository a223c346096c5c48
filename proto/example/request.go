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
		{Row: proto.MarkRead,
			Req: proto.ReadReq{
				ChatID: "chat-7", MessageID: "msg_01KK8Y8Z0G0000000A00BWY4SB",
				MessageIDs: []string{"msg_01KK8Y8Z0G0000000900BWY4SB"}, UpToSeq: 5, ReadAt: ptr(When),
			},
			Res: proto.ReadRes{ChatID: "chat-7", UpToSeq: 5, ReadAt: When, UnreadCount: 4}},
		{Row: proto.History,
			Req: proto.HistoryReq{ChatID: "chat-7", AfterSeq: new(uint64(4)), Limit: 100},
			Or:  proto.HistoryReq{ChatID: "chat-7", BeforeSeq: 10},
			Res: proto.HistoryRes{ChatID: "chat-7", Messages: []proto.Raw{stored}, LastSeq: 9, HasMore: true}},
		{Row: proto.SyncPull,
			Req: proto.SyncReq{Chats: []proto.SyncFrom{{ChatID: "chat-7", AfterSeq: 4}, {ChatID: "chat-8"}}},
			Res: proto.SyncRes{
				Chats: []proto.SyncedChat{{
					ChatID: "chat-7", Messages: []proto.Raw{stored}, LastSeq: 9, ReadSeq: 4, UnreadCount: 5, More: true,
					Receipts: []proto.MemberReceipt{{UserID: "bob", DeliveredSeq: 9, ReadSeq: 5}},
				}},
				Failed: []proto.SyncFailed{{ChatID: "chat-8", Code: proto.ChatNotFound}},
			}},
		{Row: proto.EditMessage,
			Req: proto.EditReq{
				ChatID: "chat-7", MessageID: "msg_01KK8Y8Z0G0000000A00BWY4SB", EncryptedContent: "bmV3",
				Metadata: proto.Raw(`{"width":800}`), Mentions: []string{"bob"},
			},
			Res: proto.EditRes{ChatID: "chat-7", MessageID: "msg_01KK8Y8Z0G0000000A00BWY4SB", Seq: 5, EditedAt: after(time.Minute)}},
		{Row: proto.DeleteMessage,
			Req: proto.DeleteReq{ChatID: "chat-7", MessageID: "msg_01KK8Y8Z0G0000000A00BWY4SB", ForEveryone: true},
			Res: proto.DeleteRes{
				ChatID: "chat-7", MessageID: "msg_01KK8Y8Z0G0000000A00BWY4SB", Seq: 5, DeletedAt: after(2 * time.Minute), ForEveryone: true,
			}},
		{Row: proto.JoinChat,
			Req: proto.JoinChatReq{ChatID: "chat-7"},
			Res: proto.JoinChatRes{ChatID: "chat-7", LastSeq: 9, ReadSeq: 5, UnreadCount: 4, Role: proto.RoleAdmin, Version: 4,
				Receipts: []proto.MemberReceipt{{UserID: "bob", DeliveredSeq: 9, ReadSeq: 5}}}},
		{Row: proto.LeaveChat, Req: proto.LeaveChatReq{ChatID: "chat-7"}, Res: proto.LeaveChatRes{ChatID: "chat-7"}},
		{Row: proto.JoinChats,
			Req: proto.JoinChatsReq{ChatIDs: []string{"chat-7", "chat-8"}},
			Res: proto.JoinChatsRes{
				JoinedCount: 1, Joined: []string{"chat-7"}, Versions: []uint64{4},
				Failed: []proto.FailedJoin{{ChatID: "chat-8", Code: proto.ChatNotFound}},
			}},
		{Row: proto.ActiveMembers,
			Req: proto.ActiveMembersReq{ChatID: "chat-7"},
			Res: proto.ActiveMembersRes{ChatID: "chat-7", ActiveMembers: []string{"alice", "bob"}, Count: 2}},
		{Row: proto.StartTyping,
			Req: proto.TypingReq{ChatID: "chat-7", ThreadID: "msg_01KK8Y8Z0G0000000400AVX3RA"},
			Res: proto.TypingRes{ExpiresInMs: 6000, Coalesced: true}},
		{Row: proto.StopTyping,
			Req: proto.StopTypingReq{ChatID: "chat-7", ThreadID: "msg_01KK8Y8Z0G0000000400AVX3RA"},
			Res: proto.StopTypingRes{ChatID: "chat-7"}},
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
		{Row: proto.ViewChats,
			Req: proto.ViewReq{
				Gateway: "gateway-0.3f2a", Quiet: true,
				Began: []proto.View{view("bob")}, Ended: []proto.View{view("alice")},
			},
			Res: proto.ViewRes{Refused: []proto.View{view("bob")}}},
		{Row: proto.RenewLease,
			Req: proto.LeaseReq{Gateway: "gateway-0.3f2a", Begin: true},
			Or:  proto.LeaseReq{Gateway: "gateway-0.3f2a", End: true},
			Res: proto.LeaseRes{Known: true, Swept: true}},
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

func view(user string) proto.View {
	return proto.View{ChatID: "chat-7", UserID: user, SocketID: "wJ0c5o1mQm2eAAAB"}
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
