package proto

// Bounds of reactions (CONTRACT §4.14–16).
const (
	MaxReactions     = 20  // different ones of a user on one message
	MaxReaction      = 128 // bytes of one
	MaxReactionsPage = 200
	// MaxDistinct bounds the different reactions on one message, of all users.
	MaxDistinct = 100
)

// ReactReq is `reaction:new` and `reaction:remove`.
type ReactReq struct {
	MessageID string `json:"messageId" rule:"id"`          // ‡
	ChatID    string `json:"chatId" rule:"id"`             // ‡
	Reaction  string `json:"reaction" rule:"bytes=1..128"` // ‡ exactly one emoji of Unicode's RGI set, or `:shortcode:` of at most 32 characters
}

// Validate checks every field but which emoji there are, which the service knows.
func (r *ReactReq) Validate() error {
	return first(
		field("messageId", CheckID(r.MessageID)),
		field("chatId", CheckID(r.ChatID)),
		r.checkReaction(),
	)
}

func (r *ReactReq) checkReaction() error {
	if r.Reaction == "" || len(r.Reaction) > MaxReaction {
		return &Error{Code: InvalidReaction, Field: "reaction", Message: "reaction must be one emoji or :shortcode:"}
	}
	return nil
}

// ReactionCounts is reaction → how many users have put it on a message; the 100 with most
// users where there are more.
type ReactionCounts map[string]int

// AddReactionRes is the ack of reaction:new.
type AddReactionRes struct {
	MessageID string         `json:"messageId"`
	Reaction  string         `json:"reaction"` // in the form of the RGI set
	Counts    ReactionCounts `json:"counts"`
}

// RemoveReactionRes is the ack of reaction:remove.
type RemoveReactionRes struct {
	MessageID string         `json:"messageId"`
	Reaction  string         `json:"reaction"`
	Removed   bool           `json:"removed"` // false: the user had none such there
	Counts    ReactionCounts `json:"counts"`
}

// GetReactionsReq is `reaction:get`.
type GetReactionsReq struct {
	MessageID string `json:"messageId" rule:"id"` // ‡
	ChatID    string `json:"chatId,omitzero" rule:"id"`
	Limit     *int   `json:"limit,omitzero" rule:"n=1..200"`    // 100 if absent
	Cursor    string `json:"cursor,omitzero" rule:"chars=..64"` // nextCursor of the page before
}

// Validate checks every field; the error names the first that is wrong.
func (r *GetReactionsReq) Validate() error {
	return first(
		field("messageId", CheckID(r.MessageID)),
		optional("chatId", r.ChatID, CheckID),
		within("limit", r.Limit, 1, MaxReactionsPage),
		check("cursor", len(r.Cursor) <= 64, "must be nextCursor of an earlier page"),
	)
}

// GetReactionsRes is its ack, oldest reactions first.
type GetReactionsRes struct {
	Reactions  []UserReaction `json:"reactions"` // ‡
	Counts     ReactionCounts `json:"counts"`    // of the whole message
	Mine       []string       `json:"mine"`      // one's own on it
	NextCursor string         `json:"nextCursor,omitzero"`
}

// UserReaction is one reaction of one user.
type UserReaction struct {
	UserID    string    `json:"userId"`    // ‡
	Reaction  string    `json:"reaction"`  // ‡
	CreatedAt Timestamp `json:"createdAt"` // ‡
}

// MaxSummary bounds the messages of one ReactionSummaryReq.
const MaxSummary = 100

// ReactionSummaryReq is `reaction:summary`: what stands on the messages of a chat
// that are about to be shown.
type ReactionSummaryReq struct {
	ChatID     string   `json:"chatId" rule:"id"`
	MessageIDs []string `json:"messageIds" rule:"n=1..100 each=id"`
}

// Validate checks every field; the error names the first that is wrong.
func (r *ReactionSummaryReq) Validate() error {
	return first(
		field("chatId", CheckID(r.ChatID)),
		check("messageIds", len(r.MessageIDs) >= 1 && len(r.MessageIDs) <= MaxSummary, "must be 1 to 100"),
		each("messageIds", r.MessageIDs, CheckID),
	)
}

// ReactionSummaryRes is its ack: the messages that have reactions, in the order asked for.
type ReactionSummaryRes struct {
	ChatID   string            `json:"chatId"`
	Messages []ReactionSummary `json:"messages"`
	// Rest is how many of the messages asked for, the last ones, are to be asked for again:
	// the answer was full.
	Rest int `json:"rest,omitzero"`
}

// ReactionSummary is what stands on one message.
type ReactionSummary struct {
	MessageID string         `json:"messageId"`
	Counts    ReactionCounts `json:"counts"`
	Mine      []string       `json:"mine"`
}

// Reaction is `reaction:new` and `reaction:remove` as events: somebody has put a
// reaction on a message, or has taken their own away.
type Reaction struct {
	MessageID string    `json:"messageId"`                     // ‡
	ChatID    string    `json:"chatId"`                        // ‡
	UserID    string    `json:"userId"`                        // ‡
	UserName  string    `json:"userName"`                      // ‡
	Reaction  string    `json:"reaction"`                      // ‡
	Action    string    `json:"action" rule:"enum=add|remove"` // ‡
	Timestamp Timestamp `json:"timestamp"`                     // ‡
	Count     int       `json:"count"`                         // users who have it there now
	Author    string    `json:"messageSenderId,omitzero"`      // of the message
}

// Actions of a Reaction.
const (
	ReactionAdd    = "add"
	ReactionRemove = "remove"
)

// FindMessageReq asks for a message as one user may see it. Services only.
type FindMessageReq struct {
	UserID    string `json:"userId" rule:"id"`
	ChatID    string `json:"chatId,omitzero" rule:"id"` // absent: in whichever chat of the user it is
	MessageID string `json:"messageId" rule:"id"`
}

// Validate checks every field; the error names the first that is wrong.
func (r *FindMessageReq) Validate() error {
	return first(
		field("userId", CheckID(r.UserID)), optional("chatId", r.ChatID, CheckID), field("messageId", CheckID(r.MessageID)),
	)
}

// FindMessageRes is its answer.
type FindMessageRes struct {
	ChatID     string     `json:"chatId"`
	SenderID   string     `json:"senderId"`
	SenderName string     `json:"senderName,omitzero"`
	Seq        uint64     `json:"seq"`
	Deleted    bool       `json:"deleted,omitzero"`   // for everybody, or hidden by the user
	Mentions   []string   `json:"mentions,omitzero"`  // as of the newest edit
	ExpiresAt  *Timestamp `json:"expiresAt,omitzero"` // when it is deleted for everyone
}
