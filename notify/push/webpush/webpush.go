package webpush

import (
	"context"
	"crypto/ecdh"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/SherClockHolmes/webpush-go"

	"supmesh.dev/notify/push"
	"supmesh.dev/notify/push/guard"
	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/wire"
)

// maxPayload is what fits a record of 4096 bytes with its header (86), its tag (16)
// and a delimiter (RFC 8291 §4).
const maxPayload = 3993

// Config is what the provider is told.
type Config struct {
	PrivateKey services.Secret // VAPID: base64url of 32 bytes
	Subject    string          // mailto: or https: of who runs this
}

// Provider pushes to browsers.
type Provider struct {
	public, private, subject string
	client                   *guard.Client
	now                      func() time.Time
}

// New makes a provider. The client is the provider's from here on.
func New(cfg Config, client *guard.Client) (*Provider, error) {
	raw, err := decode(cfg.PrivateKey.Reveal())
	if err != nil {
		return nil, errors.New("webpush: VAPID private key: must be base64url")
	}
	key, err := ecdh.P256().NewPrivateKey(raw)
	if err != nil {
		return nil, errors.New("webpush: VAPID private key: must be 32 bytes, of P-256")
	}
	subject, mail := strings.CutPrefix(cfg.Subject, "mailto:") // webpush-go adds it again
	if subject == "" || !mail && !strings.HasPrefix(subject, "https:") {
		return nil, errors.New("webpush: VAPID subject: must be a mailto: or an https: URL")
	}
	return &Provider{
		public:  base64.RawURLEncoding.EncodeToString(key.PublicKey().Bytes()),
		private: base64.RawURLEncoding.EncodeToString(raw),
		subject: subject, client: client, now: time.Now,
	}, nil
}

// Name is the provider's.
func (*Provider) Name() proto.PushProvider { return proto.PushWeb }

// Close lets go of idle connections.
func (p *Provider) Close() { p.client.Close() }

// PublicKey is what browsers subscribe with (applicationServerKey), base64url.
func (p *Provider) PublicKey() string { return p.public }

// Destination is the push service of a subscription.
func (*Provider) Destination(to push.Registration) string {
	u, err := url.Parse(to.Token)
	if err != nil {
		return ""
	}
	return u.Host
}

// Check says whether a subscription may be registered.
func (p *Provider) Check(to push.Registration) error {
	if err := p.client.CheckURL(to.Token); err != nil {
		return fmt.Errorf("endpoint: %w", err)
	}
	if raw, err := decode(to.P256DH); err != nil {
		return errKey
	} else if _, err := ecdh.P256().NewPublicKey(raw); err != nil {
		return errKey
	}
	if raw, err := decode(to.Auth); err != nil || len(raw) != 16 {
		return errAuth
	}
	return nil
}

var (
	errKey  = errors.New("p256dh: must be a point on P-256, base64url")
	errAuth = errors.New("auth: must be 16 bytes, base64url")
)

// decode reads base64 of either alphabet, padded or not: browsers differ.
func decode(text string) ([]byte, error) {
	text = strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(text, "="))
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("base64: %w", err)
	}
	return raw, nil
}

// Send makes one try. 404 and 410 mean that the subscription is no more (RFC 8030
// §7.3). 401 and 403 mean that it was made with another VAPID key.
func (p *Provider) Send(ctx context.Context, job *proto.Push, to push.Registration) push.Outcome {
	switch err := p.Check(to); {
	case errors.Is(err, guard.ErrForbidden):
		return push.Refused(guard.ErrForbidden.Error())
	case err != nil:
		return push.Refused("the subscription's keys are wrong")
	}
	body, err := push.Fit(job, maxPayload, func(p *proto.Push) ([]byte, error) { return wire.Marshal(p) })
	if err != nil || body == nil {
		return push.Refused("cannot be encoded")
	}
	now := p.now()
	res, err := webpush.SendNotificationWithContext(ctx, body, &webpush.Subscription{
		Endpoint: to.Token, Keys: webpush.Keys{P256dh: to.P256DH, Auth: to.Auth},
	}, &webpush.Options{
		HTTPClient: p.client.Client, Subscriber: p.subject, VAPIDPublicKey: p.public, VAPIDPrivateKey: p.private,
		Topic: push.Topic(job), TTL: int(push.TTL(job, now) / time.Second), Urgency: urgency(job),
	})
	if err != nil {
		return push.FromError(err)
	}
	defer func() { _ = res.Body.Close() }()
	if _, err := guard.Read(res); err != nil {
		return push.FromError(err)
	}
	o := push.FromStatus(res.StatusCode, res.Header, now)
	switch res.StatusCode {
	case http.StatusNotFound, http.StatusGone:
		o.Status = push.Gone
	case http.StatusUnauthorized, http.StatusForbidden:
		o.Detail += ", the VAPID key is not the subscription's"
	}
	return o
}

func urgency(p *proto.Push) webpush.Urgency {
	switch p.Priority {
	case proto.PriorityHigh:
		return webpush.UrgencyHigh
	case proto.PriorityLow:
		return webpush.UrgencyLow
	}
	return webpush.UrgencyNormal
}
