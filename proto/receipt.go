package proto

// Bounds of receipts.
const (
	// MaxReceiptIDs is how many messages one receipt may name, in either direction.
	MaxReceiptIDs = 200
	// MaxReceiptUsers is how many users a coalesced event names.
	MaxReceiptUsers = 100
	// SmallChat is how many members a chat may have for each receipt to be told
	// at once and for everyone's cursors to be listed (CONTRACT §4.3).
	SmallChat = 64
)

// DeliveredReq is `message:delivered` from a client: this device has the
// messages up to a point. At least one of the three ways to name it;
// of several, the furthest counts.
type DeliveredReq struct {
	ChatID      string     `json:"chatId" rule:"id"`                           // ‡
	MessageID   string     `json:"messageId,omitzero" rule:"id"`               // ‡
	MessageIDs  []string   `json:"messageIds,omitzero" rule:"n=..200 each=id"` // at most 200
	UpToSeq     uint64     `json:"upToSeq,omitzero"`                           // every message up to this seq
	DeliveredAt *Timestamp `json:"deliveredAt,omitzero"`                       // ‡ a hint, clamped to [message time, now]
}

// Validate checks every field; the error names the first that is wrong.
func (r *DeliveredReq) Validate() error {
	return checkReceipt(r.ChatID, r.MessageID, r.MessageIDs, r.UpToSeq)
}

// DeliveredRes is its ack: where the device's cursor stands now.
type DeliveredRes struct {
	ChatID      string    `json:"chatId"`
	UpToSeq     uint64    `json:"upToSeq"`
	DeliveredAt Timestamp `json:"deliveredAt"`
}

// ReadReq is `message:read` from a client: its user has read the messages up to
// a point, named like that of DeliveredReq.
type ReadReq struct {
	ChatID     string     `json:"chatId" rule:"id"`                           // ‡
	MessageID  string     `json:"messageId,omitzero" rule:"id"`               // ‡
	MessageIDs []string   `json:"messageIds,omitzero" rule:"n=..200 each=id"` // at most 200
	UpToSeq    uint64     `json:"upToSeq,omitzero"`                           // every message up to this seq
	ReadAt     *Timestamp `json:"readAt,omitzero"`                            // ‡ a hint, clamped to [message time, now]
}

// Validate checks every field; the error names the first that is wrong.
func (r *ReadReq) Validate() error {
	return checkReceipt(r.ChatID, r.MessageID, r.MessageIDs, r.UpToSeq)
}

// ReadRes is its ack: where the user's cursor stands now, and what is behind it.
type ReadRes struct {
	ChatID      string    `json:"chatId"`
	UpToSeq     uint64    `json:"upToSeq"`
	ReadAt      Timestamp `json:"readAt"`
	UnreadCount uint64    `json:"unreadCount"` // behind the cursor, as in the ack of chat:join
}

func checkReceipt(chatID, messageID string, messageIDs []string, upToSeq uint64) error {
	return first(
		field("chatId", CheckID(chatID)),
		check("messageId", messageID != "" || len(messageIDs) > 0 || upToSeq > 0, "or messageIds or upToSeq is required"),
		optional("messageId", messageID, CheckID),
		check("messageIds", len(messageIDs) <= MaxReceiptIDs, "must be at most 200"),
		each("messageIds", messageIDs, CheckID),
	)
}

// MessageDelivered is the server event `message:delivered`, to an author. Whoever
// has a message has all before it, so the newest says it all.
type MessageDelivered struct {
	MessageID   string    `json:"messageId"`   // ‡ the newest of yours that is covered
	UserID      string    `json:"userId"`      // ‡ who has it; where coalesced, the last who came so far
	DeliveredAt Timestamp `json:"deliveredAt"` // ‡
	ChatID      string    `json:"chatId"`
	Seq         uint64    `json:"seq"`                 // of messageId
	MessageIDs  []string  `json:"messageIds,omitzero"` // where it covers several of yours: the newest 200
	UserIDs     []string  `json:"userIds,omitzero"`    // where coalesced: the newest 100 who got further, each up to seq at most
	Count       int       `json:"count,omitzero"`      // where coalesced: how many they are
}

// MessageRead is the server event `message:read`, to an author or to the
// reader's other sockets.
type MessageRead struct {
	MessageID   string    `json:"messageId"` // ‡ the newest of yours that is covered; to the reader, the message read up to
	UserID      string    `json:"userId"`    // ‡ who has read it; where coalesced, the last who came so far
	ReadAt      Timestamp `json:"readAt"`    // ‡
	ChatID      string    `json:"chatId"`
	Seq         uint64    `json:"seq"`                  // of messageId
	MessageIDs  []string  `json:"messageIds,omitzero"`  // where it covers several of yours: the newest 200
	UserIDs     []string  `json:"userIds,omitzero"`     // where coalesced: the newest 100 who got further, each up to seq at most
	Count       int       `json:"count,omitzero"`       // where coalesced: how many they are
	UnreadCount *uint64   `json:"unreadCount,omitzero"` // to the reader's other sockets alone: of this chat
}

// ReceiptEntry is what of an entry of ReceiptLog is for services other than chat.
type ReceiptEntry struct {
	Read uint64 `json:"read,omitzero"` // seq up to which the user has read; 0: nothing
}

// MemberReceipt is how far one member of a chat is.
type MemberReceipt struct {
	UserID       string `json:"userId"`
	DeliveredSeq uint64 `json:"deliveredSeq"` // on the furthest of the devices; 0: nothing known
	ReadSeq      uint64 `json:"readSeq"`
}
