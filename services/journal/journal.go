package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"supmesh.dev/proto"
)

const (
	// attemptTimeout is how long one append waits for its acknowledgement.
	attemptTimeout = 2 * time.Second
	// readTimeout is how long one read waits: a reply can be lost with its connection.
	readTimeout = 3 * time.Second
)

var (
	// ErrUnavailable: the log did not answer; what was to be stored may be stored or not.
	ErrUnavailable = errors.New("log unavailable")
	// ErrMoved: the subject's last entry is not the one expected; nothing was stored.
	ErrMoved = errors.New("the subject has moved on")
	// ErrStale: what is kept of a subject is not as of its last entry; it is to be read from the log.
	ErrStale = errors.New("to be read from the log")
)

// Journal reads and appends to subjects of the stream EVENTS.
type Journal struct {
	js   jetstream.JetStream
	read *nats.Conn
}

// New makes a journal that reads over a connection of its own, since direct gets
// hold up whatever else is on theirs.
func New(js jetstream.JetStream, read *nats.Conn) *Journal { return &Journal{js: js, read: read} }

// Entry is one entry as it stands in the log.
type Entry struct {
	Subject  string
	Position uint64
	Event    string // proto.HeaderEvent
	Expires  int64  // proto.HeaderExpires; 0: never
	Body     []byte
}

// Append is an entry to be.
type Append struct {
	Subject string
	After   uint64 // position of the subject's last entry; 0: there is none
	// Anyhow appends whatever stands last.
	Anyhow bool
	Key    string // the same again, within the log's window, is stored once; empty: no such key
	Event  string // proto.HeaderEvent; empty: clients never see it
	Socket string // proto.HeaderSocket: the one that is not told; empty: all are
	Trace  string // traceparent
	// Expires is when nobody needs the entry any more, in Unix milliseconds; 0: never.
	Expires int64
	Body    []byte
}

// Append stores one entry, once, and gives its position; repeated says that an
// earlier try with this key is what is stored there. It returns ErrMoved,
// ErrUnavailable, or PAYLOAD_TOO_LARGE for an entry that no message carries.
func (j *Journal) Append(ctx context.Context, a Append) (position uint64, repeated bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	msg := &nats.Msg{Subject: a.Subject, Header: nats.Header{}, Data: a.Body}
	if a.Event != "" {
		msg.Header[proto.HeaderEvent] = []string{a.Event}
	}
	if a.Socket != "" {
		msg.Header[proto.HeaderSocket] = []string{a.Socket}
	}
	if a.Trace != "" {
		msg.Header[proto.HeaderTrace] = []string{a.Trace}
	}
	if a.Expires > 0 {
		msg.Header[proto.HeaderExpires] = []string{strconv.FormatInt(a.Expires, 10)}
	}
	opts := []jetstream.PublishOpt{jetstream.WithExpectStream(proto.Events.Name), jetstream.WithRetryAttempts(0)}
	if !a.Anyhow {
		opts = append(opts, jetstream.WithExpectLastSequencePerSubject(a.After))
	}
	if a.Key != "" {
		opts = append(opts, jetstream.WithMsgID(a.Key))
	}
	ack, err := j.js.PublishMsg(ctx, msg, opts...)
	switch {
	case err == nil:
		return ack.Sequence, ack.Duplicate, nil
	case Moved(err):
		return 0, false, fmt.Errorf("append to %s: %w", a.Subject, ErrMoved)
	case errors.Is(err, nats.ErrMaxPayload):
		return 0, false, fmt.Errorf("append to %s: %w", a.Subject, proto.Errorf(proto.PayloadTooLarge, "the request is too large to be stored"))
	}
	return 0, false, fmt.Errorf("append to %s: %w: %w", a.Subject, ErrUnavailable, err)
}

// Codes of JetStream for another last entry than expected; the second where the
// server does not say which it is.
const (
	codeWrongLast      jetstream.ErrorCode = 10071
	codeWrongLastConst jetstream.ErrorCode = 10164
)

// Moved says whether an append was refused because another entry stood last than
// was expected.
func Moved(err error) bool {
	var refused *jetstream.APIError
	return errors.As(err, &refused) && (refused.ErrorCode == codeWrongLast || refused.ErrorCode == codeWrongLastConst)
}

// codeNoMessage is JetStream's for a subject without an entry. A stream that is not
// there is another matter, with the same HTTP-like code 404.
const codeNoMessage = 10037

// Last is a subject's last entry, from the leader of the log: nothing that was
// acknowledged before is missing. ok is false where there is none.
func (j *Journal) Last(ctx context.Context, subject string) (e Entry, ok bool, err error) {
	return j.get(ctx, subject, map[string]any{"last_by_subj": subject})
}

// At is the entry at a position, of whatever subject, from the leader of the log. ok
// is false where there is none.
func (j *Journal) At(ctx context.Context, position uint64) (e Entry, ok bool, err error) {
	return j.get(ctx, "position "+strconv.FormatUint(position, 10), map[string]any{"seq": position})
}

