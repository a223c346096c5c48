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
				Mentions: []string{"bob"}, TTLSec: new(3600),
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
			Req: proto.HistoryReq{ChatID: "chat-7", AfterSeq: new(uint64(4)), Limit: new(100)},
			Or:  proto.HistoryReq{ChatID: "chat-7", BeforeSeq: 10},
			Res: proto.HistoryRes{ChatID: "chat-7", Messages: []proto.Raw{stored}, LastSeq: 9, HasMore: true}},
		{Row: proto.SyncPull,
			Req: proto.SyncReq{Chats: []proto.SyncFrom{{ChatID: "chat-7", AfterSeq: 4}, {ChatID: "chat-8"}}},
			Res: proto.SyncRes{
				Chats: []proto.SyncedChat{{
					ChatID: "chat-7", Messages: []proto.Raw{stored}, LastSeq: 9, ReadSeq: 4, UnreadCount: 5, More: true,
					Receipts: []proto.MemberReceipt{{UserID: "bob", DeliveredSeq: 9, ReadSeq: 5}},
				}, {
					ChatID: "chat-9", Messages: []proto.Raw{}, LastSeq: 2, ReadSeq: 2, NoReceipts: true,
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
		{Row: proto.UpdatePresence,
			Req: proto.UpdatePresenceReq{Status: proto.StatusBusy, CustomStatus: ptr("In a meeting"), Until: ptr(after(time.Hour))},
			Or:  proto.UpdatePresenceReq{IsOnline: ptr(true)},
			Res: proto.UpdatePresenceRes{
				Status: proto.StatusBusy, EffectiveStatus: proto.StatusBusy, CustomStatus: "In a meeting", LastSeen: When.UnixMilli(), Own: own(),
			}},
		{Row: proto.SubscribePresence,
			Req: proto.SubscribePresenceReq{UserIDs: []string{"bob", "mallory"}},
			Res: proto.SubscribePresenceRes{
				Presences: []proto.Presence{presence(), {UserID: "mallory", Status: proto.StatusOffline}}, Denied: []string{"mallory"}, Total: 2,
			}},
		{Row: proto.UnsubscribePresence,
			Req: proto.UnsubscribePresenceReq{UserIDs: []string{"bob"}}, Res: proto.UnsubscribePresenceRes{Total: 1}},
		{Row: proto.ListSessions, Req: proto.ListSessionsReq{Cursor: sessionsCursor}, Res: proto.SessionsRes{Sessions: []proto.Session{session(true)}, NextCursor: sessionsCursor}},
		{Row: proto.InitiateCall,
			Req: proto.InitiateCallReq{
				CallID: "call:1", TargetUserID: "bob", CallType: proto.CallVideo, Offer: ptr(sdp("offer")), ChatID: "chat-7", RingTimeoutSec: new(45),
			},
			Or: proto.InitiateCallReq{
				CallID: "call:2", TargetUserIDs: []string{"bob", "carol"}, CallType: proto.CallAudio,
				Offers: proto.OfferTable{"bob": sdp("offer"), "carol": sdp("offer")},
			},
			Res: proto.InitiateCallRes{
				CallID: "call:1", Status: proto.CallRinging, RingExpiresAt: after(45 * time.Second), IceServers: iceServers(), Participants: participants(),
			}},
		{Row: proto.AnswerCall,
			Req: proto.AnswerCallReq{CallID: "call:1", Answer: sdp("answer")},
			Res: proto.AnswerCallRes{CallID: "call:1", Status: proto.CallAnswered, AnsweredAt: after(5 * time.Second), Participants: participants()}},
		{Row: proto.RejectCall,
			Req: proto.RejectCallReq{CallID: "call:1", Reason: "in a meeting"},
			Res: proto.RejectCallRes{CallID: "call:1", Status: proto.CallRejected}},
		{Row: proto.EndCall,
			Req: proto.EndCallReq{CallID: "call:1", Reason: proto.EndHangup},
			Res: proto.EndCallRes{CallID: "call:1", Status: proto.CallOver, DurationMs: 55_000}},
		{Row: proto.SendCandidate,
			Req: proto.IceCandidateReq{CallID: "call:1", Candidate: candidate, TargetUserID: "bob"},
			Res: proto.CallRes{CallID: "call:1"}},
		{Row: proto.Renegotiate,
			Req: proto.RenegotiateReq{CallID: "call:1", Offer: ptr(sdp("offer")), TargetUserID: "bob"},
			Or:  proto.RenegotiateReq{CallID: "call:1", Answer: ptr(sdp("answer"))},
			Res: proto.CallRes{CallID: "call:1"}},
		{Row: proto.CallIceServers, Req: proto.IceServersReq{CallID: "call:1"}, Res: proto.IceServersRes{CallID: "call:1", IceServers: iceServers()}},
		{Row: proto.CallHistory,
			Req: proto.CallHistoryReq{Limit: new(50), Cursor: "1773059405000"},
			Res: proto.CallHistoryRes{Calls: []proto.CallRecord{{
				CallID: "call:1", CallType: proto.CallVideo, Direction: proto.CallFrom, CallerID: "alice", CallerName: "Alice", TargetIDs: []string{"bob"},
				ChatID: "chat-7", Status: proto.CallOver, Reason: proto.EndHangup, EndedBy: "bob", CreatedAt: When,
				AnsweredAt: ptr(after(5 * time.Second)), EndedAt: ptr(after(time.Minute)), DurationMs: 55_000,
			}}, NextCursor: "1773059405000"}},
		{Row: proto.AddReaction, Req: react(), Res: proto.AddReactionRes{
			MessageID: "msg_01KK8Y8Z0G0000000A00BWY4SB", Reaction: "❤️", Counts: proto.ReactionCounts{"❤️": 2, ":party:": 1},
		}},
		{Row: proto.RemoveReaction, Req: react(), Res: proto.RemoveReactionRes{
			MessageID: "msg_01KK8Y8Z0G0000000A00BWY4SB", Reaction: "❤️", Removed: true, Counts: proto.ReactionCounts{"❤️": 1},
		}},
		{Row: proto.GetReactions,
			Req: proto.GetReactionsReq{MessageID: "msg_01KK8Y8Z0G0000000A00BWY4SB", ChatID: "chat-7", Limit: new(100), Cursor: "131"},
			Res: proto.GetReactionsRes{
				Reactions: []proto.UserReaction{{UserID: "bob", Reaction: "❤️", CreatedAt: When}}, Counts: proto.ReactionCounts{"❤️": 2},
				Mine: []string{"❤️"}, NextCursor: "131",
			}},
		{Row: proto.SummarizeReactions,
			Req: proto.ReactionSummaryReq{ChatID: "chat-7", MessageIDs: []string{"msg_01KK8Y8Z0G0000000A00BWY4SB"}},
			Res: proto.ReactionSummaryRes{ChatID: "chat-7", Messages: []proto.ReactionSummary{{
				MessageID: "msg_01KK8Y8Z0G0000000A00BWY4SB", Counts: proto.ReactionCounts{"❤️": 2}, Mine: []string{"❤️"},
			}}, Rest: 1}},
		{Row: proto.ReadNotifications,
			Req: proto.ReadNotificationsReq{NotificationID: noteID},
			Or:  proto.ReadNotificationsReq{NotificationIDs: []string{noteID}, All: true},
			Res: proto.UnreadRes{UnreadCount: 3}},
		{Row: proto.ClearNotification, Req: proto.ClearNotificationReq{NotificationID: noteID}, Res: proto.UnreadRes{UnreadCount: 3}},
		{Row: proto.ClearNotifications, Req: proto.ClearNotificationsReq{}, Res: proto.ClearNotificationsRes{Cleared: 7, UnreadCount: 1}},
		{Row: proto.PendingNotifications,
			Req: proto.PendingNotificationsReq{Limit: new(50), Cursor: "1042", Types: []proto.NotificationType{proto.NotifyCallMissed}},
			Res: proto.PendingNotificationsRes{Notifications: []proto.Notification{notification()}, UnreadCount: 3, NextCursor: "1040"}},
		{Row: proto.NotifyPreferences,
			Req: proto.NotifyPrefsReq{Mute: &proto.Mute{ChatID: "chat-7", Muted: true, Until: ptr(after(time.Hour))}, DoNotDisturbUntil: ptr(after(time.Hour))},
			Res: proto.NotifyPrefsRes{Muted: []proto.Mute{{ChatID: "chat-7", Muted: true}}, DoNotDisturbUntil: ptr(after(time.Hour))}},
		{Row: proto.RegisterDevice,
			Req: proto.RegisterDeviceReq{Provider: proto.PushWeb, Token: "https://push.example.com/send/abc", P256DH: "BNcRd", Auth: "tBHIt", VoIP: true}, //nolint:gosec // nobody's
			Res: proto.RegisterDeviceRes{DeviceID: "phone", Provider: proto.PushWeb}},
		{Row: proto.UnregisterDevice, Req: proto.UnregisterDeviceReq{Provider: proto.PushWeb}, Res: proto.UnregisterDeviceRes{Removed: 1}},
		{Row: proto.PushConfig, Req: proto.PushConfigReq{}, Res: proto.PushConfigRes{Providers: []proto.PushProvider{proto.PushWeb}, VAPIDPublicKey: "BNcRd"}},
		{Row: proto.OpenDevice,
			Req: proto.OpenReq{Cursor: "chat-6"},
			Res: proto.OpenRes{
				Epoch: "9f86d081884c7d659a2feaa0c55ad015", Position: 120, NewDevice: true, NextCursor: "chat-7",
				Chats: []proto.ChatHead{{ChatID: "chat-7", Version: 3, Joined: 17, LastSeq: 9, LastPosition: 118, Delivered: 5, Missed: 4}},
			}},
		{Row: proto.Backlog,
			Req: proto.BacklogReq{Chats: []proto.BacklogChat{{ChatID: "chat-7", AfterSeq: 4, UpToSeq: 6}}, Limit: 100},
			Res: proto.BacklogRes{
				Items: []proto.LogItem{{ChatID: "chat-7", Seq: 5, Position: 99, Body: stored}},
				More:  true, Gone: []string{"chat-8"}, Absent: []proto.SeqRange{{ChatID: "chat-7", FromSeq: 6, ToSeq: 6}},
			}},
		{Row: proto.SharedChats,
			Req: proto.SharedChatsReq{UserID: "alice", UserIDs: []string{"bob", "mallory"}},
			Res: proto.SharedChatsRes{UserIDs: []string{"bob"}}},
		{Row: proto.MembersAmong, Req: proto.AmongReq{ChatID: "chat-7", UserIDs: []string{"alice", "bob"}}, Res: proto.AmongRes{Members: []string{"alice"}}},
		{Row: proto.FindMessage,
			Req: proto.FindMessageReq{UserID: "bob", ChatID: "chat-7", MessageID: "msg_01KK8Y8Z0G0000000A00BWY4SB"},
			Res: proto.FindMessageRes{
				ChatID: "chat-7", SenderID: "alice", SenderName: "Alice", Seq: 5, Deleted: true, Mentions: []string{"bob"}, ExpiresAt: ptr(after(time.Hour)),
			}},
		{Row: proto.UnreachedMembers,
			Req: proto.UnreachedReq{ChatID: "chat-7", Seq: 5, After: "alice", Limit: 100},
			Res: proto.UnreachedRes{UserIDs: []string{"bob"}, Unread: []uint64{2}, Next: "bob", Name: "Team"}},
		{Row: proto.OpenSession,
			Req: proto.OpenSessionReq{Gateway: "gateway-0.3f2a.0", Inbox: "3f2a", PID: "pVb3nq0gT1-x_9aZ", Returns: "kQ8w2mB4Rt6yUi1o"},
			Res: proto.OpenSessionRes{
				Fence: 1773059405001, Returned: true, Was: "kXz4mQ0o1mQm2eAAAA", Views: []string{"chat-7"}, Watches: []string{"bob"}, Status: proto.StatusAway, Own: own(), Elsewhere: 2,
			}},
		{Row: proto.ReportSessions,
			Req: proto.ReportReq{
				Gateway: "gateway-0.3f2a.0", Inbox: "3f2a", Seq: 7, Quiet: true,
				Closed: []proto.Closed{{UserID: "alice", PID: "kQ8w2mB4Rt6yUi1o", Fence: 1773059405000, At: When, Final: true}},
				Opened: []proto.Opened{{
					UserID: "bob", DeviceID: "phone", PID: "pVb3nq0gT1-x_9aZ", SocketID: "wJ0c5o1mQm2eAAAB", Fence: 1773059405001,
					Status: proto.StatusOnline, Since: When,
				}},
				Ended: []proto.View{view("alice")}, Began: []proto.View{view("bob")},
				Unwatched: []proto.Watch{watch("carol")}, Watched: []proto.Watch{watch("alice")},
			},
			Res: proto.ReportRes{
				Fences: []proto.Fenced{{PID: "pVb3nq0gT1-x_9aZ", Fence: 1773059405002, Own: own()}}, Superseded: []string{"kQ8w2mB4Rt6yUi1o"},
			}},
		{Row: proto.RenewLease,
			Req: proto.LeaseReq{Gateway: "gateway-0.3f2a.0", Begin: true},
			Or:  proto.LeaseReq{Gateway: "gateway-0.3f2a.0", End: true},
			Res: proto.LeaseRes{Known: true, Swept: true}},
		{Row: proto.Viewers,
			Req: proto.ViewersReq{ChatID: "chat-7"},
			Res: proto.ViewersRes{UserIDs: []string{"alice", "bob"}, Count: 2}},
		{Row: proto.ReachUsers,
			Req: proto.ReachReq{From: "alice", UserIDs: []string{"bob"}},
			Res: proto.ReachRes{Users: []proto.Reach{{
				UserID: "bob", Reachable: true, Blocked: true, Related: true, Busy: true,
				Sockets: []proto.ReachSocket{{SocketID: "wJ0c5o1mQm2eAAAB", DeviceID: "phone", State: proto.SessionConnected, Seen: When.UnixMilli()}},
			}}}},
		{Row: proto.CallSockets,
			Req: proto.CallSocketsReq{
				Returned: []proto.CallSocket{{UserID: "bob", DeviceID: "phone", SocketID: "wJ0c5o1mQm2eAAAB", Was: "kXz4mQ0o1mQm2eAAAA", Again: &proto.CallAgain{Answers: []string{"carol"}}}},
				Left:     []proto.CallSocketLeft{{UserID: "alice", SocketID: "aB3c5o1mQm2eAAAC", At: When}},
			},
			Res: proto.CallSocketsRes{Events: []proto.SocketEvent{{
				SocketID: "wJ0c5o1mQm2eAAAB", CallID: "call:1", Event: "call:incoming", Data: proto.Raw(`{"callId":"call:1"}`),
			}}, Sides: []proto.CallSide{{SocketID: "kXz4mQ0o1mQm2eAAAA", CallID: "call:2", Talks: true}}, Rest: 1, Again: &proto.CallAgain{Answers: []string{"carol"}}}},
		{Row: proto.PutChat, Req: chat(), Res: chatRes(true)},
		{Row: proto.PatchChat, Req: proto.PutChatReq{ChatID: "chat-7", Description: ptr("")}, Res: chatRes(false)},
		{Row: proto.GetChat, Req: proto.GetChatReq{ChatID: "chat-7", Cursor: "alice", Limit: new(2)}, Res: chatPage()},
		{Row: proto.AddMembers,
			Req: proto.AddMembersReq{ChatID: "chat-7", Members: members(), AddedBy: "alice"},
			Or:  proto.AddMembersReq{ChatID: "chat-7", UserID: "carol", Role: proto.RoleAdmin},
			Res: proto.MembersRes{ChatID: "chat-7", Version: 4, MemberCount: 3, Changed: 2}},
		{Row: proto.RemoveMember,
			Req: proto.RemoveMemberReq{ChatID: "chat-7", UserID: "bob", Reason: "banned"},
			Res: proto.MembersRes{ChatID: "chat-7", Version: 5, MemberCount: 2, Changed: 1}},
		{Row: proto.GetPresence,
			Req: proto.PresenceOf{UserID: "bob", Cursor: sessionsCursor},
			Res: proto.PresenceState{
				UserID: "bob", Status: proto.StatusBusy, Effective: proto.StatusBusy, LastSeen: When.UnixMilli(), Version: 1773059405003,
				Own: own(), Sessions: []proto.Session{session(false)}, NextCursor: sessionsCursor,
			}},
		{Row: proto.GetSessions, Req: proto.PresenceOf{UserID: "bob"}, Res: proto.SessionsRes{Sessions: []proto.Session{session(true)}}},
		{Row: proto.PutContacts,
			Req: proto.PutRelationsReq{UserID: "bob", UserIDs: []string{"alice", "carol"}},
			Res: proto.RelationsRes{UserID: "bob", Count: 2, Version: 121}},
		{Row: proto.PutBlocks,
			Req: proto.PutRelationsReq{UserID: "bob", UserIDs: []string{"mallory"}},
			Res: proto.RelationsRes{UserID: "bob", Count: 1, Version: 122}},
		{Row: proto.GetCall, Req: proto.GetCallReq{CallID: "call:1"}, Res: proto.CallState{
			CallID: "call:1", CallerID: "alice", CallType: proto.CallVideo, ChatID: "chat-7", Status: proto.CallOver, Reason: proto.EndHangup, EndedBy: "bob",
			Participants: participants(), CreatedAt: When, RingExpiresAt: after(45 * time.Second), AnsweredAt: ptr(after(5 * time.Second)), EndedAt: ptr(after(time.Minute)), Version: 130,
		}},
		{Row: proto.SendNotification, Req: proto.NotifyReq{
			UserIDs: []string{"bob"}, Type: proto.NotifySystem, Title: "Welcome", Message: "Your account is ready", Data: proto.Raw(`{"plan":"team"}`),
			FromUserID: "alice", ChatID: "chat-7", MessageID: "msg_01KK8Y8Z0G0000000A00BWY4SB", Priority: proto.PriorityNormal, Silent: true,
			CollapseKey: "welcome", TTLSec: new(3600), Key: "welcome:bob",
		}, Res: proto.NotifyRes{NotificationIDs: []string{noteID}}},
	}
}

func view(user string) proto.View {
	return proto.View{ChatID: "chat-7", UserID: user, PID: "pVb3nq0gT1-x_9aZ", Fence: 1773059405001}
}

func watch(user string) proto.Watch {
	return proto.Watch{UserID: user, PID: "pVb3nq0gT1-x_9aZ", Fence: 1773059405001, UserIDs: []string{"bob"}}
}

func own() *proto.OwnPresence {
	return &proto.OwnPresence{
		Status: proto.StatusBusy, StatusUntil: ptr(after(time.Hour)), CustomStatus: "In a meeting", CustomUntil: ptr(after(time.Hour)),
		By: "phone", At: When.UnixMilli(),
	}
}

func presence() proto.Presence {
	return proto.Presence{
		UserID: "bob", Status: proto.StatusOffline, LastSeen: When.UnixMilli(), CustomStatus: "In a meeting", LastSeenAt: ptr(When), Version: 1773059405003,
	}
}

func session(current bool) proto.Session {
	return proto.Session{
		ID: "3f2a9c61", DeviceID: "phone", Gateway: "gateway-0", Status: proto.StatusOnline, State: proto.SessionConnected, ConnectedAt: When, Current: current,
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

func sdp(kind string) proto.Sdp { return proto.Sdp{Type: kind, SDP: "v=0\r\n"} }

// candidate has a field that the mesh does not know: it passes through.
var candidate = proto.Raw(`{"candidate":"candidate:1 1 udp 2130706431 192.0.2.1 3478 typ host","sdpMid":"0","sdpMLineIndex":0,"usernameFragment":"aB3c","later":1}`)

func iceServers() []proto.IceServer {
	return []proto.IceServer{
		{URLs: []string{"stun:turn.example.com:3478"}},
		{URLs: []string{"turn:turn.example.com:3478?transport=udp"}, Username: "1773063005:call", Credential: "bm90IGEgc2VjcmV0", ExpiresAt: ptr(after(time.Hour))}, //nolint:gosec // nobody's
	}
}

func participants() []proto.CallParticipant {
	return []proto.CallParticipant{{UserID: "alice", State: proto.ParticipantJoined, DeviceID: "phone"}, {UserID: "bob", State: proto.ParticipantRinging}}
}

func react() proto.ReactReq {
	return proto.ReactReq{MessageID: "msg_01KK8Y8Z0G0000000A00BWY4SB", ChatID: "chat-7", Reaction: "❤️"}
}

const noteID = "ntf_01KK8Y8Z0G0000000A00BWY4SB"

func notification() proto.Notification {
	return proto.Notification{
		ID: noteID, Type: proto.NotifyCallMissed, Title: "Missed call", Message: "Alice called", Data: proto.Raw(`{"callId":"call:1"}`),
		FromUserID: "alice", ChatID: "chat-7", MessageID: "msg_01KK8Y8Z0G0000000A00BWY4SB", Priority: proto.PriorityHigh, Sound: true, Badge: ptr(3),
		Timestamp: When, Read: true, CollapseKey: "chat-7",
	}
}

// sessionsCursor stands behind a session: when it began, and its id.
const sessionsCursor = "1773059405003.1f0e3dad99908345"
