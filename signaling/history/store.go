package history

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/eventlog"
	"supmesh.dev/services/journal"
	"supmesh.dev/services/wire"
)

const (
	// DefaultPage is how many calls a page has where nobody says.
	DefaultPage = 50
	// attemptTimeout is how long one append waits before its outcome counts as unknown.
	attemptTimeout = 2 * time.Second
	// tipTimeout is how long a page waits to hear whether Redis has everything.
	tipTimeout = time.Second
	// pageTimeout is how long a page may take, with all that is read for it.
	pageTimeout = proto.RequestTimeout
)

// ErrUnavailable: the log or Redis did not answer. Of Note: the entry may be stored or not.
var ErrUnavailable = journal.ErrUnavailable

var (
	noteLua  = redis.NewScript(noteScript)
	foundLua = redis.NewScript(foundScript)
	pageLua  = redis.NewScript(pageScript)
)

// Store notes calls and reads them. It is safe for concurrent use.
type Store struct {
	client redis.UniversalClient
	js     jetstream.JetStream
	log    *journal.Journal

	// beforePage is where a test has the world change before a page is read from
	// Redis; nil otherwise.
	beforePage func()
}

// New makes a store.
func New(client redis.UniversalClient, js jetstream.JetStream, read *eventlog.Reader) *Store {
	return &Store{client: client, js: js, log: journal.New(js, read)}
}

// Note appends how a call is for a user, and has Redis know. The same msgID
// again, within the log's window, is one entry. Once it is appended it counts:
// that Redis does not answer is no error, the next page reads it from the log.
func (s *Store) Note(ctx context.Context, user proto.Token, rec proto.CallRecord, msgID string) error {
	call, err := proto.EncodeID(rec.CallID)
	if err != nil {
		return proto.FieldError("callId", err)
	}
	body, err := wire.Marshal(rec)
	if err != nil {
		return fmt.Errorf("note call of %s: %w", user, err)
	}
	position, err := s.append(ctx, user, body, msgID)
	if err != nil {
		return fmt.Errorf("note call %s of %s: %w", call, user, err)
	}
	args := append([]any{proto.MaxCallHistory}, entry{rec, call, position, body}.args()...)
	_ = noteLua.Run(ctx, s.client, keysOf(user), args...).Err()
	return nil
}

func (s *Store) append(ctx context.Context, user proto.Token, body []byte, msgID string) (position uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	msg := &nats.Msg{Subject: proto.UserCalls(user), Header: nats.Header{}, Data: body}
	if call, ok := services.CallFrom(ctx); ok {
		if trace := call.Traceparent(); trace != "" {
			msg.Header[proto.HeaderTrace] = []string{trace}
		}
	}
	ack, err := s.js.PublishMsg(ctx, msg, jetstream.WithExpectStream(proto.Events.Name), jetstream.WithMsgID(msgID))
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return ack.Sequence, nil
}

func keysOf(user proto.Token) []string {
	return []string{proto.CallHistoryKey(user), proto.CallRecordsKey(user)}
}

// entry is one entry of a user's log.
type entry struct {
	proto.CallRecord
	call     proto.Token
	position uint64
	body     []byte
}

func (e entry) args() []any {
	rank := rankOf(e.Status)
	return []any{string(e.call), e.CreatedAt.UnixMilli(), rank, e.position, stored(rank, e.position, e.body)}
}

// Newest is the newest entry of a user, from the leader of the log; ok is false
// where there is none.
func (s *Store) Newest(ctx context.Context, user proto.Token) (rec proto.CallRecord, ok bool, err error) {
	last, ok, err := s.log.Last(ctx, proto.UserCalls(user))
	if err != nil {
		return rec, false, fmt.Errorf("read newest call of %s: %w", user, err)
	}
	if !ok {
		return rec, false, nil
	}
	if err := wire.Restore(last.Body, &rec); err != nil {
		return rec, false, fmt.Errorf("read newest call of %s at position %d: %w", user, last.Position, err)
	}
	return rec, true, nil
}

// Page is a user's calls behind a cursor, the newest first, also those that go on
// still. next is empty where nothing follows. limit is DefaultPage if it is not
// positive, and CallHistoryLimit at most. A cursor that no page gave is
// INVALID_PAYLOAD.
func (s *Store) Page(ctx context.Context, user proto.Token, limit int, from string) (calls []proto.CallRecord, next string, err error) {
	after, err := parseCursor(from)
	if err != nil {
		return nil, "", err
	}
	if limit <= 0 {
		limit = DefaultPage
	}
	limit = min(limit, proto.CallHistoryLimit)
	ctx, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	items, err := s.whole(ctx, user, after, limit+1)
	if err != nil {
		return nil, "", fmt.Errorf("read calls of %s: %w", user, err)
	}
	if len(items) > limit {
		items = items[:limit]
		next = cursorAt(items[limit-1]).text()
	}
	calls = make([]proto.CallRecord, len(items))
	for i, it := range items {
		if err := wire.Restore(it.body, &calls[i]); err != nil {
			return nil, "", fmt.Errorf("read call %s of %s: %w", it.call, user, err)
		}
	}
	return calls, next, nil
}

