package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// ErrUnavailable means that the keys could not be fetched, so that the token can be
// neither accepted nor refused: the client is to come back, not to log in anew.
var ErrUnavailable = errors.New("auth: keys are unavailable")

// Identity is the user and device of a good token.
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
	cfg  Config
	keys *keySet // nil without a JWKS
}

// New checks the configuration and fetches the JWKS, if there is one, in the
// background until ctx ends. A JWKS that cannot be fetched is no error here.
func New(ctx context.Context, cfg Config) (*Verifier, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	v := &Verifier{cfg: cfg}
	if cfg.JWKSURL != "" {
		if v.keys, err = newKeySet(ctx, cfg.JWKSURL); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// Verify returns the identity of a good token. The error is a *Refusal, or
// ErrUnavailable. Nothing of the claims is read before the signature is verified.
func (v *Verifier) Verify(ctx context.Context, token string) (Identity, error) {
	if token == "" {
		return Identity{}, missing()
	}
	t, ok := split(token)
	if !ok {
		return Identity{}, invalid("malformed")
	}
	if err := v.checkSignature(ctx, t); err != nil {
		return Identity{}, err
	}
	c, err := readClaims(t.claims)
	if err != nil {
		return Identity{}, err
	}
	return v.identity(c)
}

// checkSignature verifies with a key of the algorithm's kind only: an HMAC token never
// meets a public key, and a public-key token never meets the secret.
func (v *Verifier) checkSignature(ctx context.Context, t parts) error {
	method := jwt.GetSigningMethod(t.header.Alg)
	var keyOf jwt.Keyfunc
	switch {
	case method == nil:
	case len(v.cfg.Secret) > 0 && slices.Contains(v.cfg.SecretMethods, t.header.Alg):
		keyOf = func(*jwt.Token) (any, error) { return v.cfg.Secret, nil }
	case v.keys != nil && slices.Contains(v.cfg.JWKSMethods, t.header.Alg):
		keyOf = v.keys.keyFunc(ctx)
	}
	if keyOf == nil {
		return invalid("algorithm is not configured")
	}
	key, err := keyOf(&jwt.Token{Method: method, Header: t.header.fields()})
	switch {
	case errors.Is(err, ErrUnavailable):
		return ErrUnavailable
	case err != nil:
		return invalid("no such key")
	}
	candidates := []any{key}
	if set, ok := key.(jwt.VerificationKeySet); ok { // the token names no key
		candidates = candidates[:0]
		for _, k := range set.Keys {
			candidates = append(candidates, k)
		}
	}
	for _, key := range candidates {
		if method.Verify(t.signed, t.signature, key) == nil {
			return nil
		}
	}
	return invalid("signature")
}

// Bearer returns the token of an Authorization header, "" for any other scheme.
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
