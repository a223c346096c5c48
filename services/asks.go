package services

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"supmesh.dev/proto"
)

const (
	askShards = 16
	// maxAsks bounds the requests of a host that wait for their reply.
	maxAsks  = 1 << 16
	keepAsks = 256 // of a shard, for reuse
)

// asks is every request of a host that has no reply yet. Whoever takes a
// request out of it ends it; so it ends once.
type asks struct {
	host    *Host
	pending atomic.Int64

	prefix string // of reply subjects: nobody else's, and not to be guessed
	base   time.Time
	shards []askShard

	asleep     atomic.Bool
	wake, stop chan struct{}
	swept      sync.WaitGroup
}

type askShard struct {
	mu     sync.Mutex
	closed bool
	byID   map[uint64]*ask
	wheel  [wheelSlots]*ask
	seen   int64 // the last tick that was looked at
	free   []*ask
}

// ask is one request without its reply. Its shard's lock guards it.
type ask struct {
	asked
	id              uint64
	msg             question
	idempotent      bool
	deadline, share time.Duration
	refused         int  // times that it could not be sent, or nobody was there to run it
	nobody          int  // of those, times that nobody was there
	unknown         int  // times that its share passed without a reply
	pausing         bool // refused, to be repeated at due; otherwise it is under way

	due        int64 // tick
	prev, next *ask  // in its slot of the wheel
}

// open subscribes to the replies and starts the sweeper.
func (t *asks) open(h *Host) error {
	t.prefix, t.base = h.nc.NewInbox()+".", time.Now()
	t.wake, t.stop = make(chan struct{}, 1), make(chan struct{})
	t.shards = make([]askShard, askShards)
	for i := range t.shards {
		t.shards[i].byID = make(map[uint64]*ask)
	}
	if _, err := h.nc.Subscribe(t.prefix+"*", t.received); err != nil {
		return fmt.Errorf("subscribe to replies: %w", err)
	}
	t.host = h
	t.swept.Go(t.sweep)
	return nil
}

// newID is random: a service that is asked cannot answer for another.
func (*asks) newID() uint64 { return rand.Uint64() | 1<<63 }

func (t *asks) shard(id uint64) *askShard { return &t.shards[id%askShards] }

func (t *asks) now() time.Duration { return time.Since(t.base) }

func (t *asks) add(id uint64, done *asked, m *question, deadline time.Time, idempotent bool) *proto.Error {
	if t.pending.Add(1) > maxAsks {
		t.pending.Add(-1)
		return &proto.Error{Code: proto.ServiceUnavailable, Message: "too many requests are waiting", RetryAfter: time.Second}
	}
	s := t.shard(id)
	s.mu.Lock()
	if s.closed || s.byID[id] != nil {
		s.mu.Unlock()
		t.pending.Add(-1)
		return unavailable()
	}
	a := s.blank()
	began := done.began.Sub(t.base)
	*a = ask{asked: *done, id: id, msg: *m, idempotent: idempotent, deadline: deadline.Sub(t.base)}
	a.share = (a.deadline - began) / attempts
	s.byID[id] = a
	s.plan(a, a.patience(began, began))
	s.mu.Unlock()
	if t.asleep.Load() && t.asleep.CompareAndSwap(true, false) {
		t.wake <- struct{}{} // there is room: one that finds it asleep sends one
	}
	return nil
}

// patience is until when a request that is made now waits for its reply: n
// thirds of its time if it may be repeated then.
func (a *ask) patience(began, now time.Duration) time.Duration {
	if !a.idempotent || a.unknown >= attempts-1 {
		return a.deadline
	}
	return min(a.deadline, max(began+a.share*time.Duration(a.unknown+1), now+a.share/2))
}

func (s *askShard) blank() *ask {
	if n := len(s.free); n > 0 {
		a := s.free[n-1]
		s.free = s.free[:n-1]
		return a
	}
	return &ask{}
}

// drop takes a request out; it then belongs to the caller, who ends it.
func (t *asks) drop(s *askShard, a *ask) asked {
	s.unplan(a)
	delete(s.byID, a.id)
	t.pending.Add(-1)
	done := a.asked
	*a = ask{}
	if len(s.free) < keepAsks {
		s.free = append(s.free, a)
	}
	return done
}

func (t *asks) take(id uint64) (done asked, ok bool) {
	s := t.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.byID[id]
	if a == nil {
		return done, false
	}
	return t.drop(s, a), true
}

// fail ends a request that cannot be made.
func (t *asks) fail(id uint64, err *proto.Error) {
	if done, ok := t.take(id); ok {
		done.conclude(t.host, Reply{Err: err, unanswered: true})
	}
}

// outcome is what is known of a request that is given up.
func (a *ask) outcome() *proto.Error {
	if a.pausing && a.unknown == 0 {
		return unavailable()
	}
	return late()
}

// giveUp ends a request whose caller waits no longer.
func (t *asks) giveUp(id uint64) {
	s := t.shard(id)
	s.mu.Lock()
	a := s.byID[id]
	if a == nil {
		s.mu.Unlock()
		return
	}
	err := a.outcome()
	done := t.drop(s, a)
	s.mu.Unlock()
	done.conclude(t.host, Reply{Err: err, unanswered: true})
}

// refuse notes that nobody ran the request: that is safe to repeat for every
// one. A lost connection comes back in about 250 ms; a service that restarts
// is another's turn.
func (t *asks) refuse(id uint64, nobodyThere bool) {
	s := t.shard(id)
	s.mu.Lock()
	a := s.byID[id]
	if a == nil || a.pausing {
		s.mu.Unlock()
		return
	}
	a.refused++
	if nobodyThere {
		a.nobody++
	}
	a.pausing = true
	at := t.now() + backoff(a.refused)
	if at < a.deadline && a.nobody <= refusals {
		s.unplan(a)
		s.plan(a, at)
		s.mu.Unlock()
		return
	}
	err := a.outcome()
	done := t.drop(s, a)
	s.mu.Unlock()
	done.conclude(t.host, Reply{Err: err, unanswered: true})
}

// doubt notes that it is unknown whether the request was sent: one that may be
// repeated is, in its time.
func (t *asks) doubt(id uint64) {
	s := t.shard(id)
	s.mu.Lock()
	a := s.byID[id]
	if a == nil || a.idempotent {
		s.mu.Unlock()
		return
	}
	done := t.drop(s, a)
	s.mu.Unlock()
	done.conclude(t.host, Reply{Err: late(), unanswered: true})
}

// backoff is how long to wait before the n-th repeat of what nobody ran: 50 ms
// doubled each time up to 400 ms, half of it random.
func backoff(n int) time.Duration {
	d := 50 * time.Millisecond << min(n-1, 3)
	return d/2 + rand.N(d/2)
}

// close ends every request and takes no more.
func (t *asks) close() {
	if t.host == nil { // never opened
		return
	}
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		s.closed = true // all are, before the first is told and asks again
		s.mu.Unlock()
	}
	var due dues
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		for _, a := range s.byID {
			err := a.outcome()
			due.over = append(due.over, ended{t.drop(s, a), err})
		}
		s.mu.Unlock()
	}
	due.act(t)
	close(t.stop)
	t.swept.Wait()
}
