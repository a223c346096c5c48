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

// MaxViewChanges bounds one ViewReq.
const MaxViewChanges = 256

// ViewReq is what changed of the sockets of one gateway that have a chat open.
// Repeating it changes nothing.
type ViewReq struct {
	Gateway string `json:"gateway" rule:"id"`             // as in LeaseReq
	Quiet   bool   `json:"quiet,omitzero"`                // clients were told before: nobody is told again
	Began   []View `json:"began,omitzero" rule:"n=..256"` // these have a chat open
	Ended   []View `json:"ended,omitzero" rule:"n=..256"` // these no more
}

// Validate checks every field; the error names the first that is wrong.
func (r *ViewReq) Validate() error {
	return first(
		field("gateway", CheckID(r.Gateway)),
		checkViews("began", r.Began), checkViews("ended", r.Ended),
	)
}

// View is one socket that has one chat open.
type View struct {
	ChatID   string `json:"chatId" rule:"id"`
	UserID   string `json:"userId" rule:"id"`
	SocketID string `json:"socketId" rule:"id"`
}

// ViewRes is its answer.
type ViewRes struct {
	Refused []View `json:"refused,omitzero"` // of those begun: the user is not known as a member, now
}

// LeaseReq says that a gateway lives. A gateway has a new name after each start,
// and whenever its lease has been lost.
type LeaseReq struct {
	Gateway string `json:"gateway" rule:"id"`
	Begin   bool   `json:"begin,omitzero"` // make the lease; without it a lost one stays lost
	End     bool   `json:"end,omitzero"`   // the gateway stops, and has no viewers any more
}

// Validate checks every field; the error names the first that is wrong.
func (r *LeaseReq) Validate() error {
	return first(
		field("gateway", CheckID(r.Gateway)),
		check("end", !r.Begin || !r.End, "must not stand with begin"),
	)
}

// LeaseRes is its answer.
type LeaseRes struct {
	Known bool `json:"known"`          // the lease stands
	Swept bool `json:"swept,omitzero"` // it was taken for dead: clients have seen its viewers leave
}

func checkViews(name string, views []View) error {
	if err := check(name, len(views) <= MaxViewChanges, "must be at most 256"); err != nil {
		return err
	}
	for _, v := range views {
		if err := first(
			field(name+".chatId", CheckID(v.ChatID)), field(name+".userId", CheckID(v.UserID)), field(name+".socketId", CheckID(v.SocketID)),
		); err != nil {
			return err
		}
	}
	return nil
}
