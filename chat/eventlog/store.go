package eventlog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"supmesh.dev/proto"
	log "supmesh.dev/services/eventlog"
	"supmesh.dev/services/eventlog/inbox"
)

// attemptTimeout is how long one append waits for its PubAck before its
// outcome counts as unknown and it is repeated.
const attemptTimeout = 2 * time.Second

var (
	// ErrUncertain: no answer came; the entry may be stored or not.
	ErrUncertain = errors.New("outcome unknown")
	// ErrUnavailable: the log did not take the request; nothing was stored, or read.
	ErrUnavailable = log.ErrUnavailable
	// ErrFull: the stream refuses to grow; nothing was stored.
	ErrFull = errors.New("log full")
	// ErrTooLarge: the entry is larger than a message may be; nothing was stored.
	ErrTooLarge = errors.New("entry too large")
)

// WrongLastError says that the subject's last entry is not the one expected.
type WrongLastError struct{ Last uint64 }

func (e *WrongLastError) Error() string { return fmt.Sprintf("wrong last sequence: %d", e.Last) }

// Log appends to the streams over one connection and reads over another.
type Log struct {
	*log.Reader
	write *nats.Conn
	acks  *inbox.Inbox
}

// Open prepares the inbox of acknowledgements. Close releases it.
func Open(write *nats.Conn, read *log.Reader) (*Log, error) {
	acks, err := inbox.New(write)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return &Log{Reader: read, write: write, acks: acks}, nil
}

// Close ends the inbox; appends in flight run into their deadlines.
func (l *Log) Close() { l.acks.Close() }

// Entry is one stored entry with what its headers say.
type Entry = log.Entry

// Codes of JetStream errors that the callers treat apart.
const (
	codeWrongLast      = 10071
	codeWrongLastConst = 10164 // the same, where the server does not say which
	codeStoreFailed    = 10077 // with DiscardNew: maximum bytes exceeded
	codeNoStorage      = 10047
	codeNoResources    = 10023
)

