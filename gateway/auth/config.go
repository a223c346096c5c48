package auth

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// MinSecret is the least length of an HMAC secret in bytes: the output size of
// SHA-256 (RFC 7518 §3.2). A shorter one can be searched.
const MinSecret = 32

// MaxToken bounds a token in bytes before anything parses it.
const MaxToken = 8 << 10

// Config says which tokens are good.
type Config struct {
	// Secret verifies HMAC tokens; at least MinSecret bytes. Empty: none.
	Secret []byte
	// SecretMethods are the HMAC algorithms accepted. Default HS256.
	SecretMethods []string
	// JWKSURL is where the public keys are. Empty: none.
	JWKSURL string
	// JWKSMethods are the public-key algorithms accepted. Default RS256, ES256, EdDSA.
	JWKSMethods []string
	// Issuer and Audience must match where they are set.
	Issuer, Audience string
	// Leeway is the clock difference allowed. Default 30 s.
	Leeway time.Duration
	// MaxLifetime bounds exp − iat; 0 does not.
	MaxLifetime time.Duration
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

var (
	secretMethods = []string{"HS256", "HS384", "HS512"}
	jwksMethods   = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)

func (c Config) withDefaults() (Config, error) {
	if len(c.Secret) == 0 && c.JWKSURL == "" {
		return c, errors.New("auth: no key: set JWT_SECRET or JWKS_URL")
	}
	if n := len(c.Secret); n > 0 && n < MinSecret {
		return c, fmt.Errorf("auth: JWT_SECRET has %d bytes, fewer than %d", n, MinSecret)
	}
	if len(c.SecretMethods) == 0 {
		c.SecretMethods = []string{"HS256"}
	}
	if len(c.JWKSMethods) == 0 {
		c.JWKSMethods = []string{"RS256", "ES256", "EdDSA"}
	}
	for _, m := range c.SecretMethods {
		if !slices.Contains(secretMethods, m) {
			return c, fmt.Errorf("auth: %q is no HMAC algorithm", m)
		}
	}
	for _, m := range c.JWKSMethods {
		if !slices.Contains(jwksMethods, m) {
			return c, fmt.Errorf("auth: %q is no public-key algorithm", m)
		}
	}
	if c.Leeway == 0 {
		c.Leeway = 30 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c, nil
}
