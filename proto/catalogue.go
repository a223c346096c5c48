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
		Summary: "This device has the messages up to a point; its offline queue moves there.",
	}}
	History = Endpoint[HistoryReq, HistoryRes]{Row{
		Subject: "rpc.chat.history", Event: "message:history", Limit: Limit{120, time.Minute}, Timeout: RequestTimeout, Idempotent: true,
		Errors:  []Code{ChatNotFound},
		Summary: "A page of a chat's messages, before or after a seq.",
	}}
	JoinChat = Endpoint[JoinChatReq, JoinChatRes]{Row{
		Subject: "rpc.chat.join", Event: "chat:join", Limit: Limit{120, time.Minute}, Timeout: RequestTimeout, Idempotent: true,
		Errors:  []Code{ChatNotFound},
		Summary: "This socket has the chat open. Membership is never granted by it, but in the dev run's open policy.",
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
)

// Endpoints is every request, in the order of the documentation.
var Endpoints = []Described{
	SendMessage, MarkDelivered, History, JoinChat, AuthRefresh,
	OpenDevice, Backlog,
	PutChat, PatchChat, GetChat, AddMembers, RemoveMember,
}

// The server events of the mesh.
var (
	MessageNew        = Event[NewMessage]{EventRow{"message:new", ToChat, true, "A message was stored; to every member's sockets but the sending one."}}
	ChatUpdatedEvent  = Event[ChatUpdated]{EventRow{"chat:updated", ToChat, true, "Name, avatar, description, settings or members of a chat changed."}}
	MemberJoinedEvent = Event[MemberJoined]{EventRow{"chat:member-joined", ToChat, true, "A user became a member."}}
	MemberLeftEvent   = Event[MemberLeft]{EventRow{"chat:member-left", ToChat, true, "A membership ended; the user gets it last."}}
	ConnectedEvent    = Event[Connected]{EventRow{"connected", ToSocket, false, "The first event on every connection. Its offset is where the session stands."}}
	ErrorEventEvent   = Event[ErrorEvent]{EventRow{"error", ToSocket, false, "A failure without an ack to carry it."}}
	AuthExpiringEvent = Event[AuthExpiring]{EventRow{"auth:expiring", ToSocket, false, "The token expires in 60 s."}}
	ServerDrainEvent  = Event[ServerDrain]{EventRow{"server:drain", ToSocket, false, "This gateway closes its connections soon; come back elsewhere."}}
	PongEvent         = Event[Pong]{EventRow{"pong", ToSocket, false, "Answer to ping, on the plain profile."}}
)

// ServerEvents is every server event, in the order of the documentation.
var ServerEvents = []DescribedEvent{
	MessageNew, ChatUpdatedEvent, MemberJoinedEvent, MemberLeftEvent,
	ConnectedEvent, ErrorEventEvent, AuthExpiringEvent, ServerDrainEvent, PongEvent,
}
