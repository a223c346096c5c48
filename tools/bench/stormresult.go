package bench

import (
	"maps"
	"math"
	"slices"
	"time"

	"supmesh.dev/proto"
)

// maxAuthorRate is how many events of one kind within a second are too many for
// an author: one a second is promised, and two may meet in one.
const maxAuthorRate = 2

// maxShown is how many typists a viewer is to be shown at once: the gateway's
// bound, and not its constant, which would move with it.
const maxShown = 50

// ms is a duration as figures show it.
func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// fillEach adds when the last member had a message, over the measured messages.
func (r *result) fillEach(l load, t *tally) {
	var last []float64
	for i := t.warm; i < len(t.lastAt); i++ {
		last = append(last, ms(t.lastAt[i]-t.plan.due(i)))
	}
	r.add("last member p50", "ms", median(last)) // sorts
	r.add("last member p99", "ms", last[(len(last)*99+99)/100-1])
	r.add("last member max", "ms", last[len(last)-1])
	r.add("deliveries in a burst", "/s", float64(l.members-1)/median(last)*1000)
}

// fillBurst adds what every burst has.
func (r *result) fillBurst(s *system, q *burst, m part) {
	r.add("requests", "", float64(m.sent))
	r.add("sent within", "ms", m.lag.quantile(100)+ms(q.plan.due(q.plan.count)))
	r.add("acked", "", float64(q.acked))
	r.add("refused", "", float64(q.refused))
	if q.lastAck > 0 {
		r.add("acks", "/s", float64(q.acked)/q.lastAck.Seconds())
	}
	r.add("ack p50", "ms", q.ackTime.quantile(50))
	r.add("ack p99", "ms", q.ackTime.quantile(99))
	r.add("last ack", "ms", ms(q.lastAck))
	took := m.acked.at.Sub(m.from.at).Seconds()
	var total time.Duration
	for _, name := range s.names() {
		r.add(name+" CPU", "cores", (m.acked.cpu[name]-m.from.cpu[name]).Seconds()/took)
	}
	for _, name := range s.names() {
		used := m.to.cpu[name] - m.from.cpu[name]
		total += used
		r.add(name+" CPU per request", "us", used.Seconds()/float64(m.sent)*1e6)
	}
	r.add("all CPU per request", "us", total.Seconds()/float64(m.sent)*1e6)
	for _, name := range s.names() {
		r.add(name+" RSS", "MB", float64(m.memory[name].rss)/1e6)
	}
	if m.lost != nil {
		r.problemf("%v", m.lost)
	}
	q.judge(r, q.event, m.sending)
	if lag := m.lag.quantile(99); !math.IsInf(q.plan.rate, 1) && lag > ms(lateSends) {
		r.problemf("the load tool sent late (p99 %.0f ms): it had no CPU", lag)
	}
}

// fillReceipts is the result of one kind of receipts.
func (r *result) fillReceipts(s *system, k *crowd, kind int, m part) {
	q, all := k.marks[kind], &k.author[kind]
	h := all.until(m.to.at)
	r.fillBurst(s, q, m)
	r.add("events to the author", "", float64(len(h.at)))
	r.add("most in a second", "", float64(all.densest()))
	r.add("receipts in them", "", float64(h.total()))
	if at, ok := h.knows(q.acked); ok {
		r.add("author knows all", "ms", ms(at.Sub(q.start)))
	} else if q.acked > 0 {
		r.problemf("the author heard of %d of %d receipts", h.total(), q.acked)
	}
	if most := all.densest(); most > maxAuthorRate {
		r.problemf("the author got %d events within a second", most)
	}
	if n := k.stray[q.event]; n > 0 {
		r.problemf("%d %s at members who are not the author", n, q.event)
	}
}

// fillTyping is the result of the typing, with what is of the chat as a whole.
func (r *result) fillTyping(s *system, k *crowd, m part, a audit) {
	r.fillBurst(s, k.typing, m)
	told := k.typing.acked - k.typing.coalesced
	r.add("told", "", float64(told))
	if k.typing.acked > 0 {
		r.add("coalesced", "%", float64(k.typing.coalesced)/float64(k.typing.acked)*100)
	}
	var typed, stops []float64
	most, still, nothing := 0, 0, 0
	for i := range k.viewers {
		v := &k.viewers[i]
		typed, stops = append(typed, float64(v.typing)), append(stops, float64(v.stops))
		most = max(most, v.most)
		still += len(v.shown)
		if v.typing == 0 {
			nothing++
		}
	}
	r.add("message:typing a viewer", "", median(typed)) // sorts
	r.add("message:typing a viewer, least", "", slices.Min(typed))
	r.add("message:typing a viewer, most", "", slices.Max(typed))
	r.add("stop-typing a viewer", "", median(stops))
	r.add("stop-typing a viewer, least", "", slices.Min(stops))
	r.add("stop-typing a viewer, most", "", slices.Max(stops))
	r.add("shown at once, most", "", float64(most))
	r.add("message:typing delivered", "/s", k.typed.rate())
	r.add("stop-typing delivered", "/s", k.stopped.rate())
	r.add("longest indicator", "ms", ms(k.longest))
	r.add("last join ack", "ms", ms(k.joins.lastAck))
	r.add("member-joined to viewers", "", float64(k.joined))
	if most > maxShown {
		r.problemf("a viewer was shown %d typists at once", most)
	}
	if nothing > 0 {
		r.problemf("%d viewers were shown nobody", nothing)
	}
	if still > 0 {
		r.problemf("%d indicators did not end", still)
	}
	if k.late > 0 {
		r.problemf("%d indicators lived longer than %v", k.late, k.ends)
	}
	for _, name := range slices.Sorted(maps.Keys(k.stray)) {
		// To have been added to the chat of the run is news of its own.
		if name != k.marks[0].event && name != k.marks[1].event && name != proto.NotificationEvent.Name {
			r.problemf("%d %s at members whom it does not concern", k.stray[name], name)
		}
	}
	k.joins.judge(r, k.joins.event, sending{sent: k.joins.plan.count})
	k.requests.judge(r, "messages", sending{sent: k.requests.plan.count})
	r.judgeDeliveries(a)
}
