package proto

// NotificationType says what a notification is about (CONTRACT §5).
type NotificationType string

// The types of notifications.
const (
	NotifyMention     NotificationType = "mention"
	NotifyReply       NotificationType = "reply"
	NotifyCallMissed  NotificationType = "call_missed"
	NotifyCall        NotificationType = "call_incoming"
	NotifyInvite      NotificationType = "chat_invite"
	NotifyChatUpdated NotificationType = "chat_updated"
	NotifyReaction    NotificationType = "message_reaction"
	NotifySystem      NotificationType = "system"
)

// Priorities of a notification.
const (
	PriorityLow    = "low"
	PriorityNormal = "normal"
	PriorityHigh   = "high"
)

// Notification is `notification:new`. It holds nothing of what is encrypted.
type Notification struct {
	ID          string           `json:"id"`                                                                                                        // ‡
	Type        NotificationType `json:"type" rule:"enum=mention|reply|call_missed|call_incoming|chat_invite|chat_updated|message_reaction|system"` // ‡
	Title       string           `json:"title"`                                                                                                     // ‡
	Message     string           `json:"message"`                                                                                                   // ‡
	Data        Raw              `json:"data,omitzero"`                                                                                             // ‡
	FromUserID  string           `json:"fromUserId,omitzero"`                                                                                       // ‡
	ChatID      string           `json:"chatId,omitzero"`                                                                                           // ‡
	MessageID   string           `json:"messageId,omitzero"`                                                                                        // ‡
	Priority    string           `json:"priority" rule:"enum=low|normal|high"`                                                                      // ‡
	Sound       bool             `json:"sound"`                                                                                                     // ‡
	Badge       *int             `json:"badge,omitzero"`                                                                                            // ‡ unread notifications
	Timestamp   Timestamp        `json:"timestamp"`                                                                                                 // ‡
	Read        bool             `json:"read"`                                                                                                      // ‡
	CollapseKey string           `json:"collapseKey,omitzero"`
}
