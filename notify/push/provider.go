package push

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log/slog"
	"time"

	"supmesh.dev/proto"
)

// Provider brings pushes to devices. It is safe for use by several at once.
type Provider interface {
	Name() proto.PushProvider
	// Send makes one try within ctx's time.
	Send(ctx context.Context, p *proto.Push, to Registration) Outcome
}

// Destined is a provider whose pushes go to servers of many owners. One of them
// that is down must not stand for all.
type Destined interface {
	// Destination names the server of a registration. It is no secret's part.
	Destination(to Registration) string
}

// Checker is a provider that can tell of a registration that it will never do.
type Checker interface{ Check(to Registration) error }

// Registration is where a push goes. Whatever prints it shows none of it.
type Registration struct {
	Token  string // FCM's or APNs' token, a webhook's URL, a push subscription's endpoint
	P256DH string // webpush: the subscription's keys, base64url
	Auth   string
	VoIP   bool // apns: a PushKit token
}

// String hides the registration from fmt.
func (Registration) String() string { return "***" }

// GoString hides it from %#v.
func (Registration) GoString() string { return "***" }

// Format hides it from every verb, those of its fields among them.
func (Registration) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("***")) }

// LogValue hides it from slog.
func (Registration) LogValue() slog.Value { return slog.StringValue("***") }

// Status is what a try came to.
type Status int

const (
	Delivered Status = iota + 1 // the provider has it
	Skipped                     // there was nothing to send to such a registration
	Retry                       // not now
	Gone                        // the registration is no more
	Rejected                    // the provider will never take this
)

// String is the status as a label of metrics.
func (s Status) String() string {
	switch s {
	case Delivered:
		return "delivered"
	case Skipped:
		return "skipped"
	case Retry:
		return "retry"
	case Gone:
		return "gone"
	case Rejected:
		return "rejected"
	}
	return "unknown"
}

// Outcome is what a try came to, and why. Detail goes to logs and dead letters: it
// holds nothing of the registration or of the push.
type Outcome struct {
	Status Status
	After  time.Duration // Retry: not before; zero for no word of the provider's
	Detail string
}

// ID names a push: the same on every try, another for every push and device. It is
// 22 characters of [A-Za-z0-9_-].
func ID(p *proto.Push) string {
	return digest("push", p.UserID, p.DeviceID, string(p.Provider), p.NotificationID, fmt.Sprint(p.Withdraw))[:22]
}

// Topic is a user's collapse key as a provider may see it: 32 characters of
// [A-Za-z0-9_-], which RFC 8030 allows and nobody can read a chat from.
func Topic(p *proto.Push) string {
	if p.CollapseKey == "" {
		return ID(p)
	}
	return digest("topic", p.UserID, p.CollapseKey)[:32]
}

func digest(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		_, _ = fmt.Fprintf(h, "%d:%s", len(part), part) // a hash takes everything
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// MaxTTL is how long providers keep a push at most: four weeks, as FCM does.
const MaxTTL = 28 * 24 * time.Hour

// TTL is how long a provider may keep a push, in whole seconds; no end is MaxTTL.
func TTL(p *proto.Push, now time.Time) time.Duration {
	if p.ExpiresAt.IsZero() {
		return MaxTTL
	}
	return min(max(p.ExpiresAt.Sub(now), 0), MaxTTL).Truncate(time.Second)
}
