package notify

import (
	"crypto/ecdh"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"supmesh.dev/proto"
	"supmesh.dev/services"
)

// Config is what the notify service is told.
type Config struct {
	services.Config `embed:""`

	// PushAfter is how long a device that is there has to say that it has something.
	PushAfter time.Duration `name:"push-after" env:"PUSH_AFTER" default:"10s" help:"How long after a message or notification a user who has it on no device is pushed to."`
	// PushAllowHosts is for endpoints inside the own network.
	PushAllowHosts []string `name:"push-allow-hosts" env:"PUSH_ALLOW_HOSTS" help:"Hosts of webhooks and push subscriptions that may be private addresses, separated by commas."`

	WebhookSecret services.Secret `name:"webhook-secret" env:"WEBHOOK_SECRET" help:"Signs pushes to webhooks (Standard Webhooks, whsec_…); empty: no webhooks."`

	VAPIDPrivateKey services.Secret `name:"vapid-private-key" env:"VAPID_PRIVATE_KEY" help:"Key for Web Push, base64url of the P-256 scalar; empty: no Web Push."`
	VAPIDSubject    string          `name:"vapid-subject" env:"VAPID_SUBJECT" help:"mailto: or https: address for the operators of push services."`

	FCMCredentials services.Secret `name:"fcm-credentials" env:"FCM_CREDENTIALS" help:"Service account of the Firebase project, as JSON; empty: no FCM."`
	FCMEndpoint    string          `name:"fcm-endpoint" env:"FCM_ENDPOINT" help:"Another FCM server, for tests."`

	APNSKey      services.Secret `name:"apns-key" env:"APNS_KEY" help:"Token signing key (.p8) for APNs; empty: no APNs."`
	APNSKeyID    string          `name:"apns-key-id" env:"APNS_KEY_ID" help:"Id of APNS_KEY."`
	APNSTeamID   string          `name:"apns-team-id" env:"APNS_TEAM_ID" help:"Team of APNS_KEY."`
	APNSTopic    string          `name:"apns-topic" env:"APNS_TOPIC" help:"Bundle id of the app."`
	APNSEndpoint string          `name:"apns-endpoint" env:"APNS_ENDPOINT" help:"Another APNs server: the sandbox, or one for tests."`
}

// Validate names the variable that is wrong.
func (c *Config) Validate() error {
	switch {
	case c.PushAfter < time.Second || c.PushAfter > 10*time.Minute:
		return fmt.Errorf("PUSH_AFTER must be from 1s to 10m")
	case c.VAPIDPrivateKey != "" && !strings.HasPrefix(c.VAPIDSubject, "mailto:") && !strings.HasPrefix(c.VAPIDSubject, "https://"):
		return fmt.Errorf("VAPID_SUBJECT must be a mailto: or https: address")
	case c.APNSKey != "" && (c.APNSKeyID == "" || c.APNSTeamID == "" || c.APNSTopic == ""):
		return fmt.Errorf("APNS_KEY needs APNS_KEY_ID, APNS_TEAM_ID and APNS_TOPIC")
	}
	_, err := c.vapidPublicKey()
	return err
}

// providers is those that are set up.
func (c *Config) providers() []proto.PushProvider {
	out := []proto.PushProvider{}
	for _, p := range []struct {
		name   proto.PushProvider
		secret services.Secret
	}{
		{proto.PushWebhook, c.WebhookSecret}, {proto.PushWeb, c.VAPIDPrivateKey}, {proto.PushFCM, c.FCMCredentials}, {proto.PushAPNs, c.APNSKey},
	} {
		if p.secret != "" {
			out = append(out, p.name)
		}
	}
	return out
}

// vapidPublicKey is what a browser subscribes with (RFC 8292), base64url; empty
// without a private key.
func (c *Config) vapidPublicKey() (string, error) {
	if c.VAPIDPrivateKey == "" {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(c.VAPIDPrivateKey.Reveal(), "="))
	if err == nil {
		var key *ecdh.PrivateKey
		if key, err = ecdh.P256().NewPrivateKey(raw); err == nil {
			return base64.RawURLEncoding.EncodeToString(key.PublicKey().Bytes()), nil
		}
	}
	return "", fmt.Errorf("VAPID_PRIVATE_KEY must be a P-256 scalar in base64url")
}
