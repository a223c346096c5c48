package fcm

import (
	"fmt"
	"strconv"
	"time"

	"supmesh.dev/notify/push"
	"supmesh.dev/proto"
	"supmesh.dev/services/wire"
)

// maxPayload is FCM's bound on what reaches the app; the rest of a request does not
// count, but is not told apart either.
const maxPayload = 4000

// The parts of projects.messages.send that are used.
type (
	request struct {
		Message message `json:"message"`
	}
	message struct {
		Token        string            `json:"token"`
		Notification *notification     `json:"notification,omitzero"`
		Data         map[string]string `json:"data"`
		Android      android           `json:"android"`
		APNs         apns              `json:"apns"`
		Webpush      webpush           `json:"webpush"`
	}
	notification struct {
		Title string `json:"title"`
		Body  string `json:"body,omitzero"`
	}
	android struct {
		CollapseKey  string               `json:"collapse_key"`
		Priority     string               `json:"priority"`
		TTL          string               `json:"ttl"`
		Notification *androidNotification `json:"notification,omitzero"`
	}
	androidNotification struct {
		Tag   string `json:"tag"` // one replaces another on the screen
		Sound string `json:"sound,omitzero"`
		Count int    `json:"notification_count,omitzero"`
	}
	apns struct {
		Headers map[string]string `json:"headers"`
		Payload apsPayload        `json:"payload"`
	}
	apsPayload struct {
		APS aps `json:"aps"`
	}
	aps struct {
		Badge            int    `json:"badge"`
		Sound            string `json:"sound,omitzero"`
		ThreadID         string `json:"thread-id,omitzero"`
		ContentAvailable int    `json:"content-available,omitzero"`
	}
	webpush struct {
		Headers map[string]string `json:"headers"`
	}
)

// encode writes the request for one push. The registration's token counts in no
// bound: it is added last.
func encode(p *proto.Push, token string, now time.Time) ([]byte, error) {
	ttl := push.TTL(p, now)
	seconds := strconv.FormatInt(int64(ttl/time.Second), 10)
	topic := push.Topic(p)
	m := message{
		Token: token, Data: data(p),
		Android: android{CollapseKey: topic, Priority: "high", TTL: seconds + "s"},
		APNs: apns{Headers: map[string]string{
			"apns-collapse-id": topic, "apns-priority": "10",
			"apns-expiration": strconv.FormatInt(now.Add(ttl).Unix(), 10), "apns-push-type": "alert",
		}, Payload: apsPayload{aps{Badge: p.Badge, ThreadID: p.ChatID}}},
		Webpush: webpush{Headers: map[string]string{"TTL": seconds, "Topic": topic, "Urgency": urgency(p)}},
	}
	if p.Priority == proto.PriorityLow {
		m.Android.Priority, m.APNs.Headers["apns-priority"] = "normal", "5"
	}
	if p.Withdraw || p.Type == proto.NotifyCall {
		m.APNs.Payload.APS.ContentAvailable = 1
	}
	if p.Withdraw {
		m.APNs.Headers["apns-push-type"], m.APNs.Headers["apns-priority"] = "background", "5"
	}
	if !p.Withdraw && p.Type != proto.NotifyCall {
		m.Notification = &notification{p.Title, p.Message}
		m.Android.Notification = &androidNotification{Tag: topic, Count: p.Badge}
		if p.Sound {
			m.Android.Notification.Sound, m.APNs.Payload.APS.Sound = "default", "default"
		}
	}
	body, err := wire.Marshal(request{m})
	if err != nil {
		return nil, fmt.Errorf("message: %w", err)
	}
	return body, nil
}

// data is the push for the app itself; FCM takes texts alone.
func data(p *proto.Push) map[string]string {
	all := map[string]string{
		"id": push.ID(p), "notificationId": p.NotificationID, "type": string(p.Type),
		"chatId": p.ChatID, "messageId": p.MessageID, "collapseKey": p.CollapseKey,
		"badge": strconv.Itoa(p.Badge), "data": string(p.Data),
	}
	if p.Withdraw {
		all["withdraw"] = "true"
	} else if p.Type == proto.NotifyCall {
		all["title"], all["message"] = p.Title, p.Message
	}
	if !p.ExpiresAt.IsZero() {
		text, _ := p.ExpiresAt.MarshalText() // it has no error
		all["expiresAt"] = string(text)
	}
	for name, value := range all {
		if value == "" {
			delete(all, name)
		}
	}
	return all
}

func urgency(p *proto.Push) string {
	switch p.Priority {
	case proto.PriorityHigh, proto.PriorityLow:
		return p.Priority
	}
	return "normal"
}
