package eventlog

import (
	"context"
	"fmt"
	"sync"
)

// heads shares requests for the log's head between the calls that wait for one.
type heads struct {
	mu      sync.Mutex
	running bool      // a request is under way, or a caller has the turn to make one
	next    *headCall // shared by the calls that began since it was sent; nil: none
}

// headCall is one request that has not been sent yet, or its outcome.
type headCall struct {
	turn     chan struct{} // one waiting call takes it and makes the request
	done     chan struct{} // closed when the outcome is there
	position uint64
	err      error
}

// Head is the position of the last entry of EVENTS, read from the leader after the call
// began. Calls that come while a request is under way share the one after it.
func (r *Reader) Head(ctx context.Context) (uint64, error) {
	h := &r.heads
	h.mu.Lock()
	if h.next == nil {
		h.next = &headCall{turn: make(chan struct{}, 1), done: make(chan struct{})}
	}
	c := h.next
	if !h.running {
		h.running = true
		c.turn <- struct{}{}
	}
	h.mu.Unlock()
	select {
	case <-c.done:
	case <-c.turn:
		r.readHead(ctx, c)
	case <-ctx.Done():
		// A turn that is not taken is there for the next call.
		return 0, fmt.Errorf("read head: %w: %w", ErrUnavailable, ctx.Err())
	}
	return c.position, c.err
}

// readHead makes the request of c and passes the turn on.
func (r *Reader) readHead(ctx context.Context, c *headCall) {
	h := &r.heads
	h.mu.Lock()
	h.next = nil // a call that begins from here on needs a later request
	h.mu.Unlock()
	// Other calls wait for it: only its own time-out ends it, not this call's context.
	_, c.position, c.err = r.Epoch(context.WithoutCancel(ctx))
	close(c.done)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.next == nil {
		h.running = false
		return
	}
	h.next.turn <- struct{}{}
}
