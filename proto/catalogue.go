package proto

import "time"

// The requests of the mesh. A client event with a Subject goes to that
// subject's service; one without is answered by the gateway itself.
var (
	SendMessage = Endpoint[SendMessageReq, SendMessageRes]{Row{
		Subject: "rpc.chat.send", Event: "message:new", Limit: Limit{30, time.Minute}, Timeout: SendTimeout, Idempotent: true,
		Errors:  []Code{ChatNotFound, MessageNotFound, Conflict, PayloadTooLarge},
		Summary: "Send a message to a chat. The ack comes once it is stored. A repeated tempId gives the same message.",
	}}
	MarkDelivered = Endpoint[DeliveredReq, DeliveredRes]{Row{
		Subject: "rpc.chat.delivered", Event: "message:delivered", Limit: Limit{100, time.Minute}, Timeout: RequestTimeout, Idempotent: true,
		Errors:  []Code{ChatNotFound, MessageNotFound},
		Summary: "This device has the messages up to a point; its offline queue moves there. The first device of a user to have them tells their authors.",
	}}
	MarkRead = Endpoint[ReadReq, ReadRes]{Row{
		Subject: "rpc.chat.read", Event: "message:read", Limit: Limit{100, time.Minute}, Timeout: RequestTimeout, Idempotent: true,
		Errors:  []Code{ChatNotFound, MessageNotFound},
		Summary: "The user has read the messages up to a point, and this device has them. Their authors and the user's other sockets are told.",
	}}
	History = Endpoint[HistoryReq, HistoryRes]{Row{
		Subject: "rpc.chat.history", Event: "message:history", Limit: Limit{120, time.Minute}, Timeout: RequestTimeout, Idempotent: true,
		Errors:  []Code{ChatNotFound},
		Summary: "A page of a chat's messages as they are now, before or after a seq; status stays sent: ticks follow from receipts, in chat:join and the events.",
	}}
	SyncPull = Endpoint[SyncReq, SyncRes]{Row{
		Subject: "rpc.chat.sync", Event: "sync:pull", Limit: Limit{30, time.Minute}, Timeout: RequestTimeout, Idempotent: true,
		Summary: "What follows in several chats at once, from where the app has them.",
	}}
	EditMessage = Endpoint[EditReq, EditRes]{Row{
		Subject: "rpc.chat.edit", Event: "message:edit", Limit: Limit{30, time.Minute}, Timeout: RequestTimeout, Idempotent: true,
		Errors:  []Code{ChatNotFound, MessageNotFound, PermissionDenied, PayloadTooLarge},
		Summary: "Give one's own message new content, for a while after it was sent. The ack comes once it is stored.",
	}}
	DeleteMessage = Endpoint[DeleteReq, DeleteRes]{Row{
		Subject: "rpc.chat.delete", Event: "message:delete", Limit: Limit{30, time.Minute}, Timeout: RequestTimeout, Idempotent: true,
		Errors:  []Code{ChatNotFound, MessageNotFound, PermissionDenied},
		Summary: "Delete a message for everyone (its sender for a while, admins and owners at any time), or hide it from oneself.",
	}}
	JoinChat = Endpoint[JoinChatReq, JoinChatRes]{Row{
		Subject: "rpc.chat.join", Event: "chat:join", Limit: Limit{120, time.Minute}, Timeout: RequestTimeout, Idempotent: true,
		Errors:  []Code{ChatNotFound},
		Summary: "This socket has the chat open. Membership is never granted by it, but in the dev run's open policy.",
	}}
	LeaveChat = Endpoint[LeaveChatReq, LeaveChatRes]{Row{
		Event: "chat:leave", Limit: Limit{120, time.Minute}, Timeout: RequestTimeout, Idempotent: true,
		Summary: "This socket has the chat open no more. Membership stays.",
	}}
	JoinChats = Endpoint[JoinChatsReq, JoinChatsRes]{Row{
		Subject: "rpc.chat.join-multiple", Event: "chat:join-multiple", Limit: Limit{30, time.Minute}, Timeout: RequestTimeout, Idempotent: true,
		Summary: "This socket has several chats open; each is judged for itself.",
	}}
	ActiveMembers = Endpoint[ActiveMembersReq, ActiveMembersRes]{Row{
		Subject: "rpc.chat.active-members", Event: "chat:get-active-members", Limit: Limit{60, time.Minute}, Timeout: RequestTimeout, Idempotent: true,
		Errors:  []Code{ChatNotFound},
		Summary: "Who has the chat open now, on any socket.",
	}}
	StartTyping = Endpoint[TypingReq, TypingRes]{Row{
		Event: "message:typing", Limit: Limit{10, 10 * time.Second}, Timeout: RequestTimeout, Idempotent: true,
		Errors:  []Code{ChatNotFound},
		Summary: "The user is typing. Told to the others at most every 2 s; over the limit it succeeds and nobody is told.",
	}}
	StopTyping = Endpoint[StopTypingReq, StopTypingRes]{Row{
		Event: "message:stop-typing", Limit: Limit{20, 10 * time.Second}, Timeout: RequestTimeout, Idempotent: true,
		Errors:  []Code{ChatNotFound},
		Summary: "The user has stopped typing. Over the limit it succeeds, and the indicator expires.",
	}}
	AuthRefresh = Endpoint[AuthRefreshReq, AuthRefreshRes]{Row{
		Event: "auth:refresh", Limit: Limit{10, time.Minute}, Timeout: RequestTimeout, Idempotent: true,
		Errors:  []Code{InvalidToken, TokenExpired, TokenRevoked},
		Summary: "Present a newer token of the same user before the old one expires.",
	}}

	OpenDevice = Endpoint[OpenReq, OpenRes]{Row{
		Subject: "rpc.chat.open", Timeout: RequestTimeout, Idempotent: true,
		Summary: "A gateway asks what a connecting device needs: its chats, and how far it is in each.",
	}}
	Backlog = Endpoint[BacklogReq, BacklogRes]{Row{
		Subject: "rpc.chat.backlog", Timeout: RequestTimeout, Idempotent: true,
		Summary: "A gateway reads a page of what a device has not had.",
	}}

	SharedChats = Endpoint[SharedChatsReq, SharedChatsRes]{Row{
		Subject: "rpc.chat.shared", Timeout: RequestTimeout, Idempotent: true,
		Summary: "A service asks which users share a chat with one.",
	}}

	UpdatePresence = Endpoint[UpdatePresenceReq, UpdatePresenceRes]{Row{
		Subject: "rpc.presence.update", Event: "presence:update", Limit: Limit{20, time.Minute}, Timeout: RequestTimeout, Idempotent: true,
		Errors:  []Code{InvalidStatus},
		Summary: "The user's own status: online and away are this device's, busy and offline (invisible) are the user's until changed.",
	}}
	SubscribePresence = Endpoint[SubscribePresenceReq, SubscribePresenceRes]{Row{
		Subject: "rpc.presence.subscribe", Event: "presence:subscribe", Limit: Limit{60, time.Minute}, Timeout: RequestTimeout, Idempotent: true,
		Errors:  []Code{SubscriptionLimit},
		Summary: "How users are there, now and with every change, on this connection. Those one may not see look offline.",
	}}
	UnsubscribePresence = Endpoint[UnsubscribePresenceReq, UnsubscribePresenceRes]{Row{
		Event: "presence:unsubscribe", Limit: Limit{60, time.Minute}, Timeout: RequestTimeout, Idempotent: true,
		Summary: "No more of these users' presence on this connection.",
	}}
	ListSessions = Endpoint[ListSessionsReq, SessionsRes]{Row{
		Subject: "rpc.presence.sessions", Event: "session:list", Limit: Limit{30, time.Minute}, Timeout: RequestTimeout, Idempotent: true,
		Summary: "One's own connections, and those that have just ended and may return.",
	}}
	OpenSession = Endpoint[OpenSessionReq, OpenSessionRes]{Row{
		Subject: "rpc.presence.open", Timeout: RequestTimeout, Idempotent: true,
		Summary: "A gateway tells of a connection before its client is greeted; one that returns takes over the connection it had.",
	}}
	ReportSessions = Endpoint[ReportReq, ReportRes]{Row{
		Subject: "rpc.presence.report", Timeout: RequestTimeout, Idempotent: true,
		Summary: "A gateway tells which of its connections have ended, which have which chats open and whose presence they have subscribed.",
	}}
	RenewLease = Endpoint[LeaseReq, LeaseRes]{Row{
		Subject: "rpc.presence.lease", Timeout: RequestTimeout, Idempotent: true,
		Summary: "A gateway lives; without this for 30 s its connections are unknown, and then gone.",
	}}
	Viewers = Endpoint[ViewersReq, ViewersRes]{Row{
		Subject: "rpc.presence.viewers", Timeout: RequestTimeout, Idempotent: true,
		Summary: "A service asks who has a chat open.",
	}}

	InitiateCall = Endpoint[InitiateCallReq, InitiateCallRes]{Row{
		Subject: "rpc.signaling.initiate", Event: "call:initiate", Limit: Limit{5, time.Minute}, Timeout: RequestTimeout, Idempotent: true,
		Errors:  []Code{CallBusy, CallGlare, Conflict, ChatNotFound, PermissionDenied, PayloadTooLarge},
		Summary: "Ring all devices of a user, or of up to three. The ack comes once the call is stored and its time-out with it. A repeated callId gives the same call.",
	}}
	AnswerCall = Endpoint[AnswerCallReq, AnswerCallRes]{Row{
		Subject: "rpc.signaling.answer", Event: "call:answer", Limit: Limit{60, time.Minute}, Timeout: RequestTimeout, Idempotent: true,
		Errors:  []Code{CallNotFound, CallAlreadyAnswered, CallEnded, PayloadTooLarge},
		Summary: "Take a call on this device. The first device wins; the others stop ringing.",
	}}
	RejectCall = Endpoint[RejectCallReq, RejectCallRes]{Row{
		Subject: "rpc.signaling.reject", Event: "call:reject", Limit: Limit{60, time.Minute}, Timeout: RequestTimeout, Idempotent: true,
		Errors:  []Code{CallNotFound, CallAlreadyAnswered, CallEnded},
		Summary: "Refuse a call for all devices of the user.",
	}}
	EndCall = Endpoint[EndCallReq, EndCallRes]{Row{
		Subject: "rpc.signaling.end", Event: "call:end", Limit: Limit{60, time.Minute}, Timeout: RequestTimeout, Idempotent: true,
		Errors:  []Code{CallNotFound},
		Summary: "Hang up, cancel or decline. Any device of the caller ends the call; a callee's device on which it rings no more ends nothing, and the ack says how the call is.",
	}}
	SendCandidate = Endpoint[IceCandidateReq, CallRes]{Row{
		Subject: "rpc.signaling.candidate", Event: "call:ice-candidate", Limit: Limit{200, 10 * time.Second}, Timeout: RequestTimeout, Idempotent: true,
		Errors: []Code{CallNotFound, CallEnded, CallAlreadyAnswered, PayloadTooLarge}, Silent: []Code{CallEnded},
		Summary: "Pass a candidate on: while it rings to all devices of the callee, after the answer to the other's device. Of one sender they keep their order.",
	}}
	Renegotiate = Endpoint[RenegotiateReq, CallRes]{Row{
		Subject: "rpc.signaling.renegotiate", Event: "call:renegotiate", Limit: Limit{60, time.Minute}, Timeout: RequestTimeout, Idempotent: true,
		Errors:  []Code{CallNotFound, CallEnded, CallAlreadyAnswered, PayloadTooLarge},
		Summary: "A new offer or answer within a call that was answered: ICE restart, other media, or the first between two who were called together.",
	}}
	CallIceServers = Endpoint[IceServersReq, IceServersRes]{Row{
		Subject: "rpc.signaling.ice-servers", Event: "call:ice-servers", Limit: Limit{30, time.Minute}, Timeout: RequestTimeout, Idempotent: true,
		Errors:  []Code{CallNotFound, CallEnded},
		Summary: "STUN and TURN servers with fresh credentials, for a call one is in.",
	}}
	CallHistory = Endpoint[CallHistoryReq, CallHistoryRes]{Row{
		Subject: "rpc.signaling.history", Event: "call:history", Limit: Limit{60, time.Minute}, Timeout: RequestTimeout, Idempotent: true,
		Summary: "One's own calls, newest first; the newest 1,000 are kept at hand.",
	}}
	CallSockets = Endpoint[CallSocketsReq, CallSocketsRes]{Row{
		Subject: "rpc.signaling.sockets", Timeout: RequestTimeout, Idempotent: true,
		Summary: "A gateway tells which sockets have come and, of those in calls, gone; it learns what rings for the first.",
	}}
	GetCall = Endpoint[GetCallReq, CallState]{Row{
		Subject: "rpc.signaling.get", HTTP: "GET /v1/calls/{callId}", Timeout: RequestTimeout, Idempotent: true,
		Errors:  []Code{PermissionDenied, CallNotFound},
		Summary: "A call: how it is, or how it ended.",
	}}
	ReachUsers = Endpoint[ReachReq, ReachRes]{Row{
		Subject: "rpc.presence.reach", Timeout: RequestTimeout, Idempotent: true,
		Summary: "A service asks on which sockets users are there, and whether one may turn to them.",
	}}
	MembersAmong = Endpoint[AmongReq, AmongRes]{Row{
		Subject: "rpc.chat.among", Timeout: RequestTimeout, Idempotent: true,
		Errors:  []Code{ChatNotFound},
		Summary: "A service asks which of some users are members of a chat.",
	}}

	AddReaction = Endpoint[ReactReq, AddReactionRes]{Row{
		Subject: "rpc.reactions.add", Event: "reaction:new", Limit: Limit{50, time.Minute}, Timeout: RequestTimeout, Idempotent: true,
		Errors:  []Code{ChatNotFound, MessageNotFound, InvalidReaction, ReactionLimit},
		Summary: "Put a reaction on a message. The same again succeeds, and nobody is told.",
	}}
	RemoveReaction = Endpoint[ReactReq, RemoveReactionRes]{Row{
		Subject: "rpc.reactions.remove", Event: "reaction:remove", Limit: Limit{50, time.Minute}, Timeout: RequestTimeout, Idempotent: true,
		Errors:  []Code{ChatNotFound, MessageNotFound, InvalidReaction},
		Summary: "Take one's own reaction away. Where there is none it succeeds, and nobody is told.",
	}}
	GetReactions = Endpoint[GetReactionsReq, GetReactionsRes]{Row{
		Subject: "rpc.reactions.get", Event: "reaction:get", Limit: Limit{120, time.Minute}, Timeout: RequestTimeout, Idempotent: true,
		Errors:  []Code{ChatNotFound, MessageNotFound},
		Summary: "The reactions on a message, a page at a time, with counts of all.",
	}}
	SummarizeReactions = Endpoint[ReactionSummaryReq, ReactionSummaryRes]{Row{
		Subject: "rpc.reactions.summary", Event: "reaction:summary", Limit: Limit{120, time.Minute}, Timeout: RequestTimeout, Idempotent: true,
		Errors:  []Code{ChatNotFound},
		Summary: "The reactions on many messages of a chat at once, as counts and one's own: for a page that is about to be shown.",
	}}
	FindMessage = Endpoint[FindMessageReq, FindMessageRes]{Row{
		Subject: "rpc.chat.find", Timeout: RequestTimeout, Idempotent: true,
		Errors:  []Code{ChatNotFound, MessageNotFound},
		Summary: "A service asks for a message as a user may see it.",
	}}

	ReadNotifications = Endpoint[ReadNotificationsReq, UnreadRes]{Row{
		Subject: "rpc.notify.read", Event: "notification:read", Limit: Limit{100, time.Minute}, Timeout: RequestTimeout, Idempotent: true,
		Summary: "Notifications have been read. The user's other devices are told, and what was pushed for them is withdrawn.",
	}}
	ClearNotification = Endpoint[ClearNotificationReq, UnreadRes]{Row{
		Subject: "rpc.notify.clear", Event: "notification:clear", Limit: Limit{100, time.Minute}, Timeout: RequestTimeout, Idempotent: true,
		Summary: "Remove a notification. One that is not there is removed already.",
	}}
	ClearNotifications = Endpoint[ClearNotificationsReq, ClearNotificationsRes]{Row{
		Subject: "rpc.notify.clear-all", Event: "notification:clear-all", Limit: Limit{30, time.Minute}, Timeout: RequestTimeout, Idempotent: true,
		Summary: "Remove all notifications there are when the request arrives, and none that come after.",
	}}
	PendingNotifications = Endpoint[PendingNotificationsReq, PendingNotificationsRes]{Row{
		Subject: "rpc.notify.pending", Event: "notification:get-pending", Limit: Limit{120, time.Minute}, Timeout: RequestTimeout, Idempotent: true,
		Summary: "One's notifications, newest first, and how many are unread.",
	}}
	NotifyPreferences = Endpoint[NotifyPrefsReq, NotifyPrefsRes]{Row{
		Subject: "rpc.notify.preferences", Event: "notification:preferences", Limit: Limit{60, time.Minute}, Timeout: RequestTimeout, Idempotent: true,
		Errors:  []Code{SubscriptionLimit},
		Summary: "Mute a chat, or be disturbed by nothing but calls for a while; without a field it only tells how that is.",
	}}
	RegisterDevice = Endpoint[RegisterDeviceReq, RegisterDeviceRes]{Row{
		Subject: "rpc.notify.register", Event: "device:register", Limit: Limit{20, time.Minute}, Timeout: RequestTimeout, Idempotent: true,
		Errors:  []Code{PermissionDenied, PayloadTooLarge},
		Summary: "Push to this device what it does not get otherwise. Of more than 20 registrations of a user the oldest goes.",
	}}
	UnregisterDevice = Endpoint[UnregisterDeviceReq, UnregisterDeviceRes]{Row{
		Subject: "rpc.notify.unregister", Event: "device:unregister", Limit: Limit{20, time.Minute}, Timeout: RequestTimeout, Idempotent: true,
		Summary: "No more push to this device.",
	}}
	PushConfig = Endpoint[PushConfigReq, PushConfigRes]{Row{
		Subject: "rpc.notify.push-config", Event: "device:push-config", Limit: Limit{60, time.Minute}, Timeout: RequestTimeout, Idempotent: true,
		Summary: "Which providers of push there are, and the key to subscribe a browser with.",
	}}
	SendNotification = Endpoint[NotifyReq, NotifyRes]{Row{
		Subject: "rpc.notify.send", HTTP: "POST /v1/notifications", Timeout: RequestTimeout, Idempotent: true,
		Errors:  []Code{PermissionDenied, PayloadTooLarge},
		Summary: "Notify users: stored, shown live and pushed to who is not there.",
	}}
	UnreachedMembers = Endpoint[UnreachedReq, UnreachedRes]{Row{
		Subject: "rpc.chat.unreached", Timeout: RequestTimeout, Idempotent: true,
		Errors:  []Code{ChatNotFound},
		Summary: "A service asks which members of a chat have a message on no device yet.",
	}}

	PutChat = Endpoint[PutChatReq, ChatRes]{Row{
		Subject: "rpc.chat.put", HTTP: "PUT /v1/chats/{chatId}", Timeout: RequestTimeout, Idempotent: true,
		Errors:  []Code{PermissionDenied, PayloadTooLarge},
		Summary: "Create a chat, or set what is given of it and add the members listed.",
	}}
	PatchChat = Endpoint[PutChatReq, ChatRes]{Row{
		Subject: "rpc.chat.patch", HTTP: "PATCH /v1/chats/{chatId}", Timeout: RequestTimeout, Idempotent: true,
		Errors:  []Code{PermissionDenied, ChatNotFound, PayloadTooLarge},
		Summary: "Set what is given of a chat that exists.",
	}}
	GetChat = Endpoint[GetChatReq, ChatRes]{Row{
		Subject: "rpc.chat.get", HTTP: "GET /v1/chats/{chatId}", Timeout: RequestTimeout, Idempotent: true,
		Errors:  []Code{PermissionDenied, ChatNotFound},
		Summary: "A chat with a page of its members and their roles.",
	}}
	AddMembers = Endpoint[AddMembersReq, MembersRes]{Row{
		Subject: "rpc.chat.member-add", HTTP: "POST /v1/chats/{chatId}/members", Timeout: RequestTimeout, Idempotent: true,
		Errors:  []Code{PermissionDenied, ChatNotFound},
		Summary: "Add one member or several, or set their role.",
	}}
	RemoveMember = Endpoint[RemoveMemberReq, MembersRes]{Row{
		Subject: "rpc.chat.member-remove", HTTP: "DELETE /v1/chats/{chatId}/members/{userId}", Timeout: RequestTimeout, Idempotent: true,
		Errors:  []Code{PermissionDenied, ChatNotFound},
		Summary: "End a membership. Nothing with a later position reaches the user.",
	}}
	GetPresence = Endpoint[PresenceOf, PresenceState]{Row{
		Subject: "rpc.presence.get", HTTP: "GET /v1/users/{userId}/presence", Timeout: RequestTimeout, Idempotent: true,
		Errors:  []Code{PermissionDenied},
		Summary: "Everything that is known of how a user is there, whatever they let others see.",
	}}
	GetSessions = Endpoint[PresenceOf, SessionsRes]{Row{
		Subject: "rpc.presence.user-sessions", HTTP: "GET /v1/users/{userId}/sessions", Timeout: RequestTimeout, Idempotent: true,
		Errors:  []Code{PermissionDenied},
		Summary: "A user's connections.",
	}}
	PutContacts = Endpoint[PutRelationsReq, RelationsRes]{Row{
		Subject: "rpc.presence.contacts", HTTP: "PUT /v1/users/{userId}/contacts", Timeout: RequestTimeout, Idempotent: true,
		Errors:  []Code{PermissionDenied, PayloadTooLarge},
		Summary: "Set everybody who may see a user's presence without sharing a chat.",
	}}
	PutBlocks = Endpoint[PutRelationsReq, RelationsRes]{Row{
		Subject: "rpc.presence.blocks", HTTP: "PUT /v1/users/{userId}/blocks", Timeout: RequestTimeout, Idempotent: true,
		Errors:  []Code{PermissionDenied, PayloadTooLarge},
		Summary: "Set everybody a user has blocked: neither sees the other's presence.",
	}}
)

