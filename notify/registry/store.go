package registry

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"

	"supmesh.dev/notify/push"
	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/eventlog"
	"supmesh.dev/services/journal"
	"supmesh.dev/services/wire"
)

const (
	// keepFor is how long Redis has what an entry says.
	keepFor = 10 * time.Minute
	// briefly is how long Redis has what may be about to change: longer than an
	// append is tried.
	briefly = 5 * time.Second
	// pushedKept is of how many collapse keys it is known what was pushed, pushedFor
	// for how long after the last push.
	pushedKept = 1000
	pushedFor  = 30 * 24 * time.Hour
)

// ErrUnavailable: the log did not answer; what was to be stored may be stored or not.
var ErrUnavailable = journal.ErrUnavailable

var (
	keepLua   = redis.NewScript(keepScript)
	pushedLua = redis.NewScript(pushedScript)
)

// Store appends to the log and reads it, with Redis before it.
type Store struct {
	client redis.UniversalClient
	log    *journal.Journal
	epoch  epoch
}

// New makes a store that reads the log over a connection of its own.
func New(client redis.UniversalClient, js jetstream.JetStream, read *eventlog.Reader) *Store {
	return &Store{client: client, log: journal.New(js, read)}
}

// Logged is a user's state as the leader of the log has it. It returns ErrUnavailable.
func (s *Store) Logged(ctx context.Context, user proto.Token) (State, error) {
	epoch, err := s.log.Epoch(ctx)
	if err != nil {
		return State{}, err
	}
	e, ok, err := s.log.Last(ctx, proto.UserPush(user))
	if err != nil || !ok {
		return State{epoch: epoch}, err
	}
	return parse(epoch, e.Position, e.Body)
}

func parse(epoch string, position uint64, body []byte) (State, error) {
	st := State{epoch: epoch, position: position}
	if err := wire.Restore(body, &st); err != nil {
		return State{}, fmt.Errorf("push state at position %d: %w", position, err)
	}
	return st, nil
}

// Of is a user's state as Redis has it, or the log where Redis has not, or does
// not answer. It is at most seconds behind, where who changed it has died. It
// returns ErrUnavailable.
func (s *Store) Of(ctx context.Context, user proto.Token) (State, error) {
	text, err := s.client.Get(ctx, proto.PushKey(user)).Result()
	if err == nil {
		epoch, rest, _ := strings.Cut(text, " ")
		at, body, _ := strings.Cut(rest, " ")
		if position, err := strconv.ParseUint(at, 10, 64); err == nil {
			return parse(epoch, position, []byte(body))
		}
	}
	st, err := s.Logged(ctx, user)
	if err == nil {
		_ = s.keep(ctx, user, &st) // or it is read from the log again
	}
	return st, err
}

func (s *Store) keep(ctx context.Context, user proto.Token, st *State) error {
	body, err := wire.Marshal(st)
	if err != nil {
		return fmt.Errorf("encode push state: %w", err)
	}
	err = keepLua.Run(ctx, s.client, []string{proto.PushKey(user)}, st.epoch, st.position, body, keepFor.Milliseconds()).Err()
	if err := services.RedisOutcome(ctx, err); err != nil {
		return fmt.Errorf("keep push state of %s: %w", user, err)
	}
	return nil
}

// maxState bounds a user's state in bytes: it is one entry of the log, and its muted chats
// are one answer.
const maxState = services.MinPayload - 4<<10

// Change edits a user's state and stores it, where edit says that it has changed;
// edit may be called again. It returns edit's error, ErrUnavailable, or
// services.ErrRedisDown, since Redis would go on saying what was before.
func (s *Store) Change(ctx context.Context, user proto.Token, trace string, edit func(*State) (changed bool, err error)) (State, error) {
	for {
		st, err := s.Logged(ctx, user)
		if err != nil {
			return st, err
		}
		if changed, err := edit(&st); err != nil || !changed {
			return st, err
		}
		body, err := wire.Marshal(st)
		if err != nil {
			return st, fmt.Errorf("encode push state: %w", err)
		}
		if len(body) > maxState {
			return st, proto.Errorf(proto.SubscriptionLimit, "muted chats and push registrations take at most %d bytes together", maxState)
		}
		err = s.client.PExpire(ctx, proto.PushKey(user), briefly).Err()
		if err := services.RedisOutcome(ctx, err); err != nil {
			return st, fmt.Errorf("change push state of %s: %w", user, err)
		}
		position, repeated, err := s.log.Append(ctx, journal.Append{
			Subject: proto.UserPush(user), After: st.position, Key: services.RepeatKey(ctx, "push:"+string(user)), Trace: trace, Body: body,
		})
		if repeated { // the request was carried out before, and something has followed it
			return s.Logged(ctx, user)
		}
		if errors.Is(err, journal.ErrMoved) && ctx.Err() == nil {
			continue
		}
		if err != nil {
			return st, err
		}
		st.position = position
		_ = s.keep(ctx, user, &st) // or Redis forgets what was before
		return st, nil
	}
}

