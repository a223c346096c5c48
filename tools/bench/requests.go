package bench

import (
	"fmt"
	"sync/atomic"
	"time"
)

// requests is a schedule and what became of it: each request is to be acked
// once, and with success. The reader loop owns what it counts; others may look
// at the counters it publishes, and at the rest once the loop ended.
type requests struct {
	plan    schedule
	first   uint64    // ack id of request 0
	start   time.Time // when the plan began
	warm    int       // requests before this index are not in the histogram
	answers []uint8   // per request: 0 none, 1 success, 2 refused

	acked, refused, answered2 int64
	unreadable                int64
	ackTime                   latency
	lastAck                   time.Duration // of the last answer, from the start
	firstBad                  error         // first refused ack, or frame that is not what was to come

	answeredNow, ackedNow atomic.Int64 // published once per round
}

func newRequests(plan schedule, first uint64, warm int) requests {
	return requests{plan: plan, first: first, warm: warm, answers: make([]uint8, plan.count), ackTime: newLatency()}
}

func (q *requests) publish() {
	q.ackedNow.Store(q.acked)
	q.answeredNow.Store(q.acked + q.refused)
}

// answer counts an ack, which says success or not. True: it is the first of its
// request, and a success.
func (q *requests) answer(p packet, success bool, now time.Time) bool {
	i := p.ackID - q.first // an id below first is far beyond the last
	switch {
	case i >= uint64(len(q.answers)):
		q.bad(fmt.Errorf("ack %d was not asked for", p.ackID))
		return false
	case q.answers[i] != 0:
		q.answered2++
		return false
	}
	q.lastAck = now.Sub(q.start)
	if !success {
		q.answers[i] = 2
		q.refused++
		if q.firstBad == nil {
			q.firstBad = fmt.Errorf("refused: %.300s", p.body)
		}
		return false
	}
	q.answers[i] = 1
	q.acked++
	if int(i) >= q.warm {
		q.ackTime.record(q.lastAck - q.plan.due(int(i)))
	}
	return true
}

func (q *requests) bad(err error) {
	q.unreadable++
	if q.firstBad == nil {
		q.firstBad = err
	}
}
