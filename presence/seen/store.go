package seen

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"

	"supmesh.dev/presence/registry"
	"supmesh.dev/proto"
	"supmesh.dev/services/eventlog"
	"supmesh.dev/services/journal"
	"supmesh.dev/services/wire"
)

const (
	// timeout is how long one append waits.
	timeout = 2 * time.Second
	// maxLives bounds the lives of the registry that are remembered.
	maxLives = 32
)

// Store appends entries and reads them from the leader of RECEIPTS.
type Store struct {
	client redis.UniversalClient
	js     jetstream.JetStream
	log    *eventlog.Reader
}

// New makes a store.
func New(client redis.UniversalClient, js jetstream.JetStream, log *eventlog.Reader) *Store {
	return &Store{client, js, log}
}

// Entry is what is stored of one user; moments are Unix milliseconds.
type Entry struct {
	At int64 `json:"at"`          // when the user was seen last
	On bool  `json:"on,omitzero"` // and is there since
}

// Note replaces a user's entry.
func (s *Store) Note(ctx context.Context, user proto.Token, e Entry) error {
	return s.append(ctx, proto.SeenLog(user), e)
}

func (s *Store) append(ctx context.Context, subject string, v any) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	body, err := wire.Marshal(v)
	if err != nil {
		return err
	}
	if _, err := s.js.Publish(ctx, subject, body, jetstream.WithExpectStream(proto.Receipts.Name)); err != nil {
		return fmt.Errorf("append to %s: %w: %w", subject, journal.ErrUnavailable, err)
	}
	return nil
}

// Last returns until when a user of whom the registry knows nothing was seen, in Unix
// milliseconds; 0 if nothing is stored.
func (s *Store) Last(ctx context.Context, user proto.Token) (int64, error) {
	var e Entry
	if ok, err := s.last(ctx, proto.SeenLog(user), &e); err != nil || !ok || !e.On {
		return e.At, err
	}
	lives, err := s.lives(ctx)
	if err != nil {
		return 0, err
	}
	for i := len(lives) - 1; i >= 0; i-- {
		if lives[i].From <= e.At {
			return max(e.At, lives[i].Until), nil
		}
	}
	return e.At, nil
}

func (s *Store) last(ctx context.Context, subject string, v any) (ok bool, err error) {
	e, err := s.log.Last(ctx, proto.Receipts.Name, subject)
	if err != nil {
		return false, fmt.Errorf("%w: %w", journal.ErrUnavailable, err)
	}
	if e.Position == 0 {
		return false, nil
	}
	if err := wire.Restore(e.Body, v); err != nil {
		return false, fmt.Errorf("read %s: %w", subject, err)
	}
	return true, nil
}

// life is a time over which the registry has lost nothing.
type life struct {
	From  int64 `json:"from"`
	Until int64 `json:"until"`
}

type lives struct {
	Lives []life `json:"lives"`
}

func (s *Store) lives(ctx context.Context) ([]life, error) {
	var all lives
	_, err := s.last(ctx, proto.RegistryLives, &all)
	return all.Lives, err
}

// Live notes that the registry goes on; where Redis was lost a life begins.
func (s *Store) Live(ctx context.Context, now int64) error {
	all, err := s.lives(ctx)
	if err != nil {
		return err
	}
	fresh, err := s.client.SetNX(ctx, proto.PresenceLifeKey, now, 0).Result()
	if err = registry.Outcome(ctx, err); err != nil {
		return fmt.Errorf("begin a life of the registry: %w", err)
	}
	from, err := s.client.Get(ctx, proto.PresenceLifeKey).Int64()
	if err = registry.Outcome(ctx, err); err != nil || from == 0 {
		return errors.Join(fmt.Errorf("read the life of the registry"), err)
	}
	if n := len(all); fresh || n == 0 || all[n-1].From != from {
		all = append(all, life{From: from})
	}
	all = all[max(0, len(all)-maxLives):]
	all[len(all)-1].Until = now
	return s.append(ctx, proto.RegistryLives, lives{all})
}
