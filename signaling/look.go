package signaling

import (
	"context"
	"errors"
	"fmt"
	"time"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/wire"
	"supmesh.dev/signaling/calls"
	"supmesh.dev/signaling/state"
)

const (
	// lookEvery is how often a call is looked at when nothing is due: of a socket that
	// nothing is known of any more, nobody knows better when it went.
	lookEvery = 10 * time.Second
	// gatewayLease is how long presence waits for a gateway that it does not hear of, and
	// leaseLate how much later it has noted that its sockets are gone.
	gatewayLease, leaseLate = 30 * time.Second, 1500 * time.Millisecond
	// announceTime is how long gateways have to tell of their sockets again before one that
	// presence knows nothing of, since it has lost its state, ends a call.
	announceTime = 20 * time.Second
	// lookWait is how long, in milliseconds, it is waited for a move that was announced:
	// by then whoever announced it has given up.
	lookWait = 10_000
	// fresh is how long, in milliseconds, after a move nobody asks whether its sockets are there.
	fresh = 5_000
	// lookSoon is when a look is made again that needed what was away. Somebody waits to
	// be told: the pause is an eighth of how late it is already, and lookSeldom at most,
	// so that where there is too much to do looks do not add to it.
	lookSoon, lookSeldom = 500 * time.Millisecond, 5 * time.Second
	// freeWithin is for how long, in milliseconds, it is tried to free the slots of a call
	// that is over while Redis is away: then whoever finds one frees it.
	freeWithin = 15_000
	// lookAsk is how long presence may take in a look, which has a second in all.
	lookAsk = 250 * time.Millisecond
)

// look is what a call's timers bring about: it tells what was not told, does what
// is due, and sets the next timer. It may come twice, and to two instances at once.
func (s *Service) look(ctx context.Context, body []byte) error {
	var j job
	if err := wire.Restore(body, &j); err != nil || j.Call == "" {
		return fmt.Errorf("%w: %w", services.ErrMalformed, err)
	}
	err := s.lookAt(ctx, j)
	if err != nil && (ctx.Err() != nil || proto.AsError(unavailable(err)).Code == proto.ServiceUnavailable) {
		s.host.Log().DebugContext(ctx, "look at a call", "call", j.Call, "error", err)
		late := time.Duration(s.now()-j.Due) * time.Millisecond
		return &services.Later{After: min(max(late/8, lookSoon), lookSeldom), Free: true}
	}
	return err
}

func (s *Service) lookAt(ctx context.Context, j job) error {
	e, err := s.calls.Confirmed(ctx, j.Call)
	if err != nil {
		return err
	}
	if e.Call == nil || e.Version < j.Version {
		if s.now()-j.At < lookWait {
			return &services.Later{After: time.Second}
		}
		if e.Call == nil {
			return nil
		}
	}
	if err := s.retell(ctx, &e); err != nil {
		return err
	}
	var decided int64
	if !e.IsOver() {
		if e, decided, err = s.lookAtSockets(ctx, &e, j.At); err != nil {
			return err
		}
	}
	for due := true; due; {
		if e, due, err = s.expire(ctx, j.Call); err != nil {
			return err
		}
	}
	switch err := s.slots(ctx, &e); {
	case isDown(err) && e.IsOver() && s.now()-j.Due < freeWithin: // nobody looks at it any more
		return &services.Later{After: lookSeldom, Free: true}
	case ignoreDown(err) != nil:
		return err
	}
	return s.lookBefore(ctx, &e, decided)
}

// retell tells the moves that nobody has told.
func (s *Service) retell(ctx context.Context, e *calls.Entry) error {
	var versions []uint64
	for i := range e.Moves {
		m := &e.Moves[i]
		if s.told(e, m) {
			continue
		}
		if err := s.at(stepTell); err != nil {
			return err
		}
		if err := s.tell(ctx, e, m); err != nil {
			return err
		}
		versions = append(versions, m.Version)
	}
	if len(versions) == 0 {
		return nil
	}
	s.metrics.redone.Add(ctx, int64(len(versions)))
	return ignoreDown(s.calls.Settle(ctx, e.Token, versions...))
}

// expire does one thing that is due.
func (s *Service) expire(ctx context.Context, call proto.Token) (calls.Entry, bool, error) {
	var late int64
	done := false
	e, err := s.change(ctx, call, func(c *state.Call, now int64) error {
		var due int64
		due, done = c.Expire(now, s.grace.Milliseconds())
		late = now - due
		return nil
	})
	if err == nil && done {
		s.metrics.late.Record(ctx, float64(late)/1000)
	}
	return e, done, err
}

// lookAtSockets asks presence whether the sockets of a call are there: a gateway may
// have died with them, or one that was gone is there after all. Without an answer
// all is as it was. before is when the call was last looked at; decided is when presence
// will have decided on the gateway that it has not heard of for longest, 0 for none.
func (s *Service) lookAtSockets(ctx context.Context, e *calls.Entry, before int64) (_ calls.Entry, decided int64, _ error) {
	due := e.Due(s.grace.Milliseconds())
	if s.now()-e.Last().At < fresh && (due == 0 || due > s.now()) {
		return *e, 0, nil
	}
	var users []string
	for i := range e.Parties {
		if p := &e.Parties[i]; p.Active() {
			users = append(users, p.User)
		}
	}
	reach, err := s.reach(ctx, "", users, min(lookAsk, askTimeout))
	if err != nil {
		s.host.Log().DebugContext(ctx, "sockets of a call", "error", err)
		return *e, 0, nil
	}
	now := *e
	for _, user := range users {
		p, r := e.Party(user), reach[user]
		if r == nil {
			continue
		}
		there, seen := isThere(r, p.Socket)
		if there && seen != 0 && (decided == 0 || seen < decided) {
			decided = seen
		}
		if there == (p.LostAt == 0) {
			continue
		}
		lostAt := s.lostAt(seen, max(before, e.Last().At))
		now, err = s.change(ctx, e.Token, func(c *state.Call, now int64) error {
			if there {
				c.Found(user, p.Socket, now)
			} else if c.Lose(user, p.Socket, lostAt, now) {
				s.metrics.found.Add(ctx, 1)
			}
			return nil
		})
		if err != nil && !errors.Is(err, state.ErrEnded) {
			return now, 0, err
		}
		if there {
			if err := s.flush(ctx, &now, user); err != nil {
				return now, 0, err
			}
		}
	}
	if decided != 0 {
		decided += (s.lease + leaseLate).Milliseconds()
	}
	return now, decided, nil
}

// lostAt returns since when a socket counts as gone, in Unix milliseconds: since there was
// a last sign of it. If presence knows nothing of it, that lies between two looks: taken
// is their middle, and gateways have the time to tell of it again.
func (s *Service) lostAt(seen, before int64) int64 {
	if seen != 0 {
		return seen
	}
	now := s.now()
	return min(now, max(before+s.lookEvery.Milliseconds()/2, now-(s.grace-s.announceTime).Milliseconds()))
}

// isThere reports whether a socket is connected, and when there was a last sign of it, 0
// if that is not known. One whose gateway is taken for dead is not: presence has waited
// for it as long as a call does.
func isThere(r *proto.Reach, socket string) (there bool, seen int64) {
	for _, s := range r.Sockets {
		if s.SocketID == socket {
			return s.State == proto.SessionConnected, s.Seen
		}
	}
	return false, 0
}
