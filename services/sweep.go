package services

import (
	"time"

	"supmesh.dev/proto"
)

const (
	// askTick is how coarse the sweeper's clock is; the shortest pause before a
	// repeat is 25 ms.
	askTick = 10 * time.Millisecond
	// wheelSlots times askTick is one turn of a wheel; what is due later than
	// that stays in its slot for another turn.
	wheelSlots = 512
	// restAfter is how many ticks without a request the sweeper waits before it
	// sleeps until there is one.
	restAfter = 100
)

// plan puts a request on the wheel; it is not on it.
func (s *askShard) plan(a *ask, at time.Duration) {
	a.due = max(int64((at+askTick-1)/askTick), s.seen+1)
	slot := &s.wheel[a.due%wheelSlots]
	a.prev, a.next = nil, *slot
	if a.next != nil {
		a.next.prev = a
	}
	*slot = a
}

func (s *askShard) unplan(a *ask) {
	if a.prev != nil {
		a.prev.next = a.next
	} else {
		s.wheel[a.due%wheelSlots] = a.next
	}
	if a.next != nil {
		a.next.prev = a.prev
	}
	a.prev, a.next = nil, nil
}

// sweep ends what is late and repeats what is due, until close.
func (t *asks) sweep() {
	tick := time.NewTicker(askTick)
	defer tick.Stop()
	var due dues
	for idle := 0; ; {
		select {
		case <-t.stop:
			return
		case <-tick.C:
		}
		now := t.now()
		for i := range t.shards {
			t.sweepShard(&t.shards[i], now, &due)
			due.act(t)
		}
		if t.pending.Load() > 0 {
			idle = 0
			continue
		}
		if idle++; idle < restAfter {
			continue
		}
		idle = 0
		tick.Stop()
		t.asleep.Store(true)
		if t.pending.Load() == 0 || !t.asleep.CompareAndSwap(true, false) {
			select {
			case <-t.stop:
				return
			case <-t.wake:
			}
		}
		tick.Reset(askTick)
	}
}

// dues is what one sweep of a shard has found; it is acted on without the lock.
type dues struct {
	over   []ended
	repeat []repeat
}

type ended struct {
	asked
	err *proto.Error
}

type repeat struct {
	id  uint64
	msg question
}

func (d *dues) act(t *asks) {
	for i := range d.over {
		d.over[i].conclude(t.host, Reply{Err: d.over[i].err, unanswered: true})
	}
	for i := range d.repeat {
		if t.waits(d.repeat[i].id) {
			t.publish(d.repeat[i].id, &d.repeat[i].msg)
		}
	}
	clear(d.over)
	clear(d.repeat)
	d.over, d.repeat = d.over[:0], d.repeat[:0]
}

// waits says whether somebody still waits for the reply.
func (t *asks) waits(id uint64) bool {
	s := t.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byID[id] != nil
}

func (t *asks) sweepShard(s *askShard, now time.Duration, due *dues) {
	tick := int64(now / askTick)
	s.mu.Lock()
	defer s.mu.Unlock()
	from := max(s.seen+1, tick-wheelSlots+1)
	s.seen = max(s.seen, tick) // what is planned from here on is due later
	for i := from; i <= tick; i++ {
		for a := s.wheel[i%wheelSlots]; a != nil; {
			next := a.next
			if a.due <= tick {
				t.fall(s, a, now, due)
			}
			a = next
		}
	}
}

// fall deals with a request whose time has come.
func (t *asks) fall(s *askShard, a *ask, now time.Duration, due *dues) {
	if now >= a.deadline {
		err := a.outcome()
		due.over = append(due.over, ended{t.drop(s, a), err})
		return
	}
	if !a.pausing {
		a.unknown++
	}
	a.pausing = false
	s.unplan(a)
	s.plan(a, a.patience(a.began.Sub(t.base), now))
	due.repeat = append(due.repeat, repeat{a.id, a.msg})
}
