package gateway

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// repairs are the topics whose log must be read, because live copies are
// missing. Each is in the queue at most once.
type repairs struct {
	mu     sync.Mutex
	topics []*topic
	wake   chan struct{}
}

const repairWorkers = 4

func newRepairs() *repairs { return &repairs{wake: make(chan struct{}, repairWorkers)} }

func (r *repairs) push(t *topic) {
	t.mu.Lock()
	was := t.queued || t.gone
	t.queued = true
	t.mu.Unlock()
	if was {
		return
	}
	r.mu.Lock()
	r.topics = append(r.topics, t)
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default: // every worker has been woken and looks again before it sleeps
	}
}

func (r *repairs) pop() *topic {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.topics) == 0 {
		return nil
	}
	t := r.topics[0]
	r.topics[0] = nil
	r.topics = r.topics[1:]
	return t
}

func (r *repairs) waiting() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.topics)
}

// repairLoop reads the log for topics with holes until ctx ends.
func (svc *Service) repairLoop(ctx context.Context) error {
	for ctx.Err() == nil {
		if t := svc.repairs.pop(); t != nil {
			svc.repair(ctx, t)
			continue
		}
		select {
		case <-ctx.Done():
		case <-svc.repairs.wake:
		}
	}
	return nil
}

const (
	// maxTries is how often a read may come up short of what was heard live
	// before the log counts as not having it; with the pauses about 30 s.
	maxTries = 40
	maxPause = time.Second
)

// repair reads a topic's log until nothing is missing.
func (svc *Service) repair(ctx context.Context, t *topic) {
	defer svc.hub.prune(t)
	t.mu.Lock()
	t.queued = false
	after, reading := t.readingLocked()
	gone := t.gone
	t.mu.Unlock()
	for failed := 0; !gone && reading && ctx.Err() == nil; {
		last, more, err := svc.store.read(ctx, t.log(), after, svc.replayed)
		if err != nil {
			if failed++; failed == 1 && ctx.Err() == nil {
				svc.host.Log().Warn("read the log", "subject", t.log(), "error", err)
			}
			pause(ctx, failed)
			t.mu.Lock()
			after, reading = t.readingLocked()
			gone = t.gone
			t.mu.Unlock()
			continue
		}
		failed = 0
		t.mu.Lock()
		got := last > after
		tries := t.readLocked(got, more)
		if got {
			// On from here, not from where the kind with the fewest entries
			// stands: behind that the same entries would come for ever.
			_, reading = t.readingLocked()
			after = last
		} else {
			after, reading = t.readingLocked()
		}
		gone = t.gone
		t.mu.Unlock()
		if tries > maxTries {
			svc.host.Log().Error("the log does not hold what was seen live", "subject", t.log())
		}
		if reading && tries > 0 {
			pause(ctx, tries)
		}
	}
}

// readLocked takes note of a read, which got something or not, and behind which there is
// more or the end. It returns how many times in a row the end came too early.
func (t *topic) readLocked(got, more bool) (tries int) {
	if got {
		t.tries = 0
	}
	if more {
		return 0
	}
	ended := true
	for i := range t.tracks {
		ended = t.tracks[i].Ended() && ended
	}
	if ended {
		t.tries = 0
		return 0
	}
	if got {
		return 0
	}
	if t.tries++; t.tries <= maxTries {
		return t.tries
	}
	for i := range t.tracks {
		t.tracks[i].GiveUp()
	}
	tries, t.tries = t.tries, 0
	return tries
}

// pause waits before the n-th repeat, from 20 ms doubling to maxPause, half of
// it random. It ends early with ctx.
func pause(ctx context.Context, n int) {
	d := min(20*time.Millisecond<<min(n, 10), maxPause)
	timer := time.NewTimer(d/2 + rand.N(d/2))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
