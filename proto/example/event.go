package example

import (
	"time"

	"supmesh.dev/proto"
)

// Event is one server event with a payload.
type Event struct {
	Row     proto.DescribedEvent
	Payload any
}

// Events is an example for every row of proto.ServerEvents, in its order.
func Events() []Event {
	return []Event{
		{proto.MessageNew, proto.NewMessage{Message: message(false), Sender: sender()}},
		{proto.MessageEditedEvent, proto.MessageEdited{
			ChatID: "chat-7", MessageID: "msg_01KK8Y8Z0G0000000A00BWY4SB", Seq: 5, EncryptedContent: "bmV3",
			Metadata: proto.Raw(`{"width":800}`), Mentions: []string{"bob"}, MentionsAdded: []string{"bob"}, MentionsRemoved: []string{"carol"}, EditedAt: after(time.Minute), EditedBy: "alice", Version: 2,
		}},
		{proto.MessageDeletedEvent, proto.MessageDeleted{
			ChatID: "chat-7", MessageID: "msg_01KK8Y8Z0G0000000A00BWY4SB", Seq: 5, DeletedAt: after(2 * time.Minute),
			DeletedBy: "carol", Reason: proto.ReasonModerated, ForEveryone: true,
		}},
		{proto.DeliveredEvent, proto.MessageDelivered{
			MessageID: "msg_01KK8Y8Z0G0000000A00BWY4SB", UserID: "bob", DeliveredAt: When, ChatID: "chat-7", Seq: 5,
			MessageIDs: []string{"msg_01KK8Y8Z0G0000000900BWY4SB", "msg_01KK8Y8Z0G0000000A00BWY4SB"},
			UserIDs:    []string{"carol", "bob"}, Count: 2,
		}},
		{proto.ReadEvent, proto.MessageRead{
			MessageID: "msg_01KK8Y8Z0G0000000A00BWY4SB", UserID: "bob", ReadAt: When, ChatID: "chat-7", Seq: 5,
			MessageIDs: []string{"msg_01KK8Y8Z0G0000000900BWY4SB", "msg_01KK8Y8Z0G0000000A00BWY4SB"},
			UserIDs:    []string{"carol", "bob"}, Count: 2, UnreadCount: new(uint64(4)),
		}},
		{proto.ChatUpdatedEvent, proto.ChatUpdated{
			ChatID: "chat-7", UpdatedBy: "backend", UpdateType: "members", Timestamp: When, Version: 4,
			Changes: proto.ChatChanges{
				Name: ptr("Team"), Avatar: ptr("https://example.com/team.png"), Description: ptr("Daily work"),
				Settings: map[string]proto.Raw{"muted": proto.Raw(`false`)}, Added: members(), Removed: []string{"dave"}, RoleChanged: []string{"alice"},
			},
		}},
		{proto.MemberJoinedEvent, proto.MemberJoined{
			ChatID: "chat-7", UserID: "bob", Timestamp: When, Kind: proto.KindMembership,
			Role: proto.RoleMember, AddedBy: "alice", Version: 4,
		}},
		{proto.MemberLeftEvent, proto.MemberLeft{
			ChatID: "chat-7", UserID: "dave", Timestamp: When, Kind: proto.KindMembership, Reason: "removed", Version: 4,
		}},
		{proto.TypingEvent, proto.Typing{
			ChatID: "chat-7", UserID: "bob", UserName: "Bob", ThreadID: "msg_01KK8Y8Z0G0000000400AVX3RA", ExpiresInMs: 6000,
		}},
		{proto.StopTypingEvent, proto.StoppedTyping{
			ChatID: "chat-7", UserID: "bob", ThreadID: "msg_01KK8Y8Z0G0000000400AVX3RA", Reason: proto.StoppedExpired,
		}},
		{proto.PresenceEvent, presence()},
		{proto.IncomingCallEvent, proto.IncomingCall{
			CallID: "call:1", CallerID: "alice", CallerName: "Alice", CallerAvatar: "https://example.com/alice.png", CallType: proto.CallVideo, Offer: sdp("offer"),
			Status: proto.CallIncoming, ChatID: "chat-7", CreatedAt: When, ExpiresAt: after(45 * time.Second), RingMs: 45_000, IceServers: iceServers(),
			Candidates: []proto.Raw{candidate, proto.Raw("null")}, Participants: participants(),
		}},
		{proto.CallAnswerEvent, proto.CallAnswer{
			CallID: "call:1", CallerID: "alice", CallerName: "Alice", CallerAvatar: "https://example.com/alice.png", CallType: proto.CallVideo, Answer: sdp("answer"),
			Status: proto.CallAnswered, AnswererID: "bob", DeviceID: "phone", AnsweredAt: after(5 * time.Second),
		}},
		{proto.CallRejectEvent, proto.CallReject{
			CallID: "call:1", CallerID: "alice", CallerName: "Alice", CallType: proto.CallVideo, Status: proto.CallRejected, Reason: "in a meeting", UserID: "bob",
		}},
		{proto.CallEndEvent, proto.CallEnd{
			CallID: "call:1", CallerID: "alice", CallerName: "Alice", CallType: proto.CallVideo, Status: proto.CallOver, Reason: proto.EndHangup,
			EndedBy: "bob", DurationMs: 55_000, EndedAt: after(time.Minute),
		}},
		{proto.CallCandidateEvent, proto.CallCandidate{CallID: "call:1", Candidate: candidate, FromUserID: "alice", FromDeviceID: "phone"}},
		{proto.RenegotiateEvent, proto.CallRenegotiate{CallID: "call:1", Offer: ptr(sdp("offer")), Answer: ptr(sdp("answer")), FromUserID: "alice", FromDeviceID: "phone"}},
		{proto.ParticipantsEvent, proto.CallParticipants{CallID: "call:1", Participants: participants()}},
		{proto.NotificationEvent, notification()},
		{proto.NotificationsReadEvent, proto.NotificationsRead{NotificationIDs: []string{noteID}, UnreadCount: 2}},
		{proto.NotificationsClearedEvent, proto.NotificationsCleared{NotificationIDs: []string{noteID}, UnreadCount: 2}},
		{proto.ReactionEvent, reaction(proto.ReactionAdd)},
		{proto.ReactionGoneEvent, reaction(proto.ReactionRemove)},
		{proto.ConnectedEvent, proto.Connected{
			UserID: "alice", SocketID: "wJ0c5o1mQm2eAAAB", DeviceID: "phone", PID: "pVb3nq0gT1-x_9aZ",
			Resumed: true, Resync: true, Missed: 2, ServerTime: When, TokenExpiresAt: after(time.Hour),
			Features: []string{"message:new"}, MaxPayload: 1 << 20,
			Limits: proto.LimitTable{"message:new": {Limit: 30, WindowMs: 60_000}},
		}},
		{proto.ErrorEventEvent, proto.ErrorEvent{
			Message: "Too many requests", Code: proto.RateLimitExceeded, Event: "message:new", Field: "chatId",
			TempID: "tmp:1.a_b-C", CallID: "call:1", RetryAfterMs: 1500, RequestID: RequestID,
		}},
		{proto.AuthExpiringEvent, proto.AuthExpiring{ExpiresAt: after(time.Minute)}},
		{proto.ServerDrainEvent, proto.ServerDrain{ReconnectInMs: 1200, Reason: "deploy"}},
		{proto.PongEvent, proto.Pong{TS: When}},
	}
}

// Failure is the failure ack with every field, for one code.
func Failure(code proto.Code) proto.Failure {
	e := &proto.Error{Code: code, Message: "chatId must not be empty", Field: "chatId"}
	if code.Row().Retryable {
		e.RetryAfter = 1500 * time.Millisecond
	}
	return e.Failure(RequestID)
}

func reaction(action string) proto.Reaction {
	return proto.Reaction{
		MessageID: "msg_01KK8Y8Z0G0000000A00BWY4SB", ChatID: "chat-7", UserID: "bob", UserName: "Bob", Reaction: "❤️", Action: action,
		Timestamp: When, Count: 2, Author: "alice",
	}
}
