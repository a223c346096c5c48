package presence

import (
	"context"
	"errors"
	"fmt"
	"time"

	"supmesh.dev/presence/registry"
	"supmesh.dev/presence/state"
	"supmesh.dev/proto"
	"supmesh.dev/services/journal"
	"supmesh.dev/services/wire"
)

// ownDoubt is how long after its announcement an append may still be stored: a record
// that is older is compared with the log once more then.
const ownDoubt = 15 * time.Second

// load reads the records of users. A record that Redis has lost is made again with what
// its user has set, from the log, and kept.
func (s *Service) load(ctx context.Context, users ...proto.Token) ([]registry.Entry, error) {
	entries, err := s.records.Load(ctx, users...)
	if err != nil {
		return nil, err
	}
	var stale []proto.Token
	for i := range entries {
		if entries[i].Stale(s.now()) {
			stale = append(stale, entries[i].User)
		}
	}
	if len(stale) == 0 {
		return entries, nil
	}
	out, err := s.change(ctx, stale, nil)
	if err != nil {
		return nil, err
	}
	for i := range entries {
		if c := out[entries[i].User]; c != nil {
			entries[i] = *c.Entry
		}
	}
	return entries, nil
}

// restore gives records what their users have set, where that must be read from the log.
func (s *Service) restore(ctx context.Context, entries []registry.Entry) error {
	for i := range entries {
		if e := &entries[i]; e.Stale(s.now()) {
			if err := s.readOwn(ctx, e); err != nil {
				return err
			}
		}
	}
	return nil
}

// readOwn gives a record what its user has set, from the leader of the log: no other
// replica may say that there is nothing.
func (s *Service) readOwn(ctx context.Context, e *registry.Entry) error {
	now := s.now()
	if e.Seen == 0 && e.Noted == (state.Noted{}) {
		at, err := s.seen.Last(ctx, e.User)
		if err != nil {
			return fmt.Errorf("read when %s was seen: %w", e.User, err)
		}
		e.Seen, e.Noted = at, state.Noted{At: at}
	}
	last, ok, err := s.log.Last(ctx, proto.UserStatus(e.User))
	if err != nil {
		return fmt.Errorf("read status of %s: %w", e.User, err)
	}
	if !ok {
		e.Restore(0, nil, now)
		return nil
	}
	var own proto.OwnPresence
	if err := wire.Restore(last.Body, &own); err != nil {
		return fmt.Errorf("status of %s at position %d: %w", e.User, last.Position, err)
	}
	e.Restore(last.Position, &own, now)
	return nil
}

// setting is one presence:update on its way.
type setting struct {
	who  caller
	req  *proto.UpdatePresenceReq
	from state.Asked
	key  string // of its entry: a repeat stores nothing
}

// errOwnMoved: what the user has set has changed since it was read.
var errOwnMoved = errors.New("status has changed meanwhile")

// setStatus carries out an update: what is the user's is stored in the log, then in Redis.
func (s *Service) setStatus(ctx context.Context, u *setting) (*changed, error) {
	for wait := firstRelate; ; {
		c, err := s.trySet(ctx, u)
		switch {
		case errors.Is(err, journal.ErrMoved), errors.Is(err, errOwnMoved):
			wait = firstRelate
		case !errors.Is(err, journal.ErrUnavailable):
			return c, err
		}
		if !waitFor(ctx, wait) {
			return nil, err
		}
		wait = min(2*wait, lastRelate)
	}
}

func (s *Service) trySet(ctx context.Context, u *setting) (*changed, error) {
	entries, err := s.load(ctx, u.who.user)
	if err != nil {
		return nil, err
	}
	next, had := entries[0].Record.Clone(), entries[0].Own
	if err := next.Update(u.req, &u.from, s.now()); err != nil {
		return nil, err
	}
	if next.Own.Same(had) {
		return s.applySetting(ctx, u, nil, func(e *registry.Entry, now int64) error {
			before := e.Own
			if err := e.Update(u.req, &u.from, now); err != nil {
				return err
			}
			if !e.Own.Same(before) {
				return errOwnMoved
			}
			e.Own = before
			return nil
		})
	}
	if _, err := s.applySetting(ctx, u, nil, func(e *registry.Entry, now int64) error {
		e.DoubtFrom(now + ownDoubt.Milliseconds())
		return nil
	}); err != nil {
		return nil, err
	}
	body, err := wire.Marshal(next.OwnPresence())
	if err != nil {
		return nil, err
	}
	_, repeated, err := s.log.Append(ctx, journal.Append{
		Subject: proto.UserStatus(u.who.user), After: entries[0].Position, Key: u.key, Trace: traceOf(ctx), Body: body,
	})
	if errors.Is(err, journal.ErrMoved) { // the next try must not build on the same
		if _, err := s.applySetting(ctx, u, s.readOwn, nil); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, err
	}
	var stored state.Record
	return s.applySetting(ctx, u, func(ctx context.Context, e *registry.Entry) error {
		stored = state.Record{}
		newest := *e
		err := s.readOwn(ctx, &newest)
		stored = newest.Record
		return err
	}, func(e *registry.Entry, now int64) error {
		if !repeated {
			if err := e.Update(u.req, &u.from, now); err != nil {
				return err
			}
		}
		e.Own, e.Read, e.Position, e.Doubt = stored.Own, stored.Read, stored.Position, stored.Doubt
		return nil
	})
}

// applySetting changes the user's record; read runs behind the record's read, if it is
// given. The error is the change's own.
func (s *Service) applySetting(
	ctx context.Context, u *setting, read func(context.Context, *registry.Entry) error, fn func(e *registry.Entry, now int64) error,
) (*changed, error) {
	var readAll func(context.Context, []registry.Entry) error
	if read != nil {
		readAll = func(ctx context.Context, entries []registry.Entry) error { return read(ctx, &entries[0]) }
	}
	out, err := s.changeAfter(ctx, []proto.Token{u.who.user}, u.who.Socket, readAll, fn)
	if err != nil {
		return nil, err
	}
	c := out[u.who.user]
	return c, c.failed
}