func (j *Journal) get(ctx context.Context, what string, which map[string]any) (e Entry, ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	ask, err := json.Marshal(which)
	if err != nil {
		return Entry{}, false, err
	}
	m, err := j.read.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+proto.Events.Name, ask)
	if err != nil {
		return Entry{}, false, fmt.Errorf("read %s: %w: %w", what, ErrUnavailable, err)
	}
	var r struct {
		Message struct {
			Subject string `json:"subject"`
			Seq     uint64 `json:"seq"`
			Headers []byte `json:"hdrs"`
			Data    []byte `json:"data"`
		} `json:"message"`
		Error *struct {
			ErrCode     int    `json:"err_code"`
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &r); err != nil {
		return Entry{}, false, fmt.Errorf("read %s: %w", what, err)
	}
	switch {
	case r.Error != nil && r.Error.ErrCode == codeNoMessage:
		return Entry{}, false, nil
	case r.Error != nil:
		return Entry{}, false, fmt.Errorf("read %s: %w: %s", what, ErrUnavailable, r.Error.Description)
	}
	header, err := nats.DecodeHeadersMsg(r.Message.Headers)
	if err != nil && len(r.Message.Headers) > 0 {
		return Entry{}, false, fmt.Errorf("read %s: headers: %w", what, err)
	}
	return entryOf(r.Message.Subject, r.Message.Seq, header, r.Message.Data), true, nil
}

func entryOf(subject string, position uint64, header nats.Header, body []byte) Entry {
	expires, _ := strconv.ParseInt(header.Get(proto.HeaderExpires), 10, 64)
	return Entry{Subject: subject, Position: position, Event: header.Get(proto.HeaderEvent), Expires: expires, Body: body}
}

// AsOfLast reads something that is kept of a subject, and is as of the mark that read
// gives, and makes sure that this is its last entry, as it stood when AsOfLast was
// called or later. It returns ErrStale where that knows less, or what the log has not:
// what was acked and not told, because either died, must not be missed.
func (j *Journal) AsOfLast(ctx context.Context, subject string, read func() (Mark, error)) (Mark, error) {
	last, _, err := j.Last(ctx, subject)
	if err != nil {
		return Mark{}, err
	}
	m, err := read()
	switch {
	case err != nil:
		return m, err
	case m.Position < last.Position:
		return m, ErrStale
	case m.Position > last.Position: // by now, or of another log
		last, _, err = j.Last(ctx, subject)
		if err == nil && m.Position > last.Position {
			err = ErrStale
		}
	}
	return m, err
}

// Epoch names the log: another one is another log, and every position in the old
// one is void. It is read with what it qualifies.
func (j *Journal) Epoch(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	stream, err := j.js.Stream(ctx, proto.Events.Name)
	if err != nil {
		return "", fmt.Errorf("read stream info: %w: %w", ErrUnavailable, err)
	}
	return stream.CachedInfo().Config.Metadata[proto.MetadataEpoch], nil
}

// MaxPage is how many entries one page has at most.
const MaxPage = 256

// Page is the entries of a subject behind a position, oldest first, at most
// MaxPage of them; more says that others may follow. It is read by a direct get
// (NATS ADR-31), which any replica may answer: one that is behind shows less, and
// whoever appends finds that out by ErrMoved.
func (j *Journal) Page(ctx context.Context, subject string, after uint64) (entries []Entry, more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	ask, err := json.Marshal(map[string]any{"next_by_subj": subject, "seq": after + 1, "batch": MaxPage})
	if err != nil {
		return nil, false, err
	}
	inbox := j.read.NewInbox()
	sub, err := j.read.SubscribeSync(inbox)
	if err != nil {
		return nil, false, fmt.Errorf("read %s: %w: %w", subject, ErrUnavailable, err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := j.read.PublishRequest("$JS.API.DIRECT.GET."+proto.Events.Name, inbox, ask); err != nil {
		return nil, false, fmt.Errorf("read %s: %w: %w", subject, ErrUnavailable, err)
	}
	for {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return nil, false, fmt.Errorf("read %s: %w: %w", subject, ErrUnavailable, err)
		}
		switch status := m.Header.Get("Status"); status {
		case "":
		case "204": // the end of the page
			pending, _ := strconv.ParseUint(m.Header.Get(proto.HeaderPending), 10, 64)
			return entries, pending > 0, nil
		case "404": // there is nothing behind
			return entries, false, nil
		default:
			return nil, false, fmt.Errorf("read %s: %w: status %s %s", subject, ErrUnavailable, status, m.Header.Get("Description"))
		}
		position, err := strconv.ParseUint(m.Header.Get(proto.HeaderStreamSeq), 10, 64)
		if err != nil {
			return nil, false, fmt.Errorf("read %s: position: %w", subject, err)
		}
		entries = append(entries, entryOf(m.Header.Get("Nats-Subject"), position, m.Header, m.Data))
	}
}
