package proto

import "slices"

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

// Bounds of notifications (CONTRACT §4.21–24).
const (
	MaxNotifications     = 500 // kept of one user: the oldest go first, and count no more
	MaxNotificationsPage = 100
	MaxNotificationIDs   = 200 // of one request
	MaxNotifyUsers       = 100 // of one request of a backend
	MaxTitle             = 200 // characters
	MaxNotificationText  = 1000
	MaxNotificationData  = 4 << 10 // bytes
	MinNotificationTTL   = 10      // seconds
	MaxPushDevices       = 20      // registrations of one user
	MaxPushToken         = 4 << 10 // bytes
	MaxMutes             = 1000    // chats of one user
)

// ReadNotificationsReq is `notification:read`.
type ReadNotificationsReq struct {
	NotificationID  string   `json:"notificationId,omitzero" rule:"id"` // ‡ this, notificationIds, or all
	NotificationIDs []string `json:"notificationIds,omitzero" rule:"n=..200 each=id"`
	All             bool     `json:"all,omitzero"` // what there is when the request arrives
}

// Validate checks every field; the error names the first that is wrong.
func (r *ReadNotificationsReq) Validate() error {
	return first(
		check("notificationId", r.NotificationID != "" || len(r.NotificationIDs) > 0 || r.All, "or notificationIds or all must be given"),
		optional("notificationId", r.NotificationID, CheckID),
		check("notificationIds", len(r.NotificationIDs) <= MaxNotificationIDs, "must be at most 200"),
		each("notificationIds", r.NotificationIDs, CheckID),
	)
}

// IDs is the notifications that are named.
func (r *ReadNotificationsReq) IDs() []string {
	if r.NotificationID == "" || slices.Contains(r.NotificationIDs, r.NotificationID) {
		return r.NotificationIDs
	}
	return append([]string{r.NotificationID}, r.NotificationIDs...)
}

// UnreadRes is the ack of notification:read and notification:clear.
type UnreadRes struct {
	UnreadCount int `json:"unreadCount"`
}

// ClearNotificationReq is `notification:clear`.
type ClearNotificationReq struct {
	NotificationID string `json:"notificationId" rule:"id"` // ‡
}

// Validate checks every field; the error names the first that is wrong.
func (r *ClearNotificationReq) Validate() error {
	return field("notificationId", CheckID(r.NotificationID))
}

// ClearNotificationsReq is `notification:clear-all`: what there is when it arrives.
type ClearNotificationsReq struct{}

// Validate has nothing to check.
func (*ClearNotificationsReq) Validate() error { return nil }

// ClearNotificationsRes is its ack.
type ClearNotificationsRes struct {
	Cleared     int `json:"cleared"`
	UnreadCount int `json:"unreadCount"` // of what has come since
}

// PendingNotificationsReq is `notification:get-pending`.
type PendingNotificationsReq struct {
	Limit  *int               `json:"limit,omitzero" rule:"n=1..100"`                                                                                                 // 50 if absent
	Cursor string             `json:"cursor,omitzero" rule:"chars=..64"`                                                                                              // nextCursor of the page before
	Types  []NotificationType `json:"types,omitzero" rule:"n=..8 each=enum=mention|reply|call_missed|call_incoming|chat_invite|chat_updated|message_reaction|system"` // these alone
}

// Validate checks every field; the error names the first that is wrong.
func (r *PendingNotificationsReq) Validate() error {
	err := first(
		within("limit", r.Limit, 1, MaxNotificationsPage),
		check("cursor", len(r.Cursor) <= 64, "must be nextCursor of an earlier page"),
		check("types", len(r.Types) <= len(NotificationTypes), "must be at most 8"),
	)
	for _, t := range r.Types {
		err = first(err, t.check("types"))
	}
	return err
}

// NotificationTypes is every type there is.
var NotificationTypes = []NotificationType{
	NotifyMention, NotifyReply, NotifyCallMissed, NotifyCall, NotifyInvite, NotifyChatUpdated, NotifyReaction, NotifySystem,
}

func (t NotificationType) check(name string) error {
	return check(name, slices.Contains(NotificationTypes, t), "must be a type of notification")
}

// PendingNotificationsRes is its ack.
type PendingNotificationsRes struct {
	Notifications []Notification `json:"notifications"` // ‡ newest first
	UnreadCount   int            `json:"unreadCount"`
	NextCursor    string         `json:"nextCursor,omitzero"`
}

// NotificationsRead is `notification:read`: another device of the user has read them.
type NotificationsRead struct {
	NotificationIDs []string `json:"notificationIds"`
	UnreadCount     int      `json:"unreadCount"`
}

// NotificationsCleared is `notification:cleared`: another device has cleared them.
type NotificationsCleared struct {
	NotificationIDs []string `json:"notificationIds"`
	UnreadCount     int      `json:"unreadCount"`
}

// NotifyReq is a notification to be: from a service by the queue NotifyRequests,
// from a backend by rpc.notify.send or POST /v1/notifications.
type NotifyReq struct {
	UserIDs     []string         `json:"userIds" rule:"n=1..100 each=id"`
	Type        NotificationType `json:"type" rule:"enum=mention|reply|call_missed|call_incoming|chat_invite|chat_updated|message_reaction|system"`
	Title       string           `json:"title" rule:"chars=1..200"`
	Message     string           `json:"message,omitzero" rule:"chars=..1000"`
	Data        Raw              `json:"data,omitzero" rule:"object bytes=..4096"`
	FromUserID  string           `json:"fromUserId,omitzero" rule:"id"`
	ChatID      string           `json:"chatId,omitzero" rule:"id"`
	MessageID   string           `json:"messageId,omitzero" rule:"id"`
	Priority    string           `json:"priority,omitzero" rule:"enum=low|normal|high"` // the type's if absent
	Silent      bool             `json:"silent,omitzero"`                               // no sound
	CollapseKey string           `json:"collapseKey,omitzero" rule:"chars=..64"`        // one push replaces another with the same; the chat's if absent
	TTLSec      *int             `json:"ttlSec,omitzero" rule:"n=10..2592000"`          // gone after it; 30 days if absent
	// Key makes it one notification a user, however often it is asked for.
	Key string `json:"key,omitzero" rule:"chars=..200"`
}

// Validate checks every field; the error names the first that is wrong.
func (r *NotifyReq) Validate() error {
	return first(
		check("userIds", len(r.UserIDs) >= 1 && len(r.UserIDs) <= MaxNotifyUsers, "must be 1 to 100"),
		each("userIds", r.UserIDs, CheckID),
		r.Type.check("type"),
		check("title", r.Title != "" && charsAtMost(r.Title, MaxTitle), "must be 1 to 200 characters"),
		check("message", charsAtMost(r.Message, MaxNotificationText), "must be at most 1000 characters"),
		check("data", isObject(r.Data), "must be an object"),
		tooLarge("data", len(r.Data), MaxNotificationData),
		optional("fromUserId", r.FromUserID, CheckID), optional("chatId", r.ChatID, CheckID), optional("messageId", r.MessageID, CheckID),
		check("priority", r.Priority == "" || oneOf(r.Priority, []string{PriorityLow, PriorityNormal, PriorityHigh}), "must be low, normal or high"),
		check("collapseKey", charsAtMost(r.CollapseKey, 64), "must be at most 64 characters"),
		within("ttlSec", r.TTLSec, MinNotificationTTL, MaxTTL),
		check("key", charsAtMost(r.Key, 200), "must be at most 200 characters"),
	)
}

// NotifyRes is the answer to a backend.
type NotifyRes struct {
	NotificationIDs []string `json:"notificationIds"` // in the order of the users
}
