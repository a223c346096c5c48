package bench

import (
	"math"
	"sync/atomic"
	"time"

	"supmesh.dev/proto"
)

// burst is one event that many members send, each of them the same times.
type burst struct {
	requests

	event     string
	from, by  int   // the connections that send it
	coalesced int64 // acks that say that nobody was told again
	scan      scanner

	toldNow atomic.Int64 // published once per round
}

// burstIDs keeps the acks of a chat's bursts apart: more than any of them asks for.
const burstIDs = 1 << 24

func (q *burst) publish() {
	q.requests.publish()
	q.toldNow.Store(q.acked - q.coalesced)
}

// ack counts the ack of a request of this burst.
func (q *burst) ack(p packet, now time.Time) {
	success := find(p.body, okBytes, &q.scan.ok) >= 0
	if q.answer(p, success, now) && q.event == proto.StartTyping.Event && find(p.body, coalescedBytes, &q.scan.mark) >= 0 {
		q.coalesced++
	}
}

// spread is a schedule of n requests over a time; over none they are all due at the start.
func spread(n int, over time.Duration) schedule {
	if over == 0 {
		return schedule{rate: math.Inf(1), count: n}
	}
	return schedule{rate: float64(n) / over.Seconds(), count: n}
}

var coalescedBytes = []byte(`"coalesced":true`)

// heard is what the author was told of one kind of receipt.
type heard struct {
	at      []time.Time
	covered []int64 // receipts in the events so far, by event
}

func (h *heard) add(now time.Time, receipts int) {
	h.at = append(h.at, now)
	h.covered = append(h.covered, h.total()+int64(receipts))
}

// total is how many receipts all events tell of.
func (h *heard) total() int64 {
	if len(h.covered) == 0 {
		return 0
	}
	return h.covered[len(h.covered)-1]
}

// until is what was heard up to a moment: who reads later, and was refused
// before, is told as one who has the message then.
func (h *heard) until(end time.Time) heard {
	n := 0
	for n < len(h.at) && !h.at[n].After(end) {
		n++
	}
	return heard{h.at[:n], h.covered[:n]}
}

// knows is when the author had heard of so many receipts; false if never.
func (h *heard) knows(receipts int64) (at time.Time, ok bool) {
	for i, n := range h.covered {
		if n >= receipts {
			return h.at[i], true
		}
	}
	return time.Time{}, false
}

// densest is the most events within any second.
func (h *heard) densest() (most int) {
	from := 0
	for i, at := range h.at {
		for at.Sub(h.at[from]) >= time.Second {
			from++
		}
		most = max(most, i-from+1)
	}
	return most
}

// span is when the first and the last of many events came.
type span struct {
	n           int64
	first, last time.Time
}

func (s *span) add(now time.Time) {
	if s.n == 0 {
		s.first = now
	}
	s.n++
	s.last = now
}

// rate is events a second between the first and the last, 0 where there is no between.
func (s *span) rate() float64 {
	took := s.last.Sub(s.first).Seconds()
	if took <= 0 {
		return 0
	}
	return float64(s.n) / took
}
