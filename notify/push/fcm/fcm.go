package fcm

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"supmesh.dev/notify/push"
	"supmesh.dev/notify/push/guard"
	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/wire"
)

// DefaultEndpoint is Google's.
const DefaultEndpoint = "https://fcm.googleapis.com"

// quotaPause is what FCM asks for after a 429 that names no time.
const quotaPause = time.Minute

// Config is what the provider is told.
type Config struct {
	Credentials services.Secret // a service account's key file, JSON
	Endpoint    string          // DefaultEndpoint if empty
}

// Provider pushes by FCM.
type Provider struct {
	url    string
	tokens *tokens
	client *guard.Client
	now    func() time.Time
}

// New makes a provider. The client, made for trusted endpoints, is the provider's
// from here on.
func New(cfg Config, client *guard.Client) (*Provider, error) {
	account, err := readAccount(cfg.Credentials)
	if err != nil {
		return nil, err
	}
	endpoint := cfg.Endpoint
	if endpoint == "" {
		endpoint = DefaultEndpoint
	}
	if u, err := url.Parse(endpoint); err != nil || u.Host == "" {
		return nil, errors.New("fcm: endpoint must be a URL")
	}
	return &Provider{
		url:    strings.TrimRight(endpoint, "/") + "/v1/projects/" + url.PathEscape(account.Project) + "/messages:send",
		tokens: newTokens(account, client), client: client, now: time.Now,
	}, nil
}

// Name is the provider's.
func (*Provider) Name() proto.PushProvider { return proto.PushFCM }

// Close lets go of idle connections.
func (p *Provider) Close() { p.client.Close() }

// Send makes one try. The error code UNREGISTERED means that the registration is no
// more, and INVALID_ARGUMENT where it is of the token that it never was one. A 404
// without the former is a wrong project, which must cost nobody a device.
func (p *Provider) Send(ctx context.Context, job *proto.Push, to push.Registration) push.Outcome {
	now := p.now()
	body, err := push.Fit(job, maxPayload+len(to.Token), func(job *proto.Push) ([]byte, error) { return encode(job, to.Token, now) })
	if err != nil || body == nil {
		return push.Refused("cannot be encoded")
	}
	bearer, err := p.tokens.get()
	if err != nil {
		return push.Outcome{Status: push.Retry, Detail: "no access token: " + err.Error()}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return push.Refused("the endpoint is wrong")
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+bearer)
	answer, err := p.client.Ask(request)
	if err != nil {
		return push.FromError(err)
	}
	return p.read(answer, bearer, now)
}

// read is what FCM's answer means:
// https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode.
func (p *Provider) read(answer *guard.Answer, bearer string, now time.Time) push.Outcome {
	o := push.FromStatus(answer.Status, answer.Header, now)
	code, token := errorCode(answer.Body)
	if code != "" {
		o.Detail += " " + code
	}
	switch {
	case o.Status == push.Delivered:
	case code == "UNREGISTERED", code == "INVALID_ARGUMENT" && token:
		o.Status = push.Gone
	case answer.Status == http.StatusUnauthorized && code != "THIRD_PARTY_AUTH_ERROR":
		p.tokens.drop(bearer) // it has been revoked; the next try has another
		o.Status = push.Retry
	case answer.Status == http.StatusTooManyRequests && o.After == 0:
		o.After = quotaPause
	}
	return o
}

// codes are those FCM has; nothing else of an answer is quoted.
var codes = map[string]bool{
	"UNSPECIFIED_ERROR": true, "INVALID_ARGUMENT": true, "UNREGISTERED": true, "SENDER_ID_MISMATCH": true,
	"QUOTA_EXCEEDED": true, "UNAVAILABLE": true, "INTERNAL": true, "THIRD_PARTY_AUTH_ERROR": true,
}

// Where an answer of INVALID_ARGUMENT says that the token is what is wrong: there is
// no code for it.
const (
	tokenField = "message.token"
	tokenText  = "The registration token is not a valid FCM registration token"
)

// errorCode is the FcmError of an answer, or nothing, and whether the answer is about
// the token.
func errorCode(body []byte) (code string, token bool) {
	var failure struct {
		Error struct {
			Message string `json:"message"`
			Details []struct {
				Code   string `json:"errorCode"`
				Fields []struct {
					Name string `json:"field"`
				} `json:"fieldViolations"`
			} `json:"details"`
		} `json:"error"`
	}
	if err := wire.Restore(body, &failure); err != nil {
		return "", false
	}
	token = failure.Error.Message == tokenText
	for _, d := range failure.Error.Details {
		if code == "" && codes[d.Code] {
			code = d.Code
		}
		for _, f := range d.Fields {
			token = token || f.Name == tokenField
		}
	}
	return code, token
}
