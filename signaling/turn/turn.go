package turn

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // what TURN servers expect
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"time"

	"supmesh.dev/proto"
)

// Bounds of Config.TTL.
const (
	MinTTL = time.Minute
	MaxTTL = 48 * time.Hour
)

// maxUsername is the most that STUN lets a user name have, in bytes (RFC 8489 §14.3).
const maxUsername = 508

// Config says which servers there are.
type Config struct {
	URLs   []string      // ICE_URLS: stun:, stuns:, turn: and turns: URLs (RFC 7064, RFC 7065)
	Secret []byte        // TURN_SECRET: what the TURN servers have too; needed where there is one
	TTL    time.Duration // TURN_TTL: how long a credential is good for
}

// Minter makes the lists. It is safe for concurrent use.
type Minter struct {
	stun, turn []string
	secret     []byte
	ttl        time.Duration
}

// New checks the configuration; the error names the setting that is wrong.
func New(cfg Config) (*Minter, error) {
	m := &Minter{secret: slices.Clone(cfg.Secret), ttl: cfg.TTL}
	for _, text := range cfg.URLs {
		relays, err := parseURL(text)
		switch {
		case err != nil:
			return nil, fmt.Errorf("ICE_URLS: %q: %w", text, err)
		case relays:
			m.turn = append(m.turn, text)
		default:
			m.stun = append(m.stun, text)
		}
	}
	if len(m.turn) > 0 && len(m.secret) == 0 {
		return nil, fmt.Errorf("TURN_SECRET must not be empty: ICE_URLS has %q", m.turn[0])
	}
	if m.ttl < MinTTL || m.ttl > MaxTTL {
		return nil, fmt.Errorf("TURN_TTL must be from %v to %v, is %v", MinTTL, MaxTTL, m.ttl)
	}
	return m, nil
}

// Servers is what one user of one call is given: STUN servers first, then TURN
// servers with a credential that is good from now for the configured time.
func (m *Minter) Servers(call, user proto.Token, now time.Time) []proto.IceServer {
	out := make([]proto.IceServer, 0, 2)
	if len(m.stun) > 0 {
		out = append(out, proto.IceServer{URLs: slices.Clone(m.stun)})
	}
	if len(m.turn) > 0 {
		ends := time.Unix(now.Add(m.ttl).Unix(), 0)
		name := username(ends, call, user)
		expires := proto.At(ends)
		out = append(out, proto.IceServer{
			URLs: slices.Clone(m.turn), Username: name, Credential: credential(m.secret, name), ExpiresAt: &expires,
		})
	}
	return out
}

// username is "<unix seconds>:<call>.<user>": no token has a colon or a dot. Of a
// user whose token is too long for it, its SHA-256.
func username(ends time.Time, call, user proto.Token) string {
	head := strconv.FormatInt(ends.Unix(), 10) + ":" + string(call) + "."
	if len(head)+len(user) <= maxUsername {
		return head + string(user)
	}
	sum := sha256.Sum256([]byte(user))
	return head + hex.EncodeToString(sum[:])
}

func credential(secret []byte, username string) string {
	mac := hmac.New(sha1.New, secret)
	mac.Write([]byte(username))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