// whole reads what follows a cursor, once Redis has all that the log had when it
// was asked.
func (s *Store) whole(ctx context.Context, user proto.Token, after cursor, n int) ([]item, error) {
	v, err := s.view(ctx, user, after, n)
	if err != nil {
		return nil, err
	}
	epoch, last, err := s.tip(ctx, user)
	if err != nil {
		if v.mark.whole && ctx.Err() == nil { // nobody can say that there is more
			return v.items, nil
		}
		return nil, err
	}
	if v.mark.position > last { // the log has been cut: what followed may be anything
		v.mark = mark{}
	}
	for !v.mark.covers(epoch, last) {
		if err := s.heal(ctx, user, &v, epoch, last); err != nil {
			return nil, err
		}
		if v, err = s.view(ctx, user, after, n); err != nil {
			return nil, err
		}
	}
	return v.items, nil
}

// view is what Redis has at one moment.
type view struct {
	mark  mark
	raw   string // the mark as it stands there
	items []item // what follows the cursor
}

func (s *Store) view(ctx context.Context, user proto.Token, after cursor, n int) (v view, err error) {
	if s.beforePage != nil {
		s.beforePage()
	}
	latest := "+inf"
	if after.call != "" {
		latest = strconv.FormatInt(after.began, 10)
	}
	got, err := pageLua.Run(ctx, s.client, keysOf(user), latest, n).Slice()
	if err != nil {
		return v, redisFailed(err)
	}
	if len(got) < 2 {
		return v, fmt.Errorf("page script gave %d values", len(got))
	}
	v.raw, _ = got[0].(string)
	if fits, _ := got[1].(int64); fits == 1 {
		v.mark = parseMark(v.raw)
	}
	items := make([]item, 0, len(got)/3)
	for row := got[2:]; len(row) >= 3; row = row[3:] {
		call, _ := row[0].(string)
		began, _ := row[1].(string)
		record, _ := row[2].(string)
		at, err := strconv.ParseFloat(began, 64)
		if err != nil || record == "" { // they do not fit: all is read anew
			v.mark = mark{}
			continue
		}
		items = append(items, item{int64(at), proto.Token(call), bodyIn(record)})
	}
	v.items = after.behind(items)
	v.items = v.items[:min(n, len(v.items))]
	return v, nil
}

// heal reads the next part of a user's log into Redis, where that is still as it
// was seen. Whoever comes next goes on where the part ends, also when this
// request's time is over.
func (s *Store) heal(ctx context.Context, user proto.Token, v *view, epoch string, last uint64) error {
	from, forget := v.mark, 0
	if from == (mark{}) || from.epoch != epoch {
		from, forget = mark{epoch: epoch}, 1
	}
	page, more, err := s.log.Page(ctx, proto.UserCalls(user), from.position)
	if err != nil {
		return err
	}
	to := from
	if n := len(page); n > 0 {
		to.position = page[n-1].Position
	}
	if !more { // also where the log has let go of its last entry since
		to.position, to.whole = max(to.position, last), true
	}
	args := []any{v.raw, to.text(), proto.MaxCallHistory, forget}
	for i := range page {
		if e, ok := entryOf(page[i].Position, page[i].Body); ok {
			args = append(args, e.args()...)
		}
	}
	return redisFailed(foundLua.Run(ctx, s.client, keysOf(user), args...).Err())
}

func redisFailed(err error) error {
	var answered redis.Error
	switch {
	case err == nil || errors.Is(err, redis.Nil):
		return nil
	case errors.As(err, &answered):
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// tip is the epoch of the log and the position of a user's newest entry.
func (s *Store) tip(ctx context.Context, user proto.Token) (epoch string, last uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, tipTimeout)
	defer cancel()
	if epoch, err = s.log.Epoch(ctx); err != nil {
		return "", 0, err
	}
	newest, _, err := s.log.Last(ctx, proto.UserCalls(user))
	return epoch, newest.Position, err
}

// entryOf reads an entry. Nobody can read one that is not ok: it must not stand in
// the way of the others.
func entryOf(position uint64, body []byte) (e entry, ok bool) {
	e.position, e.body = position, body
	if err := wire.Restore(body, &e.CallRecord); err != nil {
		return e, false
	}
	call, err := proto.EncodeID(e.CallID)
	e.call = call
	return e, err == nil
}
