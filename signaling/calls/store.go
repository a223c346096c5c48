package calls

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/eventlog"
	"supmesh.dev/services/journal"
	"supmesh.dev/services/wire"
	"supmesh.dev/signaling/state"
)

const (
	// keepCall is how long Redis has a call after its last move, keepSlot which call a user is in.
	keepCall, keepSlot = 24 * time.Hour, 24 * time.Hour
	// keepWaiting is how long something waits for a side.
	keepWaiting = 5 * time.Minute
	// waitingBytes bounds what waits for a side: it comes in one answer.
	waitingBytes = 96 << 10
	// attempt is how long one append waits for its word before it is repeated.
	attempt = time.Second
)

var (
	// ErrMoved: the call has gone on since it was read; nothing was stored.
	ErrMoved = errors.New("the call has gone on")
	// ErrUnavailable: the log did not answer. What was to be stored may be stored or not.
	ErrUnavailable = journal.ErrUnavailable
)

var (
	keepLua    = redis.NewScript(keepScript)
	settledLua = redis.NewScript(settledScript)
	dropLua    = redis.NewScript(dropScript)
	swapLua    = redis.NewScript(swapScript)
	waitLua    = redis.NewScript(waitScript)
	takeLua    = redis.NewScript(takeScript)
)

// Store reads and writes calls.
type Store struct {
	client redis.UniversalClient
	js     jetstream.JetStream
	log    *journal.Journal
}

// New makes a store.
func New(client redis.UniversalClient, js jetstream.JetStream, read *eventlog.Reader) *Store {
	return &Store{client: client, js: js, log: journal.New(js, read)}
}

// Entry is a call as it was read; it has no Call where there is none.
type Entry struct {
	*state.Call
	Token    proto.Token
	Position uint64 // of its last move in the log
	settled  map[uint64]bool
}

// Settled says whether all was told of a move. known: Redis has something to say of
// this call at all.
func (e *Entry) Settled(version uint64) (settled, known bool) {
	return e.settled[version], e.settled != nil
}

// Load reads a call from Redis, and what Redis does not know from the log.
func (s *Store) Load(ctx context.Context, call proto.Token) (Entry, error) {
	e, err := s.cached(ctx, call)
	switch {
	case err == nil && e.Call != nil:
		return e, nil
	case err != nil && !errors.Is(err, services.ErrRedisDown):
		return e, err
	}
	down := err
	if e, err = s.Newest(ctx, call); err == nil && e.Call != nil && down == nil {
		_ = s.Keep(ctx, &e) // whoever reads next will try again
	}
	return e, err
}

func (s *Store) cached(ctx context.Context, call proto.Token) (Entry, error) {
	fields, err := s.client.HGetAll(ctx, proto.CallKey(call)).Result()
	if err = services.RedisOutcome(ctx, err); err != nil {
		return Entry{}, fmt.Errorf("read call %s: %w", call, err)
	}
	e := Entry{Token: call}
	if fields["call"] == "" {
		return e, nil
	}
	if e.Position, err = strconv.ParseUint(fields["at"], 10, 64); err != nil {
		return e, fmt.Errorf("read call %s: %w", call, err)
	}
	e.settled = map[uint64]bool{}
	for name := range fields {
		if version, ok := strings.CutPrefix(name, settledField); ok {
			n, _ := strconv.ParseUint(version, 10, 64)
			e.settled[n] = true
		}
	}
	e.Call = new(state.Call)
	if err := wire.Restore([]byte(fields["call"]), e.Call); err != nil {
		return e, fmt.Errorf("read call %s: %w", call, err)
	}
	return e, nil
}

// settledField begins the names of the fields that say what has been told.
const settledField = "s:"

// Newest reads a call from the leader of the log.
func (s *Store) Newest(ctx context.Context, call proto.Token) (Entry, error) {
	e := Entry{Token: call}
	once, cancel := context.WithTimeout(ctx, 2*attempt)
	defer cancel()
	last, ok, err := s.log.Last(once, proto.CallLog(call))
	if err != nil || !ok {
		return e, err
	}
	e.Position, e.Call = last.Position, new(state.Call)
	if err := wire.Restore(last.Body, e.Call); err != nil {
		return e, fmt.Errorf("read call %s at %d: %w", call, last.Position, err)
	}
	return e, nil
}

