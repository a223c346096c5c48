package signaling

import (
	"context"
	"fmt"
	"slices"
	"time"

	"supmesh.dev/proto"
	"supmesh.dev/signaling/calls"
	"supmesh.dev/signaling/state"
)

const (
	// making is for how long, in milliseconds, a slot may be of a call that is not there yet.
	making = 10_000
	// glareWait is how long it is waited for a call to be there, in pauses.
	glareWait, glarePause = 1500 * time.Millisecond, 30 * time.Millisecond
	// busyWith is how many calls back that is looked for which somebody is busy with.
	busyWith = 20
	// maxClaims bounds how often a slot is looked at that others write too.
	maxClaims = 100
)

// verdict is what a slot says of who is wanted.
type verdict int

const (
	mine   verdict = iota // it is this call's now
	taken                 // they are in another call
	glares                // they are calling the one who calls
)

// claim is one call's wish for the slots of its users.
type claim struct {
	svc  *Service
	call proto.Token
	who  caller
	slot calls.Slot // what they are to have
}

// take makes one user's slot the call's, if the user is in no other. other is the
// call that they are in.
func (cl *claim) take(ctx context.Context, user proto.Token) (v verdict, other string, err error) {
	s := cl.svc
	waited := time.Duration(0)
	for range maxClaims {
		slot, err := s.slot(ctx, user)
		if err != nil {
			return taken, "", err
		}
		if slot.CallID == cl.slot.CallID && slot.Known() {
			return mine, "", nil
		}
		free, v, err := cl.judge(ctx, user, &slot, waited < glareWait)
		switch {
		case err != nil:
			return taken, "", err
		case free:
			if won, err := s.calls.Swap(ctx, user, &slot, cl.slot); err != nil || won {
				return mine, "", err
			}
		case v == mine: // it will be decided soon
			waited += glarePause
			if err := pause(ctx, glarePause); err != nil {
				return taken, "", err
			}
		default:
			return v, slot.CallID, nil
		}
	}
	return taken, "", fmt.Errorf("the call of %s: %w", user, calls.ErrMoved)
}

// judge says whether a slot may be taken, or what stands in the way; mine: not yet to be said.
func (cl *claim) judge(ctx context.Context, user proto.Token, slot *calls.Slot, patient bool) (free bool, v verdict, err error) {
	if slot.CallID == "" || slot.CallID == cl.slot.CallID {
		return true, mine, nil
	}
	other, err := proto.EncodeID(slot.CallID)
	if err != nil {
		return true, mine, nil //nolint:nilerr // it is no call
	}
	e, err := cl.svc.calls.Load(ctx, other)
	if err != nil {
		return false, taken, err
	}
	crossing := slices.Contains(slot.To, cl.who.User) && slices.Contains(cl.slot.To, slot.From)
	switch {
	case e.Call == nil && cl.svc.now()-slot.Since > making:
		return true, mine, nil
	case e.Call == nil && crossing && patient:
		return false, mine, nil
	case e.Call == nil:
		return false, taken, nil
	}
	id, err := user.ID()
	if p := e.Party(id); err != nil || e.IsOver() || p == nil || p.Over != 0 {
		return true, mine, err
	}
	if rung := e.Heard(cl.who.User); crossing && rung != nil && rung.Rings() && e.Caller().Over == 0 {
		return false, glares, nil
	}
	return false, taken, nil
}

// slot is which call a user is in, from Redis; where that has no answer, from the log.
func (s *Service) slot(ctx context.Context, user proto.Token) (calls.Slot, error) {
	slots, err := s.calls.Slots(ctx, user)
	if err != nil {
		return calls.Slot{}, err
	}
	if slots[0].Known() {
		return slots[0], nil
	}
	return s.fromHistory(ctx, user)
}

// fromHistory is which call a user is in by the log.
func (s *Service) fromHistory(ctx context.Context, user proto.Token) (slot calls.Slot, err error) {
	rec, ok, err := s.history.Newest(ctx, user)
	if err != nil || !ok {
		return slot, err
	}
	if rec.Reason == proto.EndBusy { // with a call that began before: the newest that goes on
		page, _, err := s.history.Page(ctx, user, busyWith, "")
		if err != nil { // it needs Redis, which others do not wait for
			s.host.Log().DebugContext(ctx, "what a user is busy with", "error", err)
		}
		if i := slices.IndexFunc(page, func(r proto.CallRecord) bool { return r.EndedAt == nil }); i >= 0 {
			rec = page[i]
		}
	}
	if rec.EndedAt == nil {
		slot = calls.Slot{CallID: rec.CallID, Since: rec.CreatedAt.UnixMilli(), From: rec.CallerID, To: rec.TargetIDs}
	} else {
		slot = calls.Slot{Was: rec.CallID, WasUntil: rec.EndedAt.UnixMilli()}
	}
	return slot, nil
}

// release frees a user's slot from a call that is over for them; ended: when, or 0
// where it never was.
func (s *Service) release(ctx context.Context, call, user proto.Token, ended int64) error {
	id, err := call.ID()
	if err != nil {
		return err
	}
	next := calls.Slot{}
	if ended != 0 {
		next = calls.Slot{Was: id, WasUntil: ended}
	}
	for range maxRounds {
		slots, err := s.calls.Slots(ctx, user)
		if err != nil || slots[0].CallID != id && (slots[0].Known() || ended == 0) {
			return err
		}
		if won, err := s.calls.Swap(ctx, user, &slots[0], next); err != nil || won {
			return err
		}
	}
	return fmt.Errorf("the call of %s: %w", user, calls.ErrMoved)
}

// slots makes the slots of a call's users what they should be: the call's, where
// Redis has lost them, and no more the call's once it is over for them.
func (s *Service) slots(ctx context.Context, e *calls.Entry) error {
	for i := range e.Parties {
		p := &e.Parties[i]
		if p.Blocked || p.State == proto.ParticipantBusy {
			continue
		}
		user, err := proto.EncodeID(p.User)
		if err != nil {
			return err
		}
		if err := s.keepSlot(ctx, e, p, user); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) keepSlot(ctx context.Context, e *calls.Entry, p *state.Party, user proto.Token) error {
	if p.Over != 0 {
		return s.release(ctx, e.Token, user, p.OverAt)
	}
	slots, err := s.calls.Slots(ctx, user)
	if err != nil || slots[0].CallID != "" || slots[0].Was == e.ID { // that has just ended
		return err
	}
	_, err = s.calls.Swap(ctx, user, &slots[0], slotOf(e.Call))
	return err
}

func slotOf(c *state.Call) calls.Slot {
	return calls.Slot{CallID: c.ID, Since: c.CreatedAt, From: c.Caller().User, To: c.Targets()}
}
