package proto

import "time"

// TypingFor is how long a typing indicator lives without renewal (CONTRACT §4.4).
const TypingFor = 6 * time.Second

// MaxJoins bounds the chats of one chat:join-multiple, MaxActive the members
// that chat:get-active-members lists (CONTRACT §4.19, §4.20).
const (
	MaxJoins  = 100
	MaxActive = 500
)

// LeaveChatReq is `chat:leave`: this socket has the chat open no more.
type LeaveChatReq struct {
	ChatID string `json:"chatId" rule:"id"` // ‡
}

// Validate checks every field; the error names the first that is wrong.
func (r *LeaveChatReq) Validate() error { return field("chatId", CheckID(r.ChatID)) }

// LeaveChatRes is its ack.
type LeaveChatRes struct {
	ChatID string `json:"chatId"` // ‡
}

// JoinChatsReq is `chat:join-multiple`: this socket has several chats open.
type JoinChatsReq struct {
	ChatIDs []string `json:"chatIds" rule:"n=1..100 each=id"` // ‡
}

// Validate checks every field; the error names the first that is wrong.
func (r *JoinChatsReq) Validate() error {
	return first(
		check("chatIds", len(r.ChatIDs) >= 1 && len(r.ChatIDs) <= MaxJoins, "must be 1 to 100"),
		each("chatIds", r.ChatIDs, CheckID),
	)
}

// JoinChatsRes is its ack. A chat stands in one of the two lists.
type JoinChatsRes struct {
	JoinedCount int          `json:"joinedCount"` // ‡
	Joined      []string     `json:"joined"`
	Failed      []FailedJoin `json:"failed"`
	Versions    []uint64     `json:"versions,omitzero"` // of each chat joined, as chat:updated counts them
}

// FailedJoin is a chat that could not be opened, and why.
type FailedJoin struct {
	ChatID string `json:"chatId"`
	Code   Code   `json:"code"`
}

// ActiveMembersReq is `chat:get-active-members`: who has the chat open?
type ActiveMembersReq struct {
	ChatID string `json:"chatId" rule:"id"` // ‡
}

// Validate checks every field; the error names the first that is wrong.
func (r *ActiveMembersReq) Validate() error { return field("chatId", CheckID(r.ChatID)) }

// ActiveMembersRes is its ack: at most 500 of them, and how many there are.
type ActiveMembersRes struct {
	ChatID        string   `json:"chatId"`        // ‡
	ActiveMembers []string `json:"activeMembers"` // ‡ users
	Count         int      `json:"count"`         // ‡
}

// TypingReq is `message:typing`: the user is typing in a chat, or in one of its threads.
type TypingReq struct {
	ChatID   string `json:"chatId" rule:"id"` // ‡
	ThreadID string `json:"threadId,omitzero" rule:"id"`
}

// Validate checks every field; the error names the first that is wrong.
func (r *TypingReq) Validate() error {
	return first(field("chatId", CheckID(r.ChatID)), optional("threadId", r.ThreadID, CheckID))
}

// TypingRes is its ack: for how long the others see it.
type TypingRes struct {
	ExpiresInMs int64 `json:"expiresInMs"`
	Coalesced   bool  `json:"coalesced,omitzero"` // nobody was told again
}

// StopTypingReq is `message:stop-typing`; without a thread, everywhere in the chat.
type StopTypingReq struct {
	ChatID   string `json:"chatId" rule:"id"` // ‡
	ThreadID string `json:"threadId,omitzero" rule:"id"`
}

// Validate checks every field; the error names the first that is wrong.
func (r *StopTypingReq) Validate() error {
	return first(field("chatId", CheckID(r.ChatID)), optional("threadId", r.ThreadID, CheckID))
}

// StopTypingRes is its ack.
type StopTypingRes struct {
	ChatID string `json:"chatId"`
}

// Typing is `message:typing`: another user is typing.
type Typing struct {
	ChatID      string `json:"chatId"`   // ‡
	UserID      string `json:"userId"`   // ‡
	UserName    string `json:"userName"` // ‡
	ThreadID    string `json:"threadId,omitzero"`
	ExpiresInMs int64  `json:"expiresInMs"` // message:stop-typing comes by then unless it is renewed
}

// StoppedTyping is `message:stop-typing`: an indicator is over.
type StoppedTyping struct {
	ChatID   string `json:"chatId"` // ‡
	UserID   string `json:"userId"` // ‡
	ThreadID string `json:"threadId,omitzero"`
	Reason   string `json:"reason,omitzero" rule:"enum=sent|expired|left|disconnected"` // absent: the user stopped
}

// Reasons of StoppedTyping.
const (
	StoppedSent         = "sent"
	StoppedExpired      = "expired"
	StoppedLeft         = "left"
	StoppedDisconnected = "disconnected"
)
