package apns

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sideshow/apns2"

	"supmesh.dev/notify/push"
	"supmesh.dev/proto"
	"supmesh.dev/services/wire"
)

// Bounds of a payload in bytes.
const (
	maxPayload     = 4096
	maxVoIPPayload = 5120
)

// content is what a device gets.
type content struct {
	APS            aps                    `json:"aps"`
	ID             string                 `json:"id"`
	NotificationID string                 `json:"notificationId"`
	Type           proto.NotificationType `json:"type"`
	ChatID         string                 `json:"chatId,omitzero"`
	MessageID      string                 `json:"messageId,omitzero"`
	CollapseKey    string                 `json:"collapseKey,omitzero"`
	Withdraw       bool                   `json:"withdraw,omitzero"`
	ExpiresAt      *proto.Timestamp       `json:"expiresAt,omitzero"`
	Data           proto.Raw              `json:"data,omitzero"`
}

type aps struct {
	Alert            *alert `json:"alert,omitzero"`
	Badge            int    `json:"badge"`
	Sound            string `json:"sound,omitzero"`
	ThreadID         string `json:"thread-id,omitzero"`
	ContentAvailable int    `json:"content-available,omitzero"`
	MutableContent   int    `json:"mutable-content,omitzero"` // the app may decrypt before it is shown
}

type alert struct {
	Title string `json:"title"`
	Body  string `json:"body,omitzero"`
}

func payload(p *proto.Push) ([]byte, error) {
	c := content{
		APS: aps{Badge: p.Badge}, ID: push.ID(p), NotificationID: p.NotificationID, Type: p.Type, ChatID: p.ChatID,
		MessageID: p.MessageID, CollapseKey: p.CollapseKey, Withdraw: p.Withdraw, Data: p.Data,
	}
	if !p.ExpiresAt.IsZero() {
		c.ExpiresAt = &p.ExpiresAt
	}
	if p.Withdraw {
		c.APS.ContentAvailable = 1
	} else {
		c.APS.Alert, c.APS.ThreadID, c.APS.MutableContent = &alert{p.Title, p.Message}, p.ChatID, 1
		if p.Sound {
			c.APS.Sound = "default"
		}
	}
	body, err := wire.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	var escaped bytes.Buffer
	json.HTMLEscape(&escaped, body) // as apns2's encoder does: its size is what counts
	return escaped.Bytes(), nil
}

// notification is the headers of one push.
func notification(p *proto.Push, to push.Registration, topic string, now time.Time) *apns2.Notification {
	n := &apns2.Notification{
		ApnsID: apnsID(p), CollapseID: push.Topic(p), DeviceToken: to.Token, Topic: topic,
		Expiration: now.Add(push.TTL(p, now)), Priority: apns2.PriorityHigh, PushType: apns2.PushTypeAlert,
	}
	if p.Priority == proto.PriorityLow {
		n.Priority = apns2.PriorityLow
	}
	switch {
	case to.VoIP:
		n.Topic, n.PushType, n.Priority = topic+".voip", apns2.PushTypeVOIP, apns2.PriorityHigh
	case p.Withdraw:
		n.PushType, n.Priority = apns2.PushTypeBackground, apns2.PriorityLow // of a background push any other is an error
	}
	return n
}

// reasons are those APNs has; nothing else of an answer is quoted.
var reasons = map[string]bool{
	apns2.ReasonBadCollapseID: true, apns2.ReasonBadDeviceToken: true, apns2.ReasonBadExpirationDate: true,
	apns2.ReasonBadMessageID: true, apns2.ReasonBadPriority: true, apns2.ReasonBadTopic: true,
	apns2.ReasonDeviceTokenNotForTopic: true, apns2.ReasonDuplicateHeaders: true, apns2.ReasonIdleTimeout: true,
	apns2.ReasonInvalidPushType: true, apns2.ReasonMissingDeviceToken: true, apns2.ReasonMissingTopic: true,
	apns2.ReasonPayloadEmpty: true, apns2.ReasonTopicDisallowed: true, apns2.ReasonBadCertificate: true,
	apns2.ReasonBadCertificateEnvironment: true, apns2.ReasonExpiredProviderToken: true, apns2.ReasonForbidden: true,
	apns2.ReasonInvalidProviderToken: true, apns2.ReasonMissingProviderToken: true, apns2.ReasonBadPath: true,
	apns2.ReasonMethodNotAllowed: true, apns2.ReasonUnregistered: true, apns2.ReasonPayloadTooLarge: true,
	apns2.ReasonTooManyProviderTokenUpdates: true, apns2.ReasonTooManyRequests: true,
	apns2.ReasonInternalServerError: true, apns2.ReasonServiceUnavailable: true, apns2.ReasonShutdown: true,
	"ExpiredToken": true, "UnrelatedKeyIdInToken": true, "BadEnvironmentKeyIdInToken": true,
}
