package eventlog

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	"supmesh.dev/proto"
)

// heads shares requests for the log's head between those who wait for one.
type heads struct {
	mu      sync.Mutex
	running bool      // a request is under way, or somebody has been told to make one
	next    *headCall // of those who came since it was sent; nil: none
}

// headCall is one request that has not been sent yet, or its outcome.
type headCall struct {
	turn     chan struct{} // one of those who wait takes it and makes the request
	done     chan struct{} // closed: the outcome is there
	position uint64
	err      error
}

// Head is the position of the log's last entry, read after the call began.
// Calls that come while a request is under way share the one after it.
func (l *Log) Head(ctx context.Context) (uint64, error) {
	h := &l.heads
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
		l.readHead(ctx, c)
	case <-ctx.Done():
		// A turn that nobody took is there for the next who calls.
		return 0, fmt.Errorf("read head: %w: %w", ErrUnavailable, ctx.Err())
	}
	return c.position, c.err
}

// readHead makes the request of c and passes the turn on.
func (l *Log) readHead(ctx context.Context, c *headCall) {
	h := &l.heads
	h.mu.Lock()
	h.next = nil // from here on it may be too early for those who come
	h.mu.Unlock()
	// The others' too: it must not end with this one's context, only by its own time-out.
	_, c.position, c.err = l.Epoch(context.WithoutCancel(ctx))
	close(c.done)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.next == nil {
		h.running = false
		return
	}
	h.next.turn <- struct{}{}
}

// LastOfChat gives the newest entry of each kind that a chat has.
func (l *Log) LastOfChat(ctx context.Context, chat proto.Token) ([]Entry, error) {
	newest, _, err := l.batch(ctx, proto.Events.Name, getRequest{MultiLast: []string{proto.ChatLogAll(chat)}}, maxKinds)
	if err != nil {
		return nil, fmt.Errorf("read last of chat %s: %w", chat, err)
	}
	return newest, nil
}

// maxKinds is more than a chat has subjects.
const maxKinds = 16

// LastOfEach gives the newest entry of each subject of EVENTS that has one, in
// no promised order, and up to where the log was looked at: a replica that is
// behind does not know of what came after it. That is 0 where no subject has an entry.
func (l *Log) LastOfEach(ctx context.Context, subjects []string) (newest []Entry, upTo uint64, err error) {
	for len(subjects) > 0 {
		n := multiLast(subjects)
		part, end, err := l.batch(ctx, proto.Events.Name, getRequest{MultiLast: subjects[:n]}, n)
		if err != nil {
			return nil, 0, fmt.Errorf("read last of %d subjects: %w", n, err)
		}
		if at, err := strconv.ParseUint(first(end, "Nats-UpTo-Sequence"), 10, 64); err == nil && (upTo == 0 || at < upTo) {
			upTo = at
		}
		newest, subjects = append(newest, part...), subjects[n:]
	}
	return newest, upTo, nil
}

// multiLast is how many of subjects one request may name.
func multiLast(subjects []string) int {
	size := 0
	for n, subject := range subjects {
		if size += len(subject) + len(`"",`); n == multiLastMax || n > 0 && size > multiLastBytes {
			return n
		}
	}
	return len(subjects)
}
