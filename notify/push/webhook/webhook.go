package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"supmesh.dev/notify/push"
	"supmesh.dev/notify/push/guard"
	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/wire"
)

// Bounds of a signing key, as Standard Webhooks gives them.
const minKey, maxKey = 24, 64

// Provider pushes to webhooks.
type Provider struct {
	key    *standardwebhooks.Webhook
	client *guard.Client
	now    func() time.Time
}

// New makes a provider that signs with a secret: whsec_ and base64 of 24 to 64 bytes.
// The client is the provider's from here on.
func New(secret services.Secret, client *guard.Client) (*Provider, error) {
	size, err := keySize(secret.Reveal())
	if err != nil {
		return nil, err
	}
	if size < minKey || size > maxKey {
		return nil, fmt.Errorf("webhook secret of %d bytes: must be %d to %d", size, minKey, maxKey)
	}
	key, err := standardwebhooks.NewWebhook(secret.Reveal())
	if err != nil {
		return nil, errNotBase64
	}
	return &Provider{key: key, client: client, now: time.Now}, nil
}

// Name is the provider's.
func (*Provider) Name() proto.PushProvider { return proto.PushWebhook }

// Close lets go of idle connections.
func (p *Provider) Close() { p.client.Close() }

// Destination is the host of a webhook.
func (*Provider) Destination(to push.Registration) string {
	u, err := url.Parse(to.Token)
	if err != nil {
		return ""
	}
	return u.Host
}

// Check says whether a webhook may be registered.
func (p *Provider) Check(to push.Registration) error {
	if err := p.client.CheckURL(to.Token); err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	return nil
}

// Types of a webhook's body.
const (
	typePush     = "push"
	typeWithdraw = "push.withdrawn" // nothing more is to be shown under its collapseKey
)

// envelope is what a webhook gets.
type envelope struct {
	Type      string          `json:"type"`
	Timestamp proto.Timestamp `json:"timestamp"` // of what it tells, not of the try
	Data      *proto.Push     `json:"data"`
}

// Send makes one try. Any 2xx is taken, 410 means that the webhook is no more
// (Standard Webhooks, "Responses"). Unlike there, what else a server answers with
// 4xx is final: a person can replay it once the server is right again.
func (p *Provider) Send(ctx context.Context, job *proto.Push, to push.Registration) push.Outcome {
	if err := p.Check(to); err != nil {
		return push.Refused(guard.ErrForbidden.Error())
	}
	e := envelope{Type: typePush, Timestamp: job.CreatedAt, Data: job}
	if job.Withdraw {
		e.Type = typeWithdraw
	}
	body, err := wire.Marshal(e)
	if err != nil {
		return push.Refused("cannot be encoded")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to.Token, bytes.NewReader(body))
	if err != nil {
		return push.Refused(guard.ErrForbidden.Error())
	}
	id, now := push.ID(job), p.now()
	signature, err := p.key.Sign(id, now, body)
	if err != nil {
		return push.Refused("cannot be signed")
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "supmesh-notify")
	request.Header.Set(standardwebhooks.HeaderWebhookID, id)
	request.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	request.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	answer, err := p.client.Ask(request)
	if err != nil {
		return push.FromError(err)
	}
	o := push.FromStatus(answer.Status, answer.Header, now)
	if answer.Status == http.StatusGone {
		o.Status = push.Gone
	}
	return o
}

var errNotBase64 = errors.New("webhook secret: must be base64, after whsec_")
