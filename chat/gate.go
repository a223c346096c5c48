package chat

import (
	"context"
	"sync"
	"time"

	"supmesh.dev/proto"
)

// gate keeps requests waiting until the working state is whole.
type gate struct {
	mu     sync.Mutex
	opened chan struct{} // closed: open
	shut   chan struct{} // closed: shut
	why    string
}

func newGate(why string) *gate {
	g := &gate{opened: make(chan struct{}), shut: make(chan struct{}), why: why}
	close(g.shut)
	return g
}

// open lets everyone through.
func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !isClosed(g.opened) {
		close(g.opened)
		g.shut = make(chan struct{})
	}
}

// close makes callers wait, and tells the follower, who restores.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if isClosed(g.opened) {
		g.opened = make(chan struct{})
		g.why = "chat is rebuilding its state"
		close(g.shut)
	}
}

// wait returns when the gate is open, or SERVICE_UNAVAILABLE at ctx's end.
func (g *gate) wait(ctx context.Context) error {
	g.mu.Lock()
	opened, why := g.opened, g.why
	g.mu.Unlock()
	if isClosed(opened) {
		return nil
	}
	// Leave the caller time to hear of it.
	if d, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, d.Add(-answerMargin))
		defer cancel()
	}
	select {
	case <-opened:
		return nil
	case <-ctx.Done():
		return &proto.Error{Code: proto.ServiceUnavailable, Message: why, RetryAfter: time.Second}
	}
}

// state is whether the gate is open, and if not, why.
func (g *gate) state() (open bool, why string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return isClosed(g.opened), g.why
}

// isShut is closed while the gate is.
func (g *gate) isShut() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.shut
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
