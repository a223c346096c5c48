package journal

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"supmesh.dev/proto"
	"supmesh.dev/services/eventlog"
)

// attemptTimeout is how long one append waits for its acknowledgement.
const attemptTimeout = 2 * time.Second

var (
	// ErrUnavailable: the log did not answer; what was to be stored may be stored or not.
	ErrUnavailable = eventlog.ErrUnavailable
	// ErrMoved: the subject's last entry is not the one expected; nothing was stored.
	ErrMoved = errors.New("the subject has moved on")
	// ErrStale: what is kept of a subject is not as of its last entry; it is to be read from the log.
	ErrStale = errors.New("to be read from the log")
)

// Journal reads and appends to subjects of the stream EVENTS.
type Journal struct {
	js   jetstream.JetStream
	read *eventlog.Reader
}

// New makes a journal.
func New(js jetstream.JetStream, read *eventlog.Reader) *Journal {
	return &Journal{js: js, read: read}
}

// Entry is one entry as it stands in the log.
type Entry = eventlog.Entry

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

// Last is a subject's last entry, from the leader of the log: nothing that was
// acknowledged before is missing. ok is false where there is none.
func (j *Journal) Last(ctx context.Context, subject string) (e Entry, ok bool, err error) {
	e, err = j.read.Last(ctx, proto.Events.Name, subject)
	return e, e.Position != 0, err
}

// Lasts is the last entry of each subject that has one: nothing that was acknowledged
// before the call is missing.
func (j *Journal) Lasts(ctx context.Context, subjects []string) ([]Entry, error) {
	newest, _, err := j.read.LastOfEach(ctx, subjects, 0)
	return newest, err
}

// At is the entry at a position at which one is known to have been stored, of whatever
// subject. ok is false where the log has deleted it.
func (j *Journal) At(ctx context.Context, position uint64) (e Entry, ok bool, err error) {
	return j.read.At(ctx, position)
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
	epoch, _, err := j.read.Epoch(ctx)
	return epoch, err
}

// MaxPage is how many entries one page has at most, and MaxPageBytes about how large
// their bodies are together.
const (
	MaxPage      = 256
	MaxPageBytes = 4 << 20
)

// Page is the entries of a subject behind a position, oldest first. more is false when
// the leader of the log has confirmed during the call that there are no others.
func (j *Journal) Page(ctx context.Context, subject string, after uint64) (entries []Entry, more bool, err error) {
	return j.read.Page(ctx, eventlog.Query{
		Stream: proto.Events.Name, Subject: subject, From: after + 1, Limit: MaxPage, MaxBytes: MaxPageBytes,
	})
}