// Confirmed is Newest with what Redis says of what has been told. Redis then has
// the record too, if it answers.
func (s *Store) Confirmed(ctx context.Context, call proto.Token) (Entry, error) {
	e, err := s.Newest(ctx, call)
	if err != nil {
		return e, err
	}
	if had, err := s.cached(ctx, call); err == nil {
		e.settled = had.settled
		switch {
		case e.Call != nil && had.Position < e.Position:
			_ = s.Keep(ctx, &e) // the next look does
		case had.Position > e.Position:
			s.drop(ctx, &had)
		}
	}
	return e, nil
}

// drop forgets a record of which the log, which was made anew, knows nothing.
func (s *Store) drop(ctx context.Context, e *Entry) {
	_ = dropLua.Run(ctx, s.client, []string{proto.CallKey(e.Token)}, e.Position).Err()
}

// Append stores the next record of a call behind the one at a position (0: there is
// none), once, and sets its own. It returns ErrMoved, ErrUnavailable or PAYLOAD_TOO_LARGE.
func (s *Store) Append(ctx context.Context, e *Entry, trace string) error {
	body, err := wire.Marshal(e.Call)
	if err != nil {
		return err
	}
	msg := &nats.Msg{Subject: proto.CallLog(e.Token), Header: nats.Header{}, Data: body}
	if trace != "" {
		msg.Header[proto.HeaderTrace] = []string{trace}
	}
	ack, err := s.publish(ctx, msg, services.NewRequestID(), jetstream.WithExpectLastSequencePerSubject(e.Position))
	switch {
	case err == nil:
		e.Position = ack.Sequence
		return nil
	case journal.Moved(err):
		return fmt.Errorf("append to call %s: %w", e.Token, ErrMoved)
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("append to call %s: %w", e.Token, proto.Errorf(proto.PayloadTooLarge, "the descriptions of the call are too large together"))
	}
	return fmt.Errorf("append to call %s: %w: %w", e.Token, ErrUnavailable, err)
}

// publish stores one entry, and repeats that while its outcome is unknown: under
// one key it is stored once.
func (s *Store) publish(ctx context.Context, msg *nats.Msg, key string, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	opts = append(opts, jetstream.WithExpectStream(proto.Events.Name), jetstream.WithMsgID(key))
	for {
		once, cancel := context.WithTimeout(ctx, attempt)
		ack, err := s.js.PublishMsg(once, msg, opts...)
		cancel()
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, nats.ErrTimeout) {
			return ack, err
		}
	}
}

// Ring appends an event of a call to what its user's devices get, once under one key.
func (s *Store) Ring(ctx context.Context, user proto.Token, event, key string, body []byte) error {
	msg := &nats.Msg{Subject: proto.UserRing(user), Header: nats.Header{proto.HeaderEvent: []string{event}}, Data: body}
	if _, err := s.publish(ctx, msg, key); err != nil {
		return fmt.Errorf("append %s of %s: %w: %w", event, user, ErrUnavailable, err)
	}
	return nil
}

// Keep lets Redis have a call, unless it has a newer record.
func (s *Store) Keep(ctx context.Context, e *Entry) error {
	body, err := wire.Marshal(e.Call)
	if err != nil {
		return err
	}
	err = keepLua.Run(ctx, s.client, []string{proto.CallKey(e.Token)}, e.Position, body, keepCall.Milliseconds()).Err()
	if err = services.RedisOutcome(ctx, err); err != nil {
		return fmt.Errorf("keep call %s: %w", e.Token, err)
	}
	return nil
}

// Settle notes that all was told of some moves of a call.
func (s *Store) Settle(ctx context.Context, call proto.Token, versions ...uint64) error {
	fields := make([]any, len(versions))
	for i, v := range versions {
		fields[i] = settledField + strconv.FormatUint(v, 10)
	}
	if err := services.RedisOutcome(ctx, settledLua.Run(ctx, s.client, []string{proto.CallKey(call)}, fields...).Err()); err != nil {
		return fmt.Errorf("settle call %s: %w", call, err)
	}
	return nil
}

// Waiting is one event that waits for a side of a call.
type Waiting struct {
	Event string    `json:"event"`
	Data  proto.Raw `json:"data"`
}

// Wait puts an event behind the others that wait for a user; the oldest go where they are too many or too large.
func (s *Store) Wait(ctx context.Context, call, user proto.Token, w Waiting) error {
	body, err := wire.Marshal(w)
	if err != nil {
		return err
	}
	err = waitLua.Run(ctx, s.client, []string{proto.CallWaitingKey(call, user)},
		body, proto.MaxBufferedICE, waitingBytes, `"`+proto.CallCandidateEvent.Name+`"`, keepWaiting.Milliseconds()).Err()
	return services.RedisOutcome(ctx, err)
}

