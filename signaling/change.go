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
	// secondLook is how long after its announcement a move must have been told; then
	// somebody looks whether it has.
	secondLook = 700 * time.Millisecond
	// maxRounds bounds how often a move is made again because the call went on meanwhile.
	maxRounds = 8
	// maxMoves bounds the moves that a record has.
	maxMoves = 16
	// unsure is how old a move is, in milliseconds, of which nobody knows whether it
	// was told, before it counts as told: the log knows a repeated key for longer.
	unsure = 100_000
)

// The steps of a move, in their order. A test may end an instance before each.
const (
	stepTimer  = "timer"
	stepAppend = "append"
	stepKeep   = "keep"
	stepTell   = "tell"
	stepSettle = "settle"
	stepDue    = "due"
	stepDone   = "done"
)

var steps = []string{stepTimer, stepAppend, stepKeep, stepTell, stepSettle, stepDue, stepDone}

func (s *Service) now() int64 { return s.host.Now().UnixMilli() }

// change takes a call further by what step does to it, and gives the call as it
// then is; step may find that there is nothing to do. Of several who would change
// it at once one wins, and the others see what it did.
func (s *Service) change(ctx context.Context, call proto.Token, step func(c *state.Call, now int64) error) (calls.Entry, error) {
	e, err := s.calls.Load(ctx, call)
	for range maxRounds {
		if err != nil {
			return e, err
		}
		if e.Call == nil {
			return e, state.ErrNotFound
		}
		next := e
		next.Call = e.Clone()
		if err := step(next.Call, s.now()); err != nil || next.Version == e.Version {
			return e, err
		}
		if err = s.commit(ctx, &next, e.Version); !errors.Is(err, calls.ErrMoved) {
			return next, err
		}
		e, err = s.calls.Confirmed(ctx, call)
	}
	return e, fmt.Errorf("call %s: %w", call, calls.ErrMoved)
}

// commit makes the moves after a version so: first somebody is to look at the call
// soon, whatever happens here; then it is stored; then it is told. From the append
// on it is so, and an error that follows is the next look's business.
func (s *Service) commit(ctx context.Context, e *calls.Entry, after uint64) error {
	s.trim(e, after)
	if err := s.at(stepTimer); err != nil {
		return err
	}
	if err := s.lookAgain(ctx, e); err != nil {
		return err
	}
	if err := s.at(stepAppend); err != nil {
		return err
	}
	trace := ""
	if call, ok := services.CallFrom(ctx); ok {
		trace = call.Traceparent()
	}
	if err := s.calls.Append(ctx, e, trace); err != nil {
		return err
	}
	s.metrics.moved(ctx, e.Call, after)
	if err := s.at(stepKeep); err != nil {
		return err
	}
	if err := s.calls.Keep(ctx, e); err != nil && !errors.Is(err, services.ErrRedisDown) {
		s.host.Log().WarnContext(ctx, "keep call", "error", err)
	}
	if err := s.at(stepTell); err != nil {
		return err
	}
	var versions []uint64
	for i := range e.Moves {
		if m := &e.Moves[i]; m.Version > after {
			if err := s.tell(ctx, e, m); err != nil {
				s.host.Log().WarnContext(ctx, "tell of a call", "move", m.Kind, "error", err)
				return nil
			}
			versions = append(versions, m.Version)
		}
	}
	return s.settle(ctx, e, versions...)
}

// settle notes that all was told of moves, and when to look at the call next.
func (s *Service) settle(ctx context.Context, e *calls.Entry, versions ...uint64) error {
	if err := s.at(stepSettle); err != nil {
		return err
	}
	if len(versions) > 0 {
		if err := s.calls.Settle(ctx, e.Token, versions...); err != nil && !errors.Is(err, services.ErrRedisDown) {
			s.host.Log().WarnContext(ctx, "settle call", "error", err)
		}
	}
	if err := s.at(stepDue); err != nil {
		return err
	}
	if err := s.lookWhenDue(ctx, e); err != nil {
		s.host.Log().WarnContext(ctx, "time of a call", "error", err) // the second look sets it
	}
	return s.at(stepDone)
}

// trim leaves a record the moves that are not known to have been told.
func (s *Service) trim(e *calls.Entry, after uint64) {
	kept := e.Moves[:0]
	for i := range e.Moves {
		if m := e.Moves[i]; m.Version > after || !s.told(e, &m) {
			kept = append(kept, m)
		}
	}
	e.Moves = kept[max(len(kept)-maxMoves, 0):]
}

// told says whether a move needs no telling any more.
func (s *Service) told(e *calls.Entry, m *state.Move) bool {
	settled, known := e.Settled(m.Version)
	return settled || !known && s.now()-m.At > unsure
}

// job is what a timer of a call brings.
type job struct {
	Call proto.Token `json:"call"`
	// Version is what the call is to be at, if somebody was about to move it there.
	Version uint64 `json:"version,omitzero"`
	At      int64  `json:"at"`           // when the timer was set
	Due     int64  `json:"due,omitzero"` // when it was to come
}

// again names the timer of a call's second look; no token ends like this. It is one
// of its own, so that who is done with a move does not take away what another has
// just announced.
func again(call proto.Token) proto.Token { return call + "~" }

func (s *Service) lookAgain(ctx context.Context, e *calls.Entry) error {
	return s.schedule(ctx, again(e.Token), job{Call: e.Token, Version: e.Version, At: s.now()}, s.host.Now().Add(secondLook))
}

// lookWhenDue has somebody look at a call when something is due, or a while has passed.
func (s *Service) lookWhenDue(ctx context.Context, e *calls.Entry) error {
	return s.lookBefore(ctx, e, 0)
}

// lookBefore is lookWhenDue with a moment, in Unix milliseconds, that the look is not to
// be later than; 0: there is none.
func (s *Service) lookBefore(ctx context.Context, e *calls.Entry, latest int64) error {
	if e.IsOver() {
		return nil
	}
	now := s.host.Now()
	next := now.Add(s.lookEvery)
	if latest != 0 && latest < next.UnixMilli() {
		next = time.UnixMilli(max(latest, now.Add(min(lookSoon, s.lookEvery)).UnixMilli()))
	}
	if due := e.Due(s.grace.Milliseconds()); due != 0 && due < next.UnixMilli() {
		next = time.UnixMilli(due)
	}
	return s.schedule(ctx, e.Token, job{Call: e.Token, At: now.UnixMilli()}, next)
}

func (s *Service) schedule(ctx context.Context, name proto.Token, j job, at time.Time) error {
	j.Due = at.UnixMilli()
	body, err := wire.Marshal(j)
	if err != nil {
		return err
	}
	if err := s.host.Schedule(ctx, proto.Timer("signaling", name), proto.CallTimers, at, body); err != nil {
		return fmt.Errorf("%w: %w", calls.ErrUnavailable, err)
	}
	return nil
}
