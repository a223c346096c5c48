package services

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"supmesh.dev/proto"
)

// Call is what a handler may know of the request it answers, beside its payload.
type Call struct {
	Actor          proto.Actor
	RequestID      string // the trace id, 32 hex digits; the same on every repeat of one request
	Deadline       time.Time
	Subject        string
	IdempotencyKey string // of a backend's request
	Data           []byte // the raw body; not to be kept or changed after the handler returned
	trace          string // traceparent to hand on
}

// Traceparent is the trace context (W3C) to write on what the request leaves
// behind, such as an entry of a log; empty outside a handler.
func (c *Call) Traceparent() string { return c.trace }

type callKey struct{}

// CallFrom is the request that ctx belongs to. ok is false outside a handler.
func CallFrom(ctx context.Context) (call *Call, ok bool) {
	call, ok = ctx.Value(callKey{}).(*Call)
	return call, ok
}

// WithCall gives ctx the identity of a request made outside a handler, so that
// what it logs and whom it calls carry the same id.
func WithCall(ctx context.Context, call *Call) context.Context {
	return context.WithValue(ctx, callKey{}, call)
}

// callContext is the context of one request. A plain WithDeadline costs a timer
// and four allocations a request, and most handlers never wait on it: here both
// are made when Done is first asked for.
type callContext struct {
	base     context.Context //nolint:containedctx // a context has a parent: of the host: ends when a drain gives up; or of the request's span
	call     Call
	mu       sync.Mutex
	made     context.Context //nolint:containedctx // what this context stands for, once it is needed
	cancel   context.CancelFunc
	finished bool
}

func (c *callContext) Deadline() (time.Time, bool) { return c.call.Deadline, true }

func (c *callContext) real() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.made == nil {
		c.made, c.cancel = context.WithDeadline(c.base, c.call.Deadline)
		if c.finished {
			c.cancel()
		}
	}
	return c.made
}

func (c *callContext) Done() <-chan struct{} { return c.real().Done() }

func (c *callContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.made != nil:
		return c.made.Err()
	case c.finished:
		return context.Canceled
	case !time.Now().Before(c.call.Deadline):
		return context.DeadlineExceeded
	}
	return c.base.Err()
}

func (c *callContext) Value(key any) any {
	if _, ok := key.(callKey); ok {
		return &c.call
	}
	c.mu.Lock()
	made := c.made
	c.mu.Unlock()
	if made != nil {
		// The standard library finds the parent's canceller by a Value of it;
		// the answer must belong to what Done gave.
		return made.Value(key)
	}
	return c.base.Value(key)
}

// finish ends the context with its request.
func (c *callContext) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.finished = true
	if c.cancel != nil {
		c.cancel()
	}
}

// Caller is the user who makes a request.
type Caller struct {
	*Call
	User proto.Token
}

// CallerFrom is the user who makes the request that ctx belongs to. A backend
// without a user is nobody here: AUTHENTICATION_REQUIRED.
func CallerFrom(ctx context.Context) (Caller, error) {
	call, ok := CallFrom(ctx)
	if !ok {
		return Caller{}, errors.New("no call in context")
	}
	if call.Actor.User == "" {
		return Caller{}, proto.Errorf(proto.AuthenticationRequired, "a user is required")
	}
	user, err := proto.EncodeID(call.Actor.User)
	if err != nil {
		return Caller{}, fmt.Errorf("user of the request: %w", err)
	}
	return Caller{Call: call, User: user}, nil
}

// RepeatKey names what the request of ctx stores, among everything that is stored under
// what: all repeats of the request have the same key, and no other request has it. Outside
// a handler each key is new.
func RepeatKey(ctx context.Context, what string) string {
	call, ok := CallFrom(ctx)
	if !ok {
		return what + ":" + rand.Text()
	}
	sum := sha256.New()
	for _, part := range []string{call.RequestID, call.Actor.User, string(call.Data)} {
		_, _ = fmt.Fprintf(sum, "%d:%s", len(part), part)
	}
	return what + ":" + hex.EncodeToString(sum.Sum(nil)[:16])
}

// BackendOnly refuses everyone but a backend.
func BackendOnly(ctx context.Context) error {
	call, ok := CallFrom(ctx)
	if !ok {
		return errors.New("no call in context")
	}
	if !call.Actor.Backend {
		return proto.Errorf(proto.PermissionDenied, "only backends may do this")
	}
	return nil
}

// ServiceOnly refuses requests in the name of a user or a backend.
func ServiceOnly(ctx context.Context) error {
	call, ok := CallFrom(ctx)
	if !ok {
		return errors.New("no call in context")
	}
	if call.Actor.User != "" || call.Actor.Backend {
		return proto.Errorf(proto.PermissionDenied, "only services may ask this")
	}
	return nil
}
