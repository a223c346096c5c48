package gateway

import (
	"context"
	"math/rand/v2"
	"time"

	"supmesh.dev/proto"
)

// drain moves every connection elsewhere: new ones are turned away, all are
// told, and after the notice they are closed at DRAIN_RATE, in random order,
// in the way that makes a client come back by itself. Requests under way are
// answered first. Those who leave by themselves take none of the time. It returns
// when all are gone and what they had asked for is done, or with ctx.
func (svc *Service) drain(ctx context.Context) {
	svc.admission.draining.Store(true)
	if sessions := svc.hub.everyone(); len(sessions) > 0 {
		svc.drainAll(ctx, sessions)
	}
	for svc.leaving.sessions.Load() > 0 && wait(ctx, 20*time.Millisecond) {
	}
}

func (svc *Service) drainAll(ctx context.Context, sessions []*Session) {
	window := time.Duration(len(sessions)) * time.Second / time.Duration(svc.cfg.DrainRate)
	svc.host.Log().InfoContext(ctx, "draining", "connections", len(sessions), "window", window)
	svc.drainWindow.Store(int64(window))
	for _, s := range sessions {
		svc.tellDrain(s)
	}
	for end := time.Now().Add(svc.cfg.DrainNotice); !svc.hub.empty() && time.Now().Before(end); {
		if !wait(ctx, min(50*time.Millisecond, time.Until(end))) {
			return
		}
	}
	rand.Shuffle(len(sessions), func(i, j int) { sessions[i], sessions[j] = sessions[j], sessions[i] })
	step := time.Second / time.Duration(svc.cfg.DrainRate)
	began := time.Now()
	closed := 0
	for _, s := range sessions {
		if s.left() { // it costs no time
			continue
		}
		// Paced against the clock, with jitter, so that many short pauses do not add up to a long one.
		due := began.Add(time.Duration(closed)*step + rand.N(step+1))
		if d := time.Until(due); d > 5*time.Millisecond && !wait(ctx, d) {
			return
		}
		closed++
		svc.spawn(func(context.Context) { s.finish(ctx) })
	}
	for left := svc.hub.everyone(); len(left) > 0; left = svc.hub.everyone() {
		for _, s := range left { // those that were connecting when it began, too
			if !s.busy() {
				s.close(proto.CloseDrain)
			}
		}
		if !wait(ctx, 20*time.Millisecond) {
			return
		}
	}
}

// tellDrain announces the drain to a session, once, if it has been greeted; one
// that is being greeted meanwhile tells itself.
func (svc *Service) tellDrain(s *Session) {
	s.mu.Lock()
	tell := s.counted && !s.drainTold
	s.drainTold = s.drainTold || tell
	s.mu.Unlock()
	if tell {
		window := time.Duration(svc.drainWindow.Load())
		s.emit(proto.ServerDrainEvent.Name, proto.ServerDrain{
			ReconnectInMs: (svc.cfg.DrainNotice + rand.N(window+time.Second)).Milliseconds(), Reason: "restart",
		})
	}
}

// finish closes the session once its requests under way have been answered.
func (s *Session) finish(ctx context.Context) {
	for end := time.Now().Add(proto.RequestTimeout); s.busy() && time.Now().Before(end); {
		if !wait(ctx, 10*time.Millisecond) {
			break
		}
	}
	s.close(proto.CloseDrain)
}

func (s *Session) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lanes != nil
}

// left says whether the session is gone, or about to be.
func (s *Session) left() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ending || s.phase == closed
}

// wait is false if ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
