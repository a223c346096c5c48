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

	"supmesh.dev/chat/eventlog/inbox"
	"supmesh.dev/proto"
	"supmesh.dev/services"
)

const (
	// attemptTimeout is how long one append waits for its PubAck before its
	// outcome counts as unknown and it is repeated.
	attemptTimeout = 2 * time.Second
	// readTimeout is how long one read waits: a reply can be lost with its connection.
	readTimeout = 3 * time.Second
)

var (
	// ErrUncertain: no answer came; the entry may be stored or not.
	ErrUncertain = errors.New("outcome unknown")
	// ErrUnavailable: the log did not take the request; nothing was stored.
	ErrUnavailable = errors.New("log unavailable")
	// ErrFull: the stream refuses to grow; nothing was stored.
	ErrFull = errors.New("log full")
	// ErrTooLarge: the entry is larger than a message may be; nothing was stored.
	ErrTooLarge = errors.New("entry too large")
)

// WrongLastError says that the subject's last entry is not the one expected.
type WrongLastError struct{ Last uint64 }

func (e *WrongLastError) Error() string { return fmt.Sprintf("wrong last sequence: %d", e.Last) }

// Log appends to the streams over one connection and reads over another, since
// direct gets hold up whatever else is on their connection.
type Log struct {
	write, read *nats.Conn
	acks, gets  *inbox.Inbox
	heads       heads
}

// Open prepares the inboxes on both connections. Close releases them.
func Open(write, read *nats.Conn) (*Log, error) {
	acks, err := inbox.New(write)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	gets, err := inbox.New(read)
	if err != nil {
		acks.Close()
		return nil, fmt.Errorf("open log: %w", err)
	}
	return &Log{write: write, read: read, acks: acks, gets: gets}, nil
}

// Close ends the inboxes; requests in flight run into their deadlines.
func (l *Log) Close() {
	l.acks.Close()
	l.gets.Close()
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
	Body     []byte
}

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

func entry(m *nats.Msg) Entry {
	e := Entry{Subject: m.Subject, Body: m.Data}
	if s := first(m.Header, "Nats-Subject"); s != "" {
		e.Subject = s
	}
	e.Position, _ = strconv.ParseUint(first(m.Header, proto.HeaderStreamSeq), 10, 64)
	e.Previous, _ = strconv.ParseUint(first(m.Header, proto.HeaderStreamLast), 10, 64)
	e.Seq, _ = strconv.ParseUint(first(m.Header, proto.HeaderSeq), 10, 64)
	e.Event = first(m.Header, proto.HeaderEvent)
	e.Key = first(m.Header, nats.MsgIdHdr)
	e.Content = first(m.Header, proto.HeaderContent)
	if t := first(m.Header, "Nats-Time-Stamp"); t != "" {
		e.Time, _ = time.Parse(time.RFC3339Nano, t)
	}
	return e
}