// Registration is a device's with a provider, for pushes of a type; false where
// there is none (any more).
func (s *Store) Registration(ctx context.Context, user proto.Token, device string, provider proto.PushProvider, t proto.NotificationType) (push.Registration, bool, error) {
	st, err := s.Of(ctx, user)
	if err != nil {
		return push.Registration{}, false, err
	}
	r, ok := st.Of(device, provider, t)
	return r.destination(), ok, nil
}

// Gone removes a registration whose token the provider knows no more, if it still
// is the device's.
func (s *Store) Gone(ctx context.Context, user proto.Token, device string, provider proto.PushProvider, token string) error {
	_, err := s.Change(ctx, user, "", func(st *State) (bool, error) { return st.drop(device, provider, token), nil })
	return err
}

// Pushed notes that there is a push under a collapse key, decided as of a position
// of the log, or one that takes back what is shown under it. An older one counts for
// nothing. It may be lost with Redis: then one too many is sent, or stays.
func (s *Store) Pushed(ctx context.Context, user proto.Token, collapseKey string, after uint64, withdraw bool) error {
	log, err := s.epoch.of(ctx, s.log)
	if err != nil {
		return fmt.Errorf("note a push to %s: %w", user, err)
	}
	score := strconv.FormatFloat(scoreOf(after, withdraw), 'f', -1, 64)
	err = pushedLua.Run(ctx, s.client, []string{proto.PushSentKey(user)}, collapseKey, score, pushedKept, pushedFor.Milliseconds(), log).Err()
	if err := services.RedisOutcome(ctx, err); err != nil {
		return fmt.Errorf("note a push to %s: %w", user, err)
	}
	return nil
}

// scoreOf is a push's place in the order of those under one collapse key: what takes
// back what a push shows comes right after it.
func scoreOf(after uint64, withdraw bool) float64 {
	score := float64(after)
	if withdraw {
		score += 0.5
	}
	return score
}

// Newest says whether there is a push under a collapse key that is newer than one
// decided as of a position of the log. It returns services.ErrRedisDown or ErrUnavailable.
func (s *Store) Newest(ctx context.Context, user proto.Token, collapseKey string, after uint64, withdraw bool) (newer bool, err error) {
	score, err := s.pushed(ctx, user, collapseKey)
	return score > scoreOf(after, withdraw), err
}

// Shown is the newest push that was queued under a collapse key: the position as of
// which it was decided, 0 where none is known, and whether it is taken back. It returns
// services.ErrRedisDown or ErrUnavailable.
func (s *Store) Shown(ctx context.Context, user proto.Token, collapseKey string) (position uint64, withdrawn bool, err error) {
	score, err := s.pushed(ctx, user, collapseKey)
	position = uint64(score)
	return position, score > float64(position), err
}

// pushed is the score under a collapse key; 0: there is none of this log.
func (s *Store) pushed(ctx context.Context, user proto.Token, collapseKey string) (float64, error) {
	log, err := s.epoch.of(ctx, s.log)
	if err != nil {
		return 0, fmt.Errorf("read the pushes to %s: %w", user, err)
	}
	scores, err := s.client.ZMScore(ctx, proto.PushSentKey(user), collapseKey, "").Result()
	if err := services.RedisOutcome(ctx, err); err != nil {
		return 0, fmt.Errorf("read the pushes to %s: %w", user, err)
	}
	if len(scores) != 2 || uint64(max(scores[1], 0)) != log {
		return 0, nil
	}
	return max(scores[0], 0), nil
}

// At is the entry at a position of the log; ok is false where there is none. It
// returns ErrUnavailable.
func (s *Store) At(ctx context.Context, position uint64) (journal.Entry, bool, error) {
	return s.log.At(ctx, position)
}
