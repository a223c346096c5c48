package auth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"supmesh.dev/proto"
)

// ErrUnavailable says that the keys could not be had, so nothing can be said
// about the token: the client should come back, not log in anew.
var ErrUnavailable = errors.New("auth: keys are unavailable")

// Identity is who a good token speaks for.
type Identity struct {
	User, Device, Name, Avatar string
	// ID is the token's jti.
	ID string
	// Expires is when the connection must end: the token's exp, or the end of
	// the leeway where exp had passed already.
	Expires time.Time
}

// Verifier checks tokens. It is safe for concurrent use.
type Verifier struct {
	cfg    Config
	secret *jwt.Parser
	public *jwt.Parser
	keys   *keySet
}

// New checks the configuration and fetches the JWKS, if there is one, in the
// background until ctx ends. A JWKS that cannot be fetched is no error here.
func New(ctx context.Context, cfg Config) (*Verifier, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	v := &Verifier{cfg: cfg, secret: cfg.parser(cfg.SecretMethods), public: cfg.parser(cfg.JWKSMethods)}
	if cfg.JWKSURL != "" {
		if v.keys, err = newKeySet(ctx, cfg.JWKSURL); err != nil {
			return nil, err
		}
	}
	return v, nil
}

func (c Config) parser(methods []string) *jwt.Parser {
	options := []jwt.ParserOption{
		jwt.WithValidMethods(methods), jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
		jwt.WithLeeway(c.Leeway), jwt.WithStrictDecoding(), jwt.WithTimeFunc(c.Now),
	}
	if c.Issuer != "" {
		options = append(options, jwt.WithIssuer(c.Issuer))
	}
	if c.Audience != "" {
		options = append(options, jwt.WithAudience(c.Audience))
	}
	return jwt.NewParser(options...)
}

// claims are those of CONTRACT §3.
type claims struct {
	jwt.RegisteredClaims
	UserID   string `json:"userId"`
	DeviceID string `json:"deviceId"`
	Type     string `json:"type"`
	Name     string `json:"name"`
	Avatar   string `json:"avatar"`
}

// Verify says who the token speaks for. The error is a *Refusal, or
// ErrUnavailable where the keys could not be had.
func (v *Verifier) Verify(ctx context.Context, token string) (Identity, error) {
	if token == "" {
		return Identity{}, missing()
	}
	if len(token) > MaxToken {
		return Identity{}, invalid("too long")
	}
	alg, ok := algorithm(token)
	if !ok {
		return Identity{}, invalid("malformed")
	}
	// Two branches with a method list each: an HMAC token never meets a public
	// key, and a public-key token never meets the secret.
	var c claims
	var err error
	switch {
	case strings.HasPrefix(alg, "HS") && len(v.cfg.Secret) > 0:
		_, err = v.secret.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return v.cfg.Secret, nil })
	case v.keys != nil:
		_, err = v.public.ParseWithClaims(token, &c, v.keys.keyFunc(ctx))
	default:
		return Identity{}, invalid("algorithm is not configured")
	}
	if err != nil {
		return Identity{}, refuse(err)
	}
	return v.identity(&c)
}

func refuse(err error) error {
	switch {
	case errors.Is(err, ErrUnavailable):
		return ErrUnavailable
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return invalid("signature")
	case errors.Is(err, jwt.ErrTokenExpired):
		return expired()
	case errors.Is(err, jwt.ErrTokenMalformed):
		return invalid("malformed")
	case errors.Is(err, jwt.ErrTokenUnverifiable):
		return invalid("no such key")
	case errors.Is(err, jwt.ErrTokenUsedBeforeIssued), errors.Is(err, jwt.ErrTokenNotValidYet):
		return invalid("not valid yet")
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return badPayload("a required claim is missing")
	case errors.Is(err, jwt.ErrTokenInvalidIssuer), errors.Is(err, jwt.ErrTokenInvalidAudience):
		return invalid("issuer or audience")
	}
	return invalid("claims")
}

// maxText bounds name and avatar, in bytes: they travel with every request.
const maxText = 512

func (v *Verifier) identity(c *claims) (Identity, error) {
	user := c.UserID
	if user == "" {
		user = c.Subject
	}
	now := v.cfg.Now()
	switch {
	case proto.CheckID(user) != nil:
		return Identity{}, badPayload("userId is missing or malformed")
	case c.DeviceID != "" && proto.CheckID(c.DeviceID) != nil:
		return Identity{}, badPayload("deviceId is malformed")
	case c.Type != "access":
		return Identity{}, badPayload("type is not access")
	case c.IssuedAt == nil:
		return Identity{}, badPayload("iat is missing")
	case c.IssuedAt.Unix() < 0 || c.ExpiresAt.After(now.AddDate(100, 0, 0)) || c.ExpiresAt.Before(c.IssuedAt.Time):
		return Identity{}, badPayload("exp or iat is out of range")
	case v.cfg.MaxLifetime > 0 && c.ExpiresAt.Sub(c.IssuedAt.Time) > v.cfg.MaxLifetime:
		return Identity{}, badPayload("lives too long")
	case len(c.Name) > maxText || len(c.Avatar) > 4*maxText:
		return Identity{}, badPayload("name or avatar is too long")
	}
	expires := c.ExpiresAt.Time
	if !expires.After(now) {
		expires = expires.Add(v.cfg.Leeway)
	}
	return Identity{User: user, Device: c.DeviceID, Name: c.Name, Avatar: c.Avatar, ID: c.ID, Expires: expires}, nil
}

// algorithm reads the header's alg, to choose the branch; the parser that
// follows checks the header in full.
func algorithm(token string) (string, bool) {
	header, rest, ok := strings.Cut(token, ".")
	if !ok || strings.Count(rest, ".") != 1 {
		return "", false
	}
	raw, err := base64.RawURLEncoding.DecodeString(header)
	if err != nil {
		return "", false
	}
	var h struct {
		Alg string `json:"alg"`
	}
	if err := json.Unmarshal(raw, &h); err != nil {
		return "", false
	}
	return h.Alg, h.Alg != ""
}

// Bearer is the token of an Authorization header, "" if it holds none.
func Bearer(header string) string {
	scheme, token, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// String never shows a key.
func (v *Verifier) String() string {
	return fmt.Sprintf("verifier(secret %v, jwks %v)", v.cfg.SecretMethods, v.keys != nil)
}
