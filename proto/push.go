package proto

import "time"

// PushProvider is who brings a push to a device.
type PushProvider string

// The providers there are.
const (
	PushWebhook PushProvider = "webhook"
	PushWeb     PushProvider = "webpush"
	PushFCM     PushProvider = "fcm"
	PushAPNs    PushProvider = "apns"
)

// RegisterDeviceReq is `device:register`: push to this device. The same device and
// provider again replaces what was there.
type RegisterDeviceReq struct {
	Provider PushProvider `json:"provider" rule:"enum=webhook|webpush|fcm|apns"`
	Token    string       `json:"token" rule:"bytes=1..4096"` // FCM's or APNs' token, a webhook's URL, or a push subscription's endpoint
	P256DH   string       `json:"p256dh,omitzero"`            // webpush: the subscription's keys, base64url
	Auth     string       `json:"auth,omitzero"`
	VoIP     bool         `json:"voip,omitzero"` // apns: a PushKit token, for calls alone
}

// Validate checks every field; the error names the first that is wrong.
func (r *RegisterDeviceReq) Validate() error {
	return first(
		check("provider", oneOf(string(r.Provider), []string{string(PushWebhook), string(PushWeb), string(PushFCM), string(PushAPNs)}), "must be webhook, webpush, fcm or apns"),
		check("token", r.Token != "", "must not be empty"),
		tooLarge("token", len(r.Token), MaxPushToken),
		check("p256dh", r.Provider != PushWeb || r.P256DH != "", "is required for webpush"),
		check("auth", r.Provider != PushWeb || r.Auth != "", "is required for webpush"),
		tooLarge("p256dh", len(r.P256DH), 256), tooLarge("auth", len(r.Auth), 256),
	)
}

// RegisterDeviceRes is its ack.
type RegisterDeviceRes struct {
	DeviceID string       `json:"deviceId"`
	Provider PushProvider `json:"provider" rule:"enum=webhook|webpush|fcm|apns"`
}

// UnregisterDeviceReq is `device:unregister`: no more push to this device.
type UnregisterDeviceReq struct {
	Provider PushProvider `json:"provider,omitzero" rule:"enum=webhook|webpush|fcm|apns"` // absent: every provider
}

// Validate checks every field; the error names the first that is wrong.
func (r *UnregisterDeviceReq) Validate() error {
	return check("provider", r.Provider == "" || oneOf(string(r.Provider), []string{string(PushWebhook), string(PushWeb), string(PushFCM), string(PushAPNs)}), "must be webhook, webpush, fcm or apns")
}

// UnregisterDeviceRes is its ack.
type UnregisterDeviceRes struct {
	Removed int `json:"removed"`
}

// PushConfigReq is `device:push-config`: what an app needs to register.
type PushConfigReq struct{}

// Validate has nothing to check.
func (*PushConfigReq) Validate() error { return nil }

// PushConfigRes is its ack.
type PushConfigRes struct {
	Providers      []PushProvider `json:"providers"`               // that are set up here
	VAPIDPublicKey string         `json:"vapidPublicKey,omitzero"` // applicationServerKey of the Push API
}

// NotifyPrefsReq is `notification:preferences`: what is not to disturb this user.
// Without a field it only asks.
type NotifyPrefsReq struct {
	Mute *Mute `json:"mute,omitzero"`
	// DoNotDisturb silences everything but calls until then; the zero moment ends it.
	DoNotDisturbUntil *Timestamp `json:"doNotDisturbUntil,omitzero"`
}

// Mute is one chat that does not disturb: it pushes nothing but mentions and replies.
type Mute struct {
	ChatID string     `json:"chatId" rule:"id"`
	Muted  bool       `json:"muted"`
	Until  *Timestamp `json:"until,omitzero"` // absent: until it is unmuted
}

// Validate checks every field; the error names the first that is wrong.
func (r *NotifyPrefsReq) Validate() error {
	if r.Mute == nil {
		return nil
	}
	return field("mute.chatId", CheckID(r.Mute.ChatID))
}

// NotifyPrefsRes is its ack.
type NotifyPrefsRes struct {
	Muted             []Mute     `json:"muted"`
	DoNotDisturbUntil *Timestamp `json:"doNotDisturbUntil,omitzero"`
}

// UnreachedReq asks which members of a chat have not had a message. Services only.
type UnreachedReq struct {
	ChatID string `json:"chatId" rule:"id"`
	Seq    uint64 `json:"seq"`
	After  string `json:"after,omitzero" rule:"id"` // the last user of the page before
	Limit  int    `json:"limit" rule:"n=1..1000"`
}

// Validate checks every field; the error names the first that is wrong.
func (r *UnreachedReq) Validate() error {
	return first(
		field("chatId", CheckID(r.ChatID)), optional("after", r.After, CheckID),
		check("seq", r.Seq > 0, "must be at least 1"), check("limit", r.Limit >= 1 && r.Limit <= 1000, "must be from 1 to 1000"),
	)
}

// UnreachedRes is its answer: members for whom no device has said that it has the
// message, in an order that pages keep.
type UnreachedRes struct {
	UserIDs []string `json:"userIds"`
	Unread  []uint64 `json:"unread"` // of each, as in the ack of chat:join
	Next    string   `json:"next,omitzero"`
	Name    string   `json:"name,omitzero"` // of the chat
}

// Push is one push on its way to one device: a job of the queue PushJobs.
type Push struct {
	UserID         string           `json:"userId"`
	DeviceID       string           `json:"deviceId"`
	Provider       PushProvider     `json:"provider" rule:"enum=webhook|webpush|fcm|apns"`
	NotificationID string           `json:"notificationId"` // the same on every try
	Type           NotificationType `json:"type"`           // or message
	Title          string           `json:"title"`
	Message        string           `json:"message"`
	Data           Raw              `json:"data,omitzero"`
	ChatID         string           `json:"chatId,omitzero"`
	MessageID      string           `json:"messageId,omitzero"`
	Priority       string           `json:"priority" rule:"enum=low|normal|high"`
	Sound          bool             `json:"sound"`
	Badge          int              `json:"badge"`
	CollapseKey    string           `json:"collapseKey"`       // one push replaces another with the same
	Withdraw       bool             `json:"withdraw,omitzero"` // take back what was shown under the collapse key
	CreatedAt      Timestamp        `json:"createdAt"`
	ExpiresAt      Timestamp        `json:"expiresAt"` // not to be shown after
	// After is the log position as of which it was decided, for order.
	After uint64 `json:"after,omitzero"`
}

// NotifyMessage is the type of a push for a message, which makes no notification
// of its own: the message is in its chat.
const NotifyMessage NotificationType = "message"

// NotifyRequests are notifications that services ask for.
var NotifyRequests = Queue{
	Name: "notify-request", Subject: "work.notify.request", Dead: "dead.notify.request",
	Timeout: 10 * time.Second, MaxDeliver: 60, MaxPending: 256,
	Purpose: "notifications that services ask for",
}

// PushJobs are pushes to devices. One is tried for as long as it may be shown.
var PushJobs = Queue{
	Name: "notify-push", Subject: "work.notify.push", Dead: "dead.notify.push",
	Timeout: 30 * time.Second, MaxDeliver: 40, MaxPending: 512,
	Purpose: "pushes to devices",
}