func parseAck(m *nats.Msg) (Ack, error) {
	if len(m.Data) == 0 {
		return Ack{}, fmt.Errorf("append: %w: status %s", ErrUnavailable, m.Header.Get("Status"))
	}
	if !bytes.Contains(m.Data, []byte(`"error"`)) {
		seq, ok := numberAfter(m.Data, `"seq":`)
		if !ok {
			return Ack{}, fmt.Errorf("append: %w: unreadable ack", ErrUncertain)
		}
		// The field stands only where it is true, and behind its colon a space.
		return Ack{Position: seq, Duplicate: bytes.Contains(m.Data, []byte(`"duplicate"`))}, nil
	}
	var r struct {
		Error struct {
			ErrCode     int    `json:"err_code"`
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &r); err != nil {
		return Ack{}, fmt.Errorf("append: %w: %w", ErrUncertain, err)
	}
	switch r.Error.ErrCode {
	case codeWrongLast, codeWrongLastConst:
		_, last, _ := strings.Cut(r.Error.Description, ": ")
		n, _ := strconv.ParseUint(strings.TrimSpace(last), 10, 64)
		return Ack{}, &WrongLastError{Last: n}
	case codeStoreFailed, codeNoStorage, codeNoResources:
		return Ack{}, fmt.Errorf("append: %w: %s", ErrFull, r.Error.Description)
	}
	return Ack{}, fmt.Errorf("append: %w: %s (%d)", ErrUnavailable, r.Error.Description, r.Error.ErrCode)
}

func numberAfter(data []byte, mark string) (uint64, bool) {
	i := bytes.Index(data, []byte(mark))
	if i < 0 {
		return 0, false
	}
	var n uint64
	digits := 0
	for _, c := range data[i+len(mark):] {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + uint64(c-'0')
		digits++
	}
	return n, digits > 0
}

// Follower receives the live copies of entries. It drops when nobody takes
// them; Interrupted tells.
type Follower struct {
	nc         *nats.Conn
	sub        *nats.Subscription
	ch         chan *nats.Msg
	reconnects uint64
	dropped    int
}

// Follow subscribes to live copies; they count from its return on.
func (l *Log) Follow(subject string, buffer int) (*Follower, error) {
	f := &Follower{nc: l.write, ch: make(chan *nats.Msg, buffer), reconnects: l.write.Stats().Reconnects}
	sub, err := l.write.ChanSubscribe(subject, f.ch)
	if err != nil {
		return nil, fmt.Errorf("follow %s: %w", subject, err)
	}
	if err := l.write.Flush(); err != nil && !errors.Is(err, nats.ErrReconnectBufExceeded) {
		return nil, fmt.Errorf("follow %s: %w", subject, err)
	}
	f.sub = sub
	return f, nil
}

// C is where live copies come in; Entry reads one.
func (f *Follower) C() <-chan *nats.Msg { return f.ch }

// Entry reads a live copy.
func (f *Follower) Entry(m *nats.Msg) Entry { return log.Parse(m) }

// Interrupted says whether copies may have been missed since it last said so.
func (f *Follower) Interrupted() bool {
	dropped, _ := f.sub.Dropped()
	reconnects := f.nc.Stats().Reconnects
	hit := dropped != f.dropped || reconnects != f.reconnects
	f.dropped, f.reconnects = dropped, reconnects
	return hit
}

// Close ends the subscription.
func (f *Follower) Close() { _ = f.sub.Unsubscribe() }

// Range reads entries of a subject (wildcards allowed) from a position on, at
// most limit of them and about maxBytes; more is false when the leader says that there
// are no further ones.
func (l *Log) Range(ctx context.Context, stream, subject string, from uint64, limit, maxBytes int) (page []Entry, more bool, err error) {
	return l.Page(ctx, log.Query{Stream: stream, Subject: subject, From: from, Limit: limit, MaxBytes: maxBytes})
}

// Append is one entry to be stored if the last entry of its subject, or of the
// subjects that Fence matches, is at position After (0: there is none).
type Append struct {
	Subject                string
	Fence                  string // a pattern; empty: Subject
	After                  uint64
	Key                    string
	Event, Socket, Content string
	Seq                    uint64
	Trace                  string // traceparent
	Body                   []byte
}

// Ack is the stream's word that an entry is stored.
type Ack struct {
	Position  uint64
	Duplicate bool // stored before under the same key; Position is the first one's
}

// Append stores one entry, once. It returns WrongLastError, ErrUncertain,
// ErrUnavailable, ErrTooLarge or ErrFull; only after ErrUncertain may the entry be stored.
// It waits until ctx's deadline, and no longer than attemptTimeout; where ctx has
// no deadline, until it is cancelled.
func (l *Log) Append(ctx context.Context, a *Append) (Ack, error) {
	w := l.acks.Wait(1)
	defer l.acks.Done(w)
	msg := messages.Get().(*message)
	msg.fill(a, w.Reply())
	err := l.write.PublishMsg(&msg.Msg) // copies it
	msg.Data = nil
	messages.Put(msg)
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
		return Ack{}, fmt.Errorf("append %s: %w", a.Subject, ErrTooLarge)
	case err != nil:
		return Ack{}, fmt.Errorf("append %s: %w: %w", a.Subject, ErrUnavailable, err)
	}
	wait := attemptTimeout
	var canceled <-chan struct{}
	if end, ok := ctx.Deadline(); ok {
		// A request's context makes its Done channel, at a price, when first asked for it.
		wait = min(wait, time.Until(end))
	} else {
		canceled = ctx.Done()
	}
	w.Timer.Reset(wait)
	defer w.Timer.Stop()
	select {
	case m := <-w.C:
		return parseAck(m)
	case <-canceled:
	case <-w.Timer.C:
	}
	if err := ctx.Err(); err != nil {
		return Ack{}, fmt.Errorf("append %s: %w: %w", a.Subject, ErrUncertain, err)
	}
	return Ack{}, fmt.Errorf("append %s: %w", a.Subject, ErrUncertain)
}

// The headers of an entry.
var headerNames = [...]string{
	nats.ExpectedLastSubjSeqHdr, expectedLastSubject, nats.MsgIdHdr, proto.HeaderEvent, proto.HeaderSeq, proto.HeaderSocket, proto.HeaderContent, proto.HeaderTrace,
}

// expectedLastSubject says of which subjects the last entry is meant. nats.go has
// no name for it.
const expectedLastSubject = "Nats-Expected-Last-Subject-Sequence-Subject"

// message is an entry on its way, used again: its header is a map that stays,
// onto values that are filled in.
type message struct {
	nats.Msg
	values [len(headerNames)]string
}

var messages = sync.Pool{New: func() any {
	return &message{Msg: nats.Msg{Header: make(nats.Header, len(headerNames))}}
}}

func (m *message) fill(a *Append, reply string) {
	m.Subject, m.Reply, m.Data = a.Subject, reply, a.Body
	seq := ""
	if a.Seq != 0 {
		seq = strconv.FormatUint(a.Seq, 10)
	}
	m.values = [...]string{strconv.FormatUint(a.After, 10), a.Fence, a.Key, a.Event, seq, a.Socket, a.Content, a.Trace}
	for i, name := range headerNames {
		// A name without values is not written.
		n := i
		if m.values[i] != "" {
			n++
		}
		if have := m.Header[name]; have == nil || len(have) != n-i {
			m.Header[name] = m.values[i : n : i+1]
		}
	}
}