func first(h nats.Header, name string) string {
	if v := h[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// Epoch is the log's epoch from the metadata of its stream, and the position of its last entry.
func (l *Log) Epoch(ctx context.Context) (epoch string, last uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	m, err := l.read.RequestWithContext(ctx, "$JS.API.STREAM.INFO."+proto.Events.Name, nil)
	if err != nil {
		return "", 0, fmt.Errorf("read stream info: %w: %w", ErrUnavailable, err)
	}
	var r struct {
		Config struct {
			Metadata map[string]string `json:"metadata"`
		} `json:"config"`
		State struct {
			LastSeq uint64 `json:"last_seq"`
		} `json:"state"`
		Error *struct {
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &r); err != nil {
		return "", 0, fmt.Errorf("read stream info: %w", err)
	}
	if r.Error != nil {
		return "", 0, fmt.Errorf("read stream info: %w: %s", ErrUnavailable, r.Error.Description)
	}
	return r.Config.Metadata[proto.MetadataEpoch], r.State.LastSeq, nil
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
func (f *Follower) Entry(m *nats.Msg) Entry { return entry(m) }

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

// The requests of a direct get (NATS ADR-31).
type getRequest struct {
	Seq       uint64   `json:"seq,omitempty"`
	Last      string   `json:"last_by_subj,omitempty"`
	Next      string   `json:"next_by_subj,omitempty"`
	Batch     int      `json:"batch,omitempty"`
	MaxBytes  int      `json:"max_bytes,omitempty"`
	MultiLast []string `json:"multi_last,omitempty"`
}

const (
	directGet  = "$JS.API.DIRECT.GET."
	statusEnd  = "204" // end of a batch
	statusNone = "404" // no such entry
	// multiLastMax keeps under the 1,024 answers one request may give.
	multiLastMax = 500
	// multiLastBytes bounds the names of one request: half of the smallest max_payload.
	multiLastBytes = services.MinPayload / 2
)

func (l *Log) ask(stream, reply string, r getRequest) error {
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := l.read.PublishRequest(directGet+stream, reply, body); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

func next(ctx context.Context, w *inbox.Waiter) (*nats.Msg, string, error) {
	select {
	case m := <-w.C:
		status := first(m.Header, "Status")
		if status != "" && status != statusEnd && status != statusNone {
			return nil, "", fmt.Errorf("%w: status %s %s", ErrUnavailable, status, first(m.Header, "Description"))
		}
		return m, status, nil
	case <-ctx.Done():
		return nil, "", fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
}

// Last is the newest entry of a subject of a stream; Position 0 when there is none.
func (l *Log) Last(ctx context.Context, stream, subject string) (Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	w := l.gets.Wait(1)
	defer l.gets.Done(w)
	if err := l.ask(stream, w.Reply(), getRequest{Last: subject}); err != nil {
		return Entry{}, fmt.Errorf("read last of %s: %w", subject, err)
	}
	m, status, err := next(ctx, w)
	if err != nil {
		return Entry{}, fmt.Errorf("read last of %s: %w", subject, err)
	}
	if status != "" {
		return Entry{}, nil
	}
	return entry(m), nil
}

// Range reads entries of a subject (wildcards allowed) from a position on, at
// most limit of them and about maxBytes; more says that it ended early.
func (l *Log) Range(ctx context.Context, stream, subject string, from uint64, limit, maxBytes int) (page []Entry, more bool, err error) {
	page, end, err := l.batch(ctx, stream, getRequest{Seq: max(from, 1), Next: subject, Batch: limit, MaxBytes: maxBytes}, limit)
	if err != nil {
		return nil, false, fmt.Errorf("read %s from %d: %w", subject, from, err)
	}
	return page, end != nil && first(end, proto.HeaderPending) != "0", nil
}

// batch reads what one request brings; end is the header that closes it, nil
// where there was nothing.
func (l *Log) batch(ctx context.Context, stream string, r getRequest, limit int) (page []Entry, end nats.Header, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	w := l.gets.Wait(limit + 1)
	defer l.gets.Done(w)
	if err := l.ask(stream, w.Reply(), r); err != nil {
		return nil, nil, err
	}
	for {
		m, status, err := next(ctx, w)
		if err != nil {
			return nil, nil, err
		}
		switch status {
		case "":
			page = append(page, entry(m))
		case statusEnd:
			return page, m.Header, nil
		default:
			return page, nil, nil
		}
	}
}

// Get reads entries of EVENTS by position, all in one round trip; an entry that
// is not there has Position 0.
func (l *Log) Get(ctx context.Context, positions []uint64) ([]Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	w := l.gets.Wait(len(positions))
	defer l.gets.Done(w)
	for i, p := range positions {
		if err := l.read.PublishRequest(directGet+proto.Events.Name, w.ReplyPart(i), append(strconv.AppendUint([]byte(`{"seq":`), p, 10), '}')); err != nil {
			return nil, fmt.Errorf("read %d entries: %w: %w", len(positions), ErrUnavailable, err)
		}
	}
	out := make([]Entry, len(positions))
	for range positions {
		m, status, err := next(ctx, w)
		if err != nil {
			return nil, fmt.Errorf("read %d entries: %w", len(positions), err)
		}
		if i, ok := w.Part(m); ok && i < len(out) && status == "" {
			out[i] = entry(m)
		}
	}
	return out, nil
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
