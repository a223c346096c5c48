package proto

// What may happen to a message after it was sent: it is edited, deleted, or
// its time is over. The log keeps every version; readers get the newest.

// Reasons of MessageDeleted.
const (
	ReasonDeleted   = "deleted"   // by its sender
	ReasonExpired   = "expired"   // its ttlSec is over
	ReasonModerated = "moderated" // by an admin or owner of the chat
)

// EditReq is `message:edit`: new content for one's own message. What is absent
// of metadata and mentions stays as it is; `{}` and `[]` empty them.
type EditReq struct {
	ChatID           string   `json:"chatId" rule:"id"`
	MessageID        string   `json:"messageId" rule:"id"`
	EncryptedContent string   `json:"encryptedContent" rule:"bytes=1..65536"`       // 1 to 64 KiB
	Metadata         Raw      `json:"metadata,omitzero" rule:"object bytes=..8192"` // an object, at most 8 KiB
	Mentions         []string `json:"mentions,omitzero" rule:"n=..50 each=id"`      // those who are no members are left out
}

// Validate checks every field; the error names the first that is wrong.
func (r *EditReq) Validate() error {
	return first(
		field("chatId", CheckID(r.ChatID)),
		field("messageId", CheckID(r.MessageID)),
		check("encryptedContent", r.EncryptedContent != "", "must not be empty"),
		tooLarge("encryptedContent", len(r.EncryptedContent), MaxContent),
		encodedTooLarge("encryptedContent", r.EncryptedContent),
		tooLarge("metadata", len(r.Metadata), MaxMetadata),
		check("metadata", isObject(r.Metadata), "must be an object"),
		check("mentions", len(r.Mentions) <= MaxMentions, "must be at most 50 users"),
		each("mentions", r.Mentions, CheckID),
	)
}

// EditRes is its ack. The same content again gives the time of the edit that brought it.
type EditRes struct {
	ChatID    string    `json:"chatId"`
	MessageID string    `json:"messageId"`
	Seq       uint64    `json:"seq"` // of the message; it keeps its place
	EditedAt  Timestamp `json:"editedAt"`
}

// DeleteReq is `message:delete`: for everyone, or for the user who asks.
type DeleteReq struct {
	ChatID      string `json:"chatId" rule:"id"`
	MessageID   string `json:"messageId" rule:"id"`
	ForEveryone bool   `json:"forEveryone,omitzero"` // false: only this user does not see it any more
}

// Validate checks every field; the error names the first that is wrong.
func (r *DeleteReq) Validate() error {
	return first(field("chatId", CheckID(r.ChatID)), field("messageId", CheckID(r.MessageID)))
}

// DeleteRes is its ack; of a message that was deleted before, with the time of that.
type DeleteRes struct {
	ChatID      string    `json:"chatId"`
	MessageID   string    `json:"messageId"`
	Seq         uint64    `json:"seq"`
	DeletedAt   Timestamp `json:"deletedAt"`
	ForEveryone bool      `json:"forEveryone"`
}

// MessageEdited is `message:edited`: what the message is from now on, whole. It
// is also the log entry from which readers get it.
type MessageEdited struct {
	ChatID           string    `json:"chatId"`
	MessageID        string    `json:"messageId"`
	Seq              uint64    `json:"seq"`
	EncryptedContent string    `json:"encryptedContent"`
	Metadata         Raw       `json:"metadata,omitzero"`
	Mentions         []string  `json:"mentions,omitzero"`
	MentionsAdded    []string  `json:"mentionsAdded,omitzero"`   // of mentions: those whom the version before did not mention
	MentionsRemoved  []string  `json:"mentionsRemoved,omitzero"` // those whom only the version before mentioned
	EditedAt         Timestamp `json:"editedAt"`
	EditedBy         string    `json:"editedBy"`
	Version          uint64    `json:"version"` // of the message: 1 as it was sent, one more for each edit
}

// MessageDeleted is `message:deleted`. To a whole chat it is final: nothing
// follows it for this message. With forEveryone false it comes to the sockets
// of the one user who does not want to see the message any more.
type MessageDeleted struct {
	ChatID      string    `json:"chatId"`
	MessageID   string    `json:"messageId"`
	Seq         uint64    `json:"seq"`
	DeletedAt   Timestamp `json:"deletedAt"`
	DeletedBy   string    `json:"deletedBy,omitzero"`                           // absent where it expired
	Reason      string    `json:"reason" rule:"enum=deleted|expired|moderated"` // deleted, expired or moderated
	ForEveryone bool      `json:"forEveryone"`
}

// MaxSyncChats bounds the chats of one SyncReq.
const MaxSyncChats = 100

// SyncReq is `sync:pull`: bring these chats current, from where the app has them.
type SyncReq struct {
	Chats []SyncFrom `json:"chats" rule:"n=1..100"` // 1 to 100
}

// SyncFrom is one chat and the seq up to which the app has it, 0 for nothing.
type SyncFrom struct {
	ChatID   string `json:"chatId" rule:"id"`
	AfterSeq uint64 `json:"afterSeq,omitzero"`
}

// Validate checks every field; the error names the first that is wrong.
func (r *SyncReq) Validate() error {
	if err := check("chats", len(r.Chats) > 0 && len(r.Chats) <= MaxSyncChats, "must be 1 to 100"); err != nil {
		return err
	}
	for _, c := range r.Chats {
		if err := field("chats.chatId", CheckID(c.ChatID)); err != nil {
			return err
		}
	}
	return nil
}

// SyncRes is its ack, chats in the order asked: at most 100 messages of each, and in all
// as many as fit one answer, at least one.
type SyncRes struct {
	Chats  []SyncedChat `json:"chats"`
	Failed []SyncFailed `json:"failed"`
}

// SyncedChat is what follows in one chat, lowest seq first. A seq that is
// missing between two messages is one the user has deleted for themself.
type SyncedChat struct {
	ChatID      string `json:"chatId"`
	Messages    []Raw  `json:"messages" rule:"each=as:NewMessage"`
	LastSeq     uint64 `json:"lastSeq"` // of the chat
	ReadSeq     uint64 `json:"readSeq"`
	UnreadCount uint64 `json:"unreadCount"` // as in the ack of chat:join
	More        bool   `json:"more"`        // ask again, after the last seq that is here
	// Receipts is how far the other members are; only in chats of at most 64.
	Receipts []MemberReceipt `json:"receipts,omitzero"`
	// NoReceipts is true where receipts were left out because the answer was full: chat:join has them.
	NoReceipts bool `json:"noReceipts,omitzero"`
}

// SyncFailed is a chat that could not be given.
type SyncFailed struct {
	ChatID string `json:"chatId"`
	Code   Code   `json:"code"`
}
