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

// maxPause is the longest pause between two tries.
const maxPause = time.Second

// repair reads a topic's log until nothing is missing. When the log cannot be read the topic
// is queued again, behind the others: what is known to exist is never passed over.
func (svc *Service) repair(ctx context.Context, t *topic) {
	defer svc.hub.prune(t)
	t.mu.Lock()
	t.queued = false
	after, reading := t.readingLocked()
	known, gone := t.knownLocked(), t.gone
	t.mu.Unlock()
	for !gone && reading && ctx.Err() == nil {
		last, more, err := svc.store.read(ctx, t.log(), after, known, svc.replayed)
		t.mu.Lock()
		if err != nil {
			t.failed++
			failed := t.failed
			t.mu.Unlock()
			if failed == 1 && ctx.Err() == nil {
				svc.host.Log().Warn("read the log", "subject", t.log(), "error", err)
			}
			pause(ctx, failed)
			svc.repairs.push(t)
			return
		}
		t.failed = 0
		if !more {
			t.endedLocked(max(known, last))
		}
		after, reading = t.readingLocked()
		// On from here, not from where the kind with the fewest entries stands: behind
		// that the same entries would come for ever.
		after = max(after, last)
		known, gone = t.knownLocked(), t.gone
		t.mu.Unlock()
	}
}

// endedLocked notes that the log has nothing further as of the position upTo.
func (t *topic) endedLocked(upTo uint64) {
	for i := range t.tracks {
		t.tracks[i].Ended(upTo)
	}
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
