package presence

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"supmesh.dev/presence/registry"
	"supmesh.dev/presence/seen"
	"supmesh.dev/presence/state"
	"supmesh.dev/proto"
)

// maxRounds bounds how often a record is tried that others write at the same time.
const maxRounds = 16

// errContended says that a record was written by others each time.
var errContended = errors.New("presence record is contended")

// changed is a record as it was stored, and what the change brought with it.
type changed struct {
	*registry.Entry
	gone   []state.Conn // connections that count no more
	noted  *seen.Entry  // what is to be stored of when the user was last seen
	told   bool         // others are to be told
	hid    bool         // the user did not want to be seen
	fresh  bool         // nothing was known of the user
	due    int64
	now    int64
	failed error // the change refused by its own rule: nothing was stored
}

// giveWay waits before a record is tried again that others wrote meanwhile: from the
// second time on, and longer each time, so that not all of them go on in step.
func giveWay(ctx context.Context, round int) error {
	if round < 2 {
		return nil
	}
	timer := time.NewTimer(rand.N(time.Duration(round) * time.Millisecond))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// change applies fn to the records of users, each of them once, stores them and
// tells what others are to know of it. fn may be called again with a newer record.
// Whoever stores a change tells it: so it is told once, by whichever instance.
func (s *Service) change(ctx context.Context, users []proto.Token, fn func(e *registry.Entry, now int64) error) (map[proto.Token]*changed, error) {
	return s.changeAfter(ctx, users, "", nil, fn)
}

// changeAfter is change with a read of what else fn depends on. read runs between the
// read of the records and their replacement, in each round. A record is replaced only if
// it has not changed since: what read found of its sessions still holds then.
func (s *Service) changeAfter(
	ctx context.Context, users []proto.Token, socket string, read func(context.Context, []registry.Entry) error, fn func(e *registry.Entry, now int64) error,
) (map[proto.Token]*changed, error) {
	out := make(map[proto.Token]*changed, len(users))
	left := users
	for round := 0; len(left) > 0; round++ {
		if round == maxRounds {
			return out, errContended
		}
		if err := giveWay(ctx, round); err != nil {
			return out, err
		}
		entries, err := s.records.Load(ctx, left...)
		if err != nil {
			return out, err
		}
		if err := s.restore(ctx, entries); err != nil {
			return out, err
		}
		if read != nil {
			if err := read(ctx, entries); err != nil {
				return out, err
			}
		}
		var write []*registry.Entry
		var dues []int64
		pending := make([]*changed, 0, len(entries))
		for i := range entries {
			c := s.apply(&entries[i], fn)
			if c.failed != nil {
				out[c.User] = c
				continue
			}
			pending = append(pending, c)
			write, dues = append(write, c.Entry), append(dues, c.due)
		}
		if err := s.hideFirst(ctx, pending); err != nil {
			return out, err
		}
		swapped, err := s.records.Swap(ctx, dues, write...)
		if err != nil {
			return out, err
		}
		left = nil
		var unsure []proto.Token // marked as hidden, and may not hide after all
		stored := pending[:0]
		for i, c := range pending {
			if !swapped[i] {
				left = append(left, c.User)
				if c.Hides() && !c.hid {
					unsure = append(unsure, c.User)
				}
				continue
			}
			out[c.User] = c
			stored = append(stored, c)
		}
		s.follow(ctx, stored, socket)
		for _, user := range unsure {
			if err := s.markHidden(ctx, user, true); err != nil {
				return out, err
			}
		}
	}
	return out, nil
}

func (s *Service) apply(e *registry.Entry, fn func(e *registry.Entry, now int64) error) *changed {
	c := &changed{Entry: e, now: s.now()}
	c.hid, c.fresh = e.Hid, e.Unknown()
	c.gone = e.Settle(c.now)
	if fn != nil {
		if c.failed = fn(e, c.now); c.failed != nil {
			return c
		}
	}
	c.gone = append(c.gone, e.Settle(c.now)...) // one that ended for good
	c.told = e.Publish(c.now)
	if n, write := e.Note(c.now); write {
		c.noted = &seen.Entry{At: n.At, On: n.On}
	}
	c.due = e.Due(c.now)
	return c
}

// hideFirst notes who becomes invisible before their record says so: whatever fails
// between, nobody is shown who has asked not to be.
func (s *Service) hideFirst(ctx context.Context, pending []*changed) error {
	var users []proto.Token
	for _, c := range pending {
		if c.Hides() && !c.hid {
			users = append(users, c.User)
		}
	}
	return s.records.Hide(ctx, true, users...)
}

// follow does what follows from stored changes.
func (s *Service) follow(ctx context.Context, all []*changed, socket string) {
	var fresh []proto.Token
	for _, c := range all {
		if c.told {
			s.tell(ctx, c, socket)
		}
		switch {
		case c.Hides() != c.hid:
			s.hide(ctx, c)
		case c.fresh && !c.hid:
			fresh = append(fresh, c.User)
		}
	}
	// Of a record that was kept its time and is gone the mark may be left.
	if err := s.records.Hide(ctx, false, fresh...); err != nil {
		s.host.Log().WarnContext(ctx, "hide", "error", err)
		s.unfinished.mark(fresh...)
	}
	for _, c := range all {
		if c.noted == nil {
			continue
		}
		if err := s.seen.Note(ctx, c.User, *c.noted); err != nil {
			s.host.Log().WarnContext(ctx, "note when a user was seen", "error", err)
			s.unfinished.note(c.User, *c.noted)
		}
	}
	gone := goneOf(all)
	if err := s.leave(ctx, gone); err != nil {
		s.host.Log().WarnContext(ctx, "end sessions", "error", err)
		s.unfinished.leave(gone)
	}
}

// now is Redis's clock, in Unix milliseconds, as far as it is known.
func (s *Service) now() int64 { return s.host.Now().UnixMilli() + s.clock.Load() }

// syncClock asks for it.
func (s *Service) syncClock(ctx context.Context) error {
	began := s.host.Now()
	at, err := s.records.Now(ctx)
	if err != nil {
		return err
	}
	took := s.host.Now().Sub(began)
	s.clock.Store(at.Add(took/2).UnixMilli() - began.Add(took).UnixMilli())
	return nil
}

func (s *Service) grace() int64 { return int64(s.cfg.Grace / time.Millisecond) }
