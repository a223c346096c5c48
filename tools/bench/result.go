package bench

import (
	"fmt"
	"strings"
	"time"
)

// figure is one measured value.
type figure struct {
	Name  string  `json:"name"`
	Unit  string  `json:"unit"`
	Value float64 `json:"value"`
}

// result is one row of measurements, or the medians of several.
type result struct {
	Scenario   string   `json:"scenario"`
	Step       string   `json:"step,omitzero"` // which part of a scenario that has several
	Target     string   `json:"target"`
	Profile    string   `json:"profile"`
	Durability string   `json:"durability"`
	Offered    float64  `json:"offered,omitzero"` // messages per second
	Runs       int      `json:"runs,omitzero"`
	Problems   []string `json:"problems,omitzero"` // why the rate does not count as sustained
	Figures    []figure `json:"figures"`
}

func (r *result) add(name, unit string, value float64) {
	r.Figures = append(r.Figures, figure{name, unit, value})
}

func (r *result) problemf(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

// lateSends is the p99 lag of the sender from which on the load tool itself,
// and not the server, is what was measured.
const lateSends = 20 * time.Millisecond

// fill computes the figures of a step.
func (r *result) fill(s *system, l load, t *tally, m measurement, a audit, lost error) {
	window := m.to.at.Sub(m.from.at).Seconds()
	stored := float64(m.to.stored-m.from.stored) / window
	delivered := float64(m.to.delivered - m.from.delivered)
	edge := (m.to.cpu[s.edge] - m.from.cpu[s.edge]).Seconds()

	r.add("offered", "msg/s", l.rate)
	r.add("acked", "msg/s", stored)
	r.add("delivered", "/s", delivered/window)
	r.add("ack p50", "ms", t.ackTime.quantile(50))
	r.add("ack p99", "ms", t.ackTime.quantile(99))
	r.add("ack p99.9", "ms", t.ackTime.quantile(99.9))
	r.add("delivery p50", "ms", t.deliveryTime.quantile(50))
	r.add("delivery p99", "ms", t.deliveryTime.quantile(99))
	r.add("delivery p99.9", "ms", t.deliveryTime.quantile(99.9))
	if l.each {
		r.fillEach(l, t)
	}
	if edge > 0 {
		r.add("deliveries per "+s.edge+" CPU-s", "", delivered/edge)
	}
	r.addCPU(s, m, window, delivered)
	for _, name := range s.names() {
		r.add(name+" RSS", "MB", float64(m.memory[name].rss)/1e6)
	}
	if t.delivered > 0 {
		r.add("delivered frame", "B", float64(t.deliveredBytes)/float64(t.delivered))
	}
	r.add("send lag p99", "ms", m.lag.quantile(99))
	r.add("decoded in full", "", float64(t.decoded))
	r.judge(l, t, m, a, lost)
}

func (r *result) addCPU(s *system, m measurement, window, delivered float64) {
	var total float64
	for _, name := range s.names() {
		used := (m.to.cpu[name] - m.from.cpu[name]).Seconds()
		total += used
		r.add(name+" CPU", "cores", used/window)
	}
	r.add("all CPU", "cores", total/window)
	if acked := float64(m.to.stored - m.from.stored); acked > 0 {
		r.add("all CPU per message", "us", total/acked*1e6)
	}
	if delivered > 0 {
		r.add("all CPU per delivery", "us", total/delivered*1e6)
	}
}

// judge names everything that was not as it must be.
func (r *result) judge(l load, t *tally, m measurement, a audit, lost error) {
	if lost != nil {
		r.problemf("%v", lost)
	}
	t.requests.judge(r, "messages", m.sending)
	r.judgeDeliveries(a)
	if p99 := t.deliveryTime.quantile(99); p99 > float64(l.limit.Milliseconds()) {
		r.problemf("delivery p99 %.0f ms is over %v", p99, l.limit)
	}
	if lag := m.lag.quantile(99); lag > float64(lateSends.Milliseconds()) {
		r.problemf("the load tool sent late (p99 %.0f ms): it had no CPU", lag)
	}
}

// judge names the requests that were not acked once and with success.
func (q *requests) judge(r *result, what string, m sending) {
	if m.unsent > 0 {
		r.problemf("%d of %d %s could not be written", m.unsent, m.sent, what)
	}
	if q.refused > 0 {
		r.problemf("%d %s refused", q.refused, what)
	}
	if open := int64(m.sent-m.unsent) - q.acked - q.refused; open > 0 {
		r.problemf("%d %s without an ack", open, what)
	}
	if q.answered2 > 0 {
		r.problemf("%d acks repeated", q.answered2)
	}
	if q.unreadable > 0 {
		r.problemf("%d frames not as sent", q.unreadable)
	}
	if q.firstBad != nil {
		r.problemf("first: %v", q.firstBad)
	}
}

// judgeDeliveries names what the receivers did not get once and in order.
func (r *result) judgeDeliveries(a audit) {
	for _, c := range []struct {
		n    uint64
		what string
	}{
		{a.missing, "deliveries missing"}, {a.repeated, "deliveries repeated"}, {a.disordered, "deliveries out of order"},
	} {
		if c.n > 0 {
			r.problemf("%d %s", c.n, c.what)
		}
	}
}

// sustained says whether the step is a rate the system holds.
func (r *result) sustained() bool { return len(r.Problems) == 0 }

// medians joins the runs of one step, figure by figure.
func medians(runs []result) result {
	joined := runs[0]
	joined.Runs, joined.Figures, joined.Problems = len(runs), nil, nil
	for _, f := range runs[0].Figures {
		var values []float64
		for _, r := range runs {
			if v, ok := r.value(f.Name); ok {
				values = append(values, v)
			}
		}
		joined.add(f.Name, f.Unit, median(values))
	}
	if offered, ok := joined.value("offered"); ok {
		joined.Offered = offered
	}
	for i, r := range runs {
		if len(r.Problems) > 0 {
			joined.problemf("run %d: %s", i+1, strings.Join(r.Problems, "; "))
		}
	}
	return joined
}

func (r *result) value(name string) (float64, bool) {
	for _, f := range r.Figures {
		if f.Name == name {
			return f.Value, true
		}
	}
	return 0, false
}
