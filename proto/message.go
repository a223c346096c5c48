package proto

import (
	"time"
)

// Bounds of a message (CONTRACT §4.1).
const (
	MaxContent  = 64 << 10
	MaxMetadata = 8 << 10
	MaxMentions = 50
	MinTTL      = 5
	MaxTTL      = 2592000
)

// MessageTypes is every value of Message.MessageType.
var MessageTypes = []string{"text", "image", "video", "audio", "file", "voice"}

// Message is one stored message. Content and metadata pass through untouched.
type Message struct {
	ID               string         `json:"id"`                                                        // ‡ msg_…, made by the server
	ChatID           string         `json:"chatId"`                                                    // ‡
	SenderID         string         `json:"senderId"`                                                  // ‡
	EncryptedContent string         `json:"encryptedContent"`                                          // ‡ opaque
	MessageType      string         `json:"messageType" rule:"enum=text|image|video|audio|file|voice"` // ‡ a row of MessageTypes
	ReplyToID        string         `json:"replyToId,omitzero"`                                        // ‡
	Metadata         Raw            `json:"metadata,omitzero"`                                         // ‡
	CreatedAt        Timestamp      `json:"createdAt"`                                                 // ‡
	Status           string         `json:"status" rule:"enum=sent|delivered|read"`                    // ‡ sent, as stored: delivered and read follow from receipts
	TempID           string         `json:"tempId,omitzero"`                                           // ‡ for the sender only
	Seq              uint64         `json:"seq"`                                                       // dense in the chat, from 1
	ThreadID         string         `json:"threadId,omitzero"`
	ForwardedFrom    *ForwardedFrom `json:"forwardedFrom,omitzero"`
	Mentions         []string       `json:"mentions,omitzero"`
	EditedAt         *Timestamp     `json:"editedAt,omitzero"`
	DeletedAt        *Timestamp     `json:"deletedAt,omitzero"` // gone: content is "", metadata and mentions are absent
	ExpiresAt        *Timestamp     `json:"expiresAt,omitzero"` // when it is deleted for everyone
}

// ForwardedFrom is where a forwarded message was first said.
type ForwardedFrom struct {
	ChatID    string `json:"chatId" rule:"id"`
	MessageID string `json:"messageId" rule:"id"`
	SenderID  string `json:"senderId"` // filled in by the server; what a client says is ignored
}

// Sender is who sent a message, as shown to people.
type Sender struct {
	ID       string `json:"id"`              // ‡
	Username string `json:"username"`        // ‡
	Avatar   string `json:"avatar,omitzero"` // ‡
}

// SendMessageReq is `message:new` from a client.
type SendMessageReq struct {
	ChatID           string         `json:"chatId" rule:"id"`                                                   // ‡
	EncryptedContent string         `json:"encryptedContent" rule:"bytes=1..65536"`                             // ‡ 1 to 64 KiB
	MessageType      string         `json:"messageType,omitzero" rule:"enum=text|image|video|audio|file|voice"` // ‡
	ReplyToID        string         `json:"replyToId,omitzero" rule:"id"`                                       // ‡ a message of this chat
	Metadata         Raw            `json:"metadata,omitzero" rule:"object bytes=..8192"`                       // ‡ an object, at most 8 KiB
	TempID           string         `json:"tempId,omitzero" rule:"clientId"`                                    // ‡ the idempotency key
	ThreadID         string         `json:"threadId,omitzero" rule:"id"`                                        // a message of this chat
	ForwardFrom      *ForwardedFrom `json:"forwardFrom,omitzero"`                                               // a message that the sender may read
	Mentions         []string       `json:"mentions,omitzero" rule:"n=..50 each=id"`                            // those who are no members are left out
	TTLSec           *int           `json:"ttlSec,omitzero" rule:"n=5..2592000"`                                // 5 to 2,592,000 s
}

// Validate checks every field; the error names the first that is wrong.
func (r *SendMessageReq) Validate() error {
	return first(
		field("chatId", CheckID(r.ChatID)),
		check("encryptedContent", r.EncryptedContent != "", "must not be empty"),
		tooLarge("encryptedContent", len(r.EncryptedContent), MaxContent),
		encodedTooLarge("encryptedContent", r.EncryptedContent),
		check("messageType", r.MessageType == "" || oneOf(r.MessageType, MessageTypes), "must be one of text, image, video, audio, file, voice"),
		optional("replyToId", r.ReplyToID, CheckID),
		tooLarge("metadata", len(r.Metadata), MaxMetadata),
		check("metadata", isObject(r.Metadata), "must be an object"),
		optional("tempId", r.TempID, CheckClientID),
		optional("threadId", r.ThreadID, CheckID),
		r.ForwardFrom.validate(),
		check("mentions", len(r.Mentions) <= MaxMentions, "must be at most 50 users"),
		each("mentions", r.Mentions, CheckID),
		within("ttlSec", r.TTLSec, MinTTL, MaxTTL),
	)
}

func (f *ForwardedFrom) validate() error {
	if f == nil {
		return nil
	}
	return first(
		field("forwardFrom.chatId", CheckID(f.ChatID)),
		field("forwardFrom.messageId", CheckID(f.MessageID)),
		optional("forwardFrom.senderId", f.SenderID, CheckID),
	)
}

// SendMessageRes is the ack of `message:new`: sent once the message is stored.
type SendMessageRes struct {
	Message   Message `json:"message"`            // ‡
	Sender    Sender  `json:"sender"`             // ‡
	Duplicate bool    `json:"duplicate,omitzero"` // this tempId had been stored before
}

// NewMessage is the payload of the server event `message:new`, and the body of
// a message's entry in the log.
type NewMessage struct {
	Message Message `json:"message"` // ‡
	Sender  Sender  `json:"sender"`  // ‡
}

// HistoryReq is `message:history`: one page of a chat, before or after a seq;
// neither is the newest page.
type HistoryReq struct {
	ChatID    string  `json:"chatId" rule:"id"`
	BeforeSeq uint64  `json:"beforeSeq,omitzero"`
	AfterSeq  *uint64 `json:"afterSeq,omitzero"`              // 0 reads from the first message
	Limit     *int    `json:"limit,omitzero" rule:"n=1..100"` // 1 to 100, 50 by default
}

// Validate checks every field; the error names the first that is wrong.
func (r *HistoryReq) Validate() error {
	return first(
		field("chatId", CheckID(r.ChatID)),
		check("afterSeq", r.BeforeSeq == 0 || r.AfterSeq == nil, "must not stand with beforeSeq"),
		within("limit", r.Limit, 1, 100),
	)
}

// HistoryRes is a page, lowest seq first. Each message is a NewMessage with its
// newest edit applied. A seq that is missing between two messages is one the
// user has deleted for themself.
type HistoryRes struct {
	ChatID   string `json:"chatId"`
	Messages []Raw  `json:"messages" rule:"each=as:NewMessage"`
	LastSeq  uint64 `json:"lastSeq"` // of the chat
	HasMore  bool   `json:"hasMore"` // in the direction asked
}

// SendTimeout is how long a send may take in all: a leader election takes 4 to
// 9 s, so the outcome is unknown only after that (CONTRACT §3).
const SendTimeout = 15 * time.Second

// RequestTimeout is how long any other request may take.
const RequestTimeout = 5 * time.Second
