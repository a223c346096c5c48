package apns

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sideshow/apns2"
	"github.com/sideshow/apns2/token"

	"supmesh.dev/notify/push"
	"supmesh.dev/notify/push/guard"
	"supmesh.dev/proto"
	"supmesh.dev/services"
)

// Pauses that Apple asks for (Handling notification responses from APNs).
const (
	tokenPause = 20 * time.Minute // a provider token may change no more often
	busyPause  = time.Minute      // too many pushes to one device
)

// Config is what the provider is told.
type Config struct {
	Key      services.Secret // a .p8 file's content, PEM
	KeyID    string
	TeamID   string
	Topic    string // the app's bundle id
	Endpoint string // Apple's production host if empty
}

// Provider pushes by APNs.
type Provider struct {
	client *apns2.Client
	http   *guard.Client
	topic  string
	now    func() time.Time
}

// New makes a provider. The client, made for trusted endpoints, is the provider's
// from here on.
func New(cfg Config, client *guard.Client) (*Provider, error) {
	key, err := token.AuthKeyFromBytes([]byte(cfg.Key.Reveal()))
	if err != nil {
		return nil, errors.New("apns: key must be a .p8 file's content")
	}
	if cfg.KeyID == "" || cfg.TeamID == "" || cfg.Topic == "" {
		return nil, errors.New("apns: key id, team id and topic must not be empty")
	}
	bearer := &token.Token{AuthKey: key, KeyID: cfg.KeyID, TeamID: cfg.TeamID}
	if _, err := bearer.Generate(); err != nil {
		return nil, errors.New("apns: key must be of P-256")
	}
	host := cfg.Endpoint
	if host == "" {
		host = apns2.HostProduction
	}
	if u, err := url.Parse(host); err != nil || u.Host == "" {
		return nil, errors.New("apns: endpoint must be a URL")
	}
	watched := *client.Client
	watched.Transport = watcher{client.Transport}
	return &Provider{
		client: &apns2.Client{Host: strings.TrimRight(host, "/"), Token: bearer, HTTPClient: &watched},
		http:   client, topic: cfg.Topic, now: time.Now,
	}, nil
}

// Name is the provider's.
func (*Provider) Name() proto.PushProvider { return proto.PushAPNs }

// Close lets go of idle connections.
func (p *Provider) Close() { p.http.Close() }

// Check says whether a device token may be registered: it becomes part of a path.
func (*Provider) Check(to push.Registration) error {
	if raw, err := hex.DecodeString(to.Token); err != nil || len(raw) == 0 || len(raw) > 128 {
		return errToken
	}
	return nil
}

var errToken = errors.New("token: must be hex digits")

// Send makes one try.
func (p *Provider) Send(ctx context.Context, job *proto.Push, to push.Registration) push.Outcome {
	if err := p.Check(to); err != nil {
		return push.Refused(err.Error())
	}
	if to.VoIP && (job.Type != proto.NotifyCall || job.Withdraw) {
		// An app that gets one and shows no call is ended by the system.
		return push.Outcome{Status: push.Skipped, Detail: "a VoIP token is for calls alone"}
	}
	now := p.now()
	n := notification(job, to, p.topic, now)
	limit := maxPayload
	if to.VoIP {
		limit = maxVoIPPayload
	}
	body, err := push.Fit(job, limit, payload)
	if err != nil || body == nil {
		return push.Refused("cannot be encoded")
	}
	n.Payload = json.RawMessage(body)
	bearer := p.bearer()
	seen := &seen{}
	answer, err := p.client.PushWithContext(context.WithValue(ctx, seenKey{}, seen), n)
	switch {
	case seen.status == 0, err != nil && seen.status >= http.StatusMultipleChoices && !foreign(err):
		return push.FromError(err)
	case err != nil: // the status says enough
		answer = &apns2.Response{StatusCode: seen.status}
	}
	return p.read(answer, push.After(seen.header, now), bearer, now)
}

// read is what APNs' answer means.
func (p *Provider) read(answer *apns2.Response, after time.Duration, bearer string, now time.Time) push.Outcome {
	o := push.FromStatus(answer.StatusCode, nil, now)
	if o.Status == push.Retry {
		o.After = after
	}
	if reasons[answer.Reason] {
		o.Detail += " " + answer.Reason
	}
	switch answer.Reason {
	case apns2.ReasonBadDeviceToken: // it is none, or another environment's: for us it is no more
		o.Status = push.Gone
	case apns2.ReasonTooManyProviderTokenUpdates:
		o.Status, o.After = push.Retry, max(after, tokenPause)
	case apns2.ReasonTooManyRequests:
		o.After = max(after, busyPause)
	case apns2.ReasonExpiredProviderToken:
		p.renew(bearer)
		o.Status = push.Retry
	case apns2.ReasonInvalidProviderToken, apns2.ReasonMissingProviderToken:
		o.Status = push.Retry // our key is wrong, not the push: nothing is lost while it is set right
	}
	if answer.StatusCode == http.StatusGone {
		o.Status = push.Gone
	}
	return o
}

// foreign says whether a body was read and is not APNs'.
func foreign(err error) bool {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	return errors.As(err, &syntax) || errors.As(err, &kind)
}

func (p *Provider) bearer() string { return p.client.Token.GenerateIfExpired() }

// renew makes another provider token in place of one that was refused, once.
func (p *Provider) renew(refused string) {
	t := p.client.Token
	t.Lock()
	defer t.Unlock()
	if t.Bearer == refused {
		_, _ = t.Generate() // New has seen that it can
	}
}

// watcher keeps the status and headers of an answer, which apns2 drops where it
// cannot read the body.
type watcher struct{ http.RoundTripper }

type (
	seenKey struct{}
	seen    struct {
		status int
		header http.Header
	}
)

func (w watcher) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := w.RoundTripper.RoundTrip(r)
	if s, ok := r.Context().Value(seenKey{}).(*seen); ok && err == nil {
		s.status, s.header = res.StatusCode, res.Header
	}
	if err != nil {
		return nil, fmt.Errorf("push: %w", err)
	}
	return res, nil
}

// apnsID is a push's id as the UUID that apns-id has to be.
func apnsID(p *proto.Push) string {
	sum := sha256.Sum256([]byte(push.ID(p)))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80 // RFC 9562, version 8
	text := hex.EncodeToString(sum[:16])
	return strings.Join([]string{text[:8], text[8:12], text[12:16], text[16:20], text[20:]}, "-")
}