// Endpoints is every request, in the order of the documentation.
var Endpoints = []Described{
	SendMessage, MarkDelivered, MarkRead, History, SyncPull, EditMessage, DeleteMessage,
	JoinChat, LeaveChat, JoinChats, ActiveMembers, StartTyping, StopTyping, AuthRefresh,
	UpdatePresence, SubscribePresence, UnsubscribePresence, ListSessions,
	InitiateCall, AnswerCall, RejectCall, EndCall, SendCandidate, Renegotiate, CallIceServers, CallHistory,
	AddReaction, RemoveReaction, GetReactions, SummarizeReactions,
	ReadNotifications, ClearNotification, ClearNotifications, PendingNotifications, NotifyPreferences, RegisterDevice, UnregisterDevice, PushConfig,
	OpenDevice, Backlog, SharedChats, MembersAmong, FindMessage, UnreachedMembers, OpenSession, ReportSessions, RenewLease, Viewers, ReachUsers, CallSockets,
	PutChat, PatchChat, GetChat, AddMembers, RemoveMember,
	GetPresence, GetSessions, PutContacts, PutBlocks, GetCall, SendNotification,
}

// The server events of the mesh.
var (
	MessageNew                = Event[NewMessage]{EventRow{"message:new", ToChat, true, "A message was stored; to every member's sockets but the sending one."}}
	MessageEditedEvent        = Event[MessageEdited]{EventRow{"message:edited", ToChat, true, "A message has new content; to every socket of every member, the editing one too."}}
	MessageDeletedEvent       = Event[MessageDeleted]{EventRow{"message:deleted", ToChat, true, "A message is gone for everyone; or, with forEveryone false, for the one user whose sockets get it."}}
	DeliveredEvent            = Event[MessageDelivered]{EventRow{"message:delivered", ToUser, false, "To the author: a user has messages of yours, on the first of their devices. In a chat of more than 64 members one a second, for all who came since the last."}}
	ReadEvent                 = Event[MessageRead]{EventRow{"message:read", ToUser, false, "To the author: a user has read messages of yours; coalesced like message:delivered. To the reader's other sockets: with what is unread now."}}
	ChatUpdatedEvent          = Event[ChatUpdated]{EventRow{"chat:updated", ToChat, true, "Name, avatar, description, settings or members of a chat changed."}}
	MemberJoinedEvent         = Event[MemberJoined]{EventRow{"chat:member-joined", ToChat, true, "A user became a member. Kind active: a user opened the chat; only to sockets that have it open, without an offset."}}
	MemberLeftEvent           = Event[MemberLeft]{EventRow{"chat:member-left", ToChat, true, "A membership ended; the user gets it last. Kind active: the user's last socket closed the chat; without an offset."}}
	TypingEvent               = Event[Typing]{EventRow{"message:typing", ToView, false, "Another user is typing; to the sockets that have the chat open."}}
	StopTypingEvent           = Event[StoppedTyping]{EventRow{"message:stop-typing", ToView, false, "A typing indicator is over."}}
	PresenceEvent             = Event[Presence]{EventRow{"presence:update", ToSubscribers, false, "How a user is there, after each change of what others see; to the sockets that subscribed, and to the user's own other sockets."}}
	IncomingCallEvent         = Event[IncomingCall]{EventRow{"call:incoming", ToUser, true, "Ring: to every device of the callee, also to one that connects while it rings (then without an offset; the candidates so far follow as call:ice-candidate, in order, each once)."}}
	CallAnswerEvent           = Event[CallAnswer]{EventRow{"call:answer", ToUser, false, "To the caller's device: the call was answered."}}
	CallRejectEvent           = Event[CallReject]{EventRow{"call:reject", ToUser, false, "To the caller: the call was refused."}}
	CallEndEvent              = Event[CallEnd]{EventRow{"call:end", ToUser, true, "The call is over, or is another device's. With an offset where it was missed, to its callee; without, otherwise."}}
	CallCandidateEvent        = Event[CallCandidate]{EventRow{"call:ice-candidate", ToUser, false, "A candidate of another of the call, to the device that it is for."}}
	RenegotiateEvent          = Event[CallRenegotiate]{EventRow{"call:renegotiate", ToUser, false, "A new description of another of the call, to the device that it is for."}}
	ParticipantsEvent         = Event[CallParticipants]{EventRow{"call:participants", ToUser, false, "Who is in a call of several, after each change, to everybody who is and everybody it rings."}}
	NotificationEvent         = Event[Notification]{EventRow{"notification:new", ToUser, true, "Something to look at later, such as a missed call."}}
	NotificationsReadEvent    = Event[NotificationsRead]{EventRow{"notification:read", ToUser, true, "To the user's other sockets: these have been read on another device."}}
	NotificationsClearedEvent = Event[NotificationsCleared]{EventRow{"notification:cleared", ToUser, true, "To the user's other sockets: these have been removed on another device."}}
	ReactionEvent             = Event[Reaction]{EventRow{"reaction:new", ToChat, true, "Somebody has put a reaction on a message; to every socket of every member, the acting one too."}}
	ReactionGoneEvent         = Event[Reaction]{EventRow{"reaction:remove", ToChat, true, "Somebody has taken a reaction of their own away."}}
	ConnectedEvent            = Event[Connected]{EventRow{"connected", ToSocket, false, "The first event on every connection. Its offset is where the session stands."}}
	ErrorEventEvent           = Event[ErrorEvent]{EventRow{"error", ToSocket, false, "A failure without an ack to carry it."}}
	AuthExpiringEvent         = Event[AuthExpiring]{EventRow{"auth:expiring", ToSocket, false, "The token expires in 60 s."}}
	ServerDrainEvent          = Event[ServerDrain]{EventRow{"server:drain", ToSocket, false, "This gateway closes its connections soon; come back elsewhere."}}
	PongEvent                 = Event[Pong]{EventRow{"pong", ToSocket, false, "Answer to ping, on the plain profile."}}
)

// ServerEvents is every server event, in the order of the documentation.
var ServerEvents = []DescribedEvent{
	MessageNew, MessageEditedEvent, MessageDeletedEvent, DeliveredEvent, ReadEvent, ChatUpdatedEvent, MemberJoinedEvent, MemberLeftEvent, TypingEvent, StopTypingEvent, PresenceEvent,
	IncomingCallEvent, CallAnswerEvent, CallRejectEvent, CallEndEvent, CallCandidateEvent, RenegotiateEvent, ParticipantsEvent, NotificationEvent, NotificationsReadEvent, NotificationsClearedEvent,
	ReactionEvent, ReactionGoneEvent,
	ConnectedEvent, ErrorEventEvent, AuthExpiringEvent, ServerDrainEvent, PongEvent,
}
