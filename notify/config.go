package notify

import (
	"fmt"
	"time"

	"supmesh.dev/notify/push"
	"supmesh.dev/notify/push/apns"
	"supmesh.dev/notify/push/fcm"
	"supmesh.dev/notify/push/guard"
	"supmesh.dev/notify/push/webhook"
	"supmesh.dev/notify/push/webpush"
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
	case c.APNSKey != "" && (c.APNSKeyID == "" || c.APNSTeamID == "" || c.APNSTopic == ""):
		return fmt.Errorf("APNS_KEY needs APNS_KEY_ID, APNS_TEAM_ID and APNS_TOPIC")
	}
	_, _, err := c.providers()
	return err
}

// providers makes those that are set up; vapid is what a browser subscribes with,
// empty without Web Push.
func (c *Config) providers() (all []push.Provider, vapid string, err error) {
	public := func() *guard.Client { return guard.New(guard.Options{Allow: c.PushAllowHosts}) }
	trusted := func() *guard.Client { return guard.New(guard.Options{Trusted: true}) }
	if c.WebhookSecret != "" {
		p, err := webhook.New(c.WebhookSecret, public())
		if err != nil {
			return nil, "", fmt.Errorf("WEBHOOK_SECRET: %w", err)
		}
		all = append(all, p)
	}
	if c.VAPIDPrivateKey != "" {
		p, err := webpush.New(webpush.Config{PrivateKey: c.VAPIDPrivateKey, Subject: c.VAPIDSubject}, public())
		if err != nil {
			return nil, "", fmt.Errorf("VAPID_PRIVATE_KEY, VAPID_SUBJECT: %w", err)
		}
		all, vapid = append(all, p), p.PublicKey()
	}
	if c.FCMCredentials != "" {
		p, err := fcm.New(fcm.Config{Credentials: c.FCMCredentials, Endpoint: c.FCMEndpoint}, trusted())
		if err != nil {
			return nil, "", fmt.Errorf("FCM_CREDENTIALS: %w", err)
		}
		all = append(all, p)
	}
	if c.APNSKey != "" {
		p, err := apns.New(apns.Config{Key: c.APNSKey, KeyID: c.APNSKeyID, TeamID: c.APNSTeamID, Topic: c.APNSTopic, Endpoint: c.APNSEndpoint}, trusted())
		if err != nil {
			return nil, "", fmt.Errorf("APNS_KEY: %w", err)
		}
		all = append(all, p)
	}
	return all, vapid, nil
}
