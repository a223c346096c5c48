package eventlog

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/metric"

	"supmesh.dev/proto"
	"supmesh.dev/services/eventlog/inbox"
)

// readTimeout is how long one read waits: a reply can be lost with its connection.
const readTimeout = 3 * time.Second

// againAfter is the pause before a replica, or a leader, that is behind is asked again.
const againAfter = 20 * time.Millisecond

// ErrUnavailable says that the log did not answer; the same read may be tried again.
var ErrUnavailable = errors.New("log unavailable")

// Reader reads the log over one connection. It is safe for concurrent use.
type Reader struct {
	nc           *nats.Conn
	heads        heads
	reread, gone metric.Int64Counter

	mu   sync.Mutex
	gets *inbox.Inbox // made when first needed
}

// New makes a reader on a connection of its own, since direct gets hold up whatever
// else is on theirs. Its inbox lives as long as the connection. reread counts what a replica
// did not have, gone what the stream has deleted.
func New(nc *nats.Conn, reread, gone metric.Int64Counter) *Reader {
	return &Reader{nc: nc, reread: reread, gone: gone}
}

// Entry is one stored entry with what its headers say.
type Entry struct {
	Subject  string
	Position uint64 // stream sequence; 0: there is no such entry
	Previous uint64 // of the same subject, on live copies only
	Time     time.Time
	Event    string // proto.HeaderEvent
	Seq      uint64 // proto.HeaderSeq
	Key      string // the idempotency key it was stored under
	Content  string // proto.HeaderContent; empty when the client gave no key
	Socket   string // proto.HeaderSocket
	Expires  int64  // proto.HeaderExpires, Unix milliseconds; 0: never
	Body     []byte
}

// Parse reads a live copy or an answer to a direct get.
func Parse(m *nats.Msg) Entry {
	e := parse(m.Header)
	e.Subject, e.Body = m.Subject, m.Data
	if s := first(m.Header, "Nats-Subject"); s != "" {
		e.Subject = s
	}
	e.Position, _ = strconv.ParseUint(first(m.Header, proto.HeaderStreamSeq), 10, 64)
	e.Previous, _ = strconv.ParseUint(first(m.Header, proto.HeaderStreamLast), 10, 64)
	if t := first(m.Header, "Nats-Time-Stamp"); t != "" {
		e.Time, _ = time.Parse(time.RFC3339Nano, t)
	}
	return e
}

// parse reads the headers that were stored with an entry.
func parse(h nats.Header) (e Entry) {
	e.Seq, _ = strconv.ParseUint(first(h, proto.HeaderSeq), 10, 64)
	if at := first(h, proto.HeaderExpires); at != "" {
		e.Expires, _ = strconv.ParseInt(at, 10, 64)
	}
	e.Event = first(h, proto.HeaderEvent)
	e.Key = first(h, nats.MsgIdHdr)
	e.Content = first(h, proto.HeaderContent)
	e.Socket = first(h, proto.HeaderSocket)
	return e
}

func first(h nats.Header, name string) string {
	if v := h[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// wait registers a caller that expects at most n replies; done must follow.
func (r *Reader) wait(n int) (w *inbox.Waiter, done func(), err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gets == nil {
		gets, err := inbox.New(r.nc)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		r.gets = gets
	}
	gets := r.gets
	w = gets.Wait(n)
	return w, func() { gets.Done(w) }, nil
}

func (r *Reader) publish(subject, reply string, body []byte) error {
	if err := r.nc.PublishRequest(subject, reply, body); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

// pause waits before a read is repeated; ErrUnavailable if ctx ends first.
func pause(ctx context.Context, behind string) error {
	t := time.NewTimer(againAfter)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %s: %w", ErrUnavailable, behind, ctx.Err())
	}
}

func count(c metric.Int64Counter, n int) { c.Add(context.Background(), int64(n)) }
