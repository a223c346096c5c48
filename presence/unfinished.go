package presence

import (
	"context"
	"sync"

	"supmesh.dev/presence/seen"
	"supmesh.dev/proto"
)

// maxUnfinished bounds the connections, and the users, of which something is left to do.
const maxUnfinished = 100_000

// unfinished is what was to follow from stored changes and failed: Redis was away, or
// the request's time was over. The settle loop does it. Should the instance die first,
// the sessions are still on their gateways' lists and are ended with those.
type unfinished struct {
	mu    sync.Mutex
	gone  []gone
	marks map[proto.Token]bool
	notes map[proto.Token]seen.Entry
}

// leave notes connections whose sessions are to be ended.
func (u *unfinished) leave(all []gone) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.gone = append(u.gone, all[:min(len(all), maxUnfinished-len(u.gone))]...)
}

// mark notes users of whom it is not known whether they are marked as invisible.
func (u *unfinished) mark(users ...proto.Token) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.marks == nil {
		u.marks = make(map[proto.Token]bool)
	}
	for _, user := range users {
		if len(u.marks) < maxUnfinished {
			u.marks[user] = true
		}
	}
}

// note notes what is to be stored of when a user was last seen.
func (u *unfinished) note(user proto.Token, e seen.Entry) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.notes == nil {
		u.notes = make(map[proto.Token]seen.Entry)
	}
	if old := u.notes[user]; old.At <= e.At && len(u.notes) < maxUnfinished {
		u.notes[user] = e
	}
}

// anyNote takes one of them.
func (u *unfinished) anyNote() (user proto.Token, e seen.Entry, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for user, e = range u.notes {
		delete(u.notes, user)
		return user, e, true
	}
	return "", e, false
}

// take returns up to limit of each, which are then the caller's.
func (u *unfinished) take(limit int) (all []gone, marks []proto.Token) {
	u.mu.Lock()
	defer u.mu.Unlock()
	n := min(limit, len(u.gone))
	all, u.gone = u.gone[:n:n], u.gone[n:]
	for user := range u.marks {
		if len(marks) == limit {
			break
		}
		marks = append(marks, user)
		delete(u.marks, user)
	}
	return all, marks
}

// finish does a page of what is unfinished.
func (s *Service) finish(ctx context.Context, page int) error {
	all, marks := s.unfinished.take(page)
	if len(all) > 0 {
		if err := s.leave(ctx, all); err != nil {
			s.unfinished.leave(all)
			s.unfinished.mark(marks...)
			return err
		}
	}
	for range page {
		user, e, ok := s.unfinished.anyNote()
		if !ok {
			break
		}
		if err := s.seen.Note(ctx, user, e); err != nil {
			s.unfinished.note(user, e)
			s.unfinished.mark(marks...)
			return err
		}
	}
	for i, user := range marks {
		records, err := s.records.Load(ctx, user)
		if err == nil {
			err = s.markHidden(ctx, user, records[0].Hides())
		}
		if err != nil {
			s.unfinished.mark(marks[i:]...)
			return err
		}
	}
	return nil
}