// Waits is what waits for a user, in order.
func (s *Store) Waits(ctx context.Context, call, user proto.Token) ([]Waiting, error) {
	return waitingOf(ctx)(s.client.LRange(ctx, proto.CallWaitingKey(call, user), 0, -1).Result())
}

// Take is Waits, and nothing waits any more; false, and nothing is taken, where that is more
// than room bytes, with frame bytes for each. A repeat of the request gets the same as its first
// try, whose answer may be lost; without a name of the request nothing is kept.
func (s *Store) Take(ctx context.Context, call, user proto.Token, request string, room, frame int) ([]Waiting, bool, error) {
	keys := []string{proto.CallWaitingKey(call, user), proto.CallRequestKey(call, request)}
	keep := keepRequest.Milliseconds()
	if request == "" {
		keep = 0
	}
	all, err := takeLua.Run(ctx, s.client, keys, keep, room, frame).StringSlice()
	if err == nil && len(all) > 0 {
		if all[0] == "" {
			return nil, false, nil
		}
		all = all[1:]
	}
	waited, err := waitingOf(ctx)(all, err)
	return waited, true, err
}

// keepRequest is how long the name of a request counts: it may be repeated until its
// deadline, and carried out by an instance that was held up a little longer.
const keepRequest = 15 * time.Second

// Claim notes that a request of a call is carried out; first says that no earlier try was.
func (s *Store) Claim(ctx context.Context, call proto.Token, request string) (first bool, err error) {
	first, err = s.client.SetNX(ctx, proto.CallRequestKey(call, request), 1, keepRequest).Result()
	if err = services.RedisOutcome(ctx, err); err != nil {
		return false, fmt.Errorf("claim a request of call %s: %w", call, err)
	}
	return first, nil
}

// Unclaim takes a Claim back: the request was not carried out.
func (s *Store) Unclaim(ctx context.Context, call proto.Token, request string) error {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	return services.RedisOutcome(ctx, s.client.Del(ctx, proto.CallRequestKey(call, request)).Err())
}

func waitingOf(ctx context.Context) func(all []string, err error) ([]Waiting, error) {
	return func(all []string, err error) ([]Waiting, error) {
		if err = services.RedisOutcome(ctx, err); err != nil {
			return nil, fmt.Errorf("read what waits: %w", err)
		}
		out := make([]Waiting, len(all))
		for i, body := range all {
			if err := wire.Restore([]byte(body), &out[i]); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
}

// Slot is which call a user is in.
type Slot struct {
	CallID string   `json:"call"` // empty: none
	Since  int64    `json:"since,omitzero"`
	From   string   `json:"from,omitzero"` // who calls
	To     []string `json:"to,omitzero"`   // whom
	// Was is the call that the user was in last, and WasUntil when it ended.
	Was      string `json:"was,omitzero"`
	WasUntil int64  `json:"wasUntil,omitzero"`
	raw      string
}

// Known says that Redis has an answer at all.
func (s *Slot) Known() bool { return s.raw != "" }

// Slots reads the slots of users.
func (s *Store) Slots(ctx context.Context, users ...proto.Token) ([]Slot, error) {
	pipe := s.client.Pipeline()
	cmds := make([]*redis.StringCmd, len(users))
	for i, user := range users {
		cmds[i] = pipe.Get(ctx, proto.UserCallKey(user))
	}
	_, _ = pipe.Exec(ctx) // each has its own
	out := make([]Slot, len(users))
	for i, cmd := range cmds {
		if err := services.RedisOutcome(ctx, cmd.Err()); err != nil {
			return nil, fmt.Errorf("read the calls of %d users: %w", len(users), err)
		}
		if raw := cmd.Val(); raw != "" {
			if err := wire.Restore([]byte(raw), &out[i]); err != nil {
				return nil, fmt.Errorf("read the call of %s: %w", users[i], err)
			}
			out[i].raw = raw
		}
	}
	return out, nil
}

// Swap replaces a slot that is still what was read.
func (s *Store) Swap(ctx context.Context, user proto.Token, old *Slot, next Slot) (bool, error) {
	body, err := wire.Marshal(next)
	if err != nil {
		return false, err
	}
	n, err := swapLua.Run(ctx, s.client, []string{proto.UserCallKey(user)}, old.raw, body, keepSlot.Milliseconds()).Int()
	if err = services.RedisOutcome(ctx, err); err != nil {
		return false, fmt.Errorf("write the call of %s: %w", user, err)
	}
	return n == 1, nil
}
