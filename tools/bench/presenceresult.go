package bench

import (
	"slices"
	"time"

	"supmesh.dev/proto"
)

const (
	// renewed is how often a gateway renews its lease, and so how much earlier
	// than its death its users may be said to have been seen last.
	renewed = 10 * time.Second
	// mostOffline is how many users may be shown offline in a second, with what
	// two seconds may share.
	mostOffline = 2 * 2000
)

// fillRest adds what everybody costs who does nothing.
func (r *result) fillRest(l presenceLoad, m *restful) {
	n := float64(l.users)
	window := m.to.at.Sub(m.from.at)
	r.add("users", "", n)
	r.add("observers of each", "", float64(l.observers))
	r.add("connects", "/s", n/m.took.Seconds())
	r.add("Redis commands per connect", "", m.perConnect/n)
	r.add("Redis commands, nobody there", "/min", m.minute)
	r.add("Redis commands at rest", "/min", m.rest/window.Minutes())
	r.add("per connection", "/min", m.rest/window.Minutes()/n)
	r.add("per connection, beyond nobody there", "/min", (m.rest/window.Minutes()-m.minute)/n)
	for _, name := range m.names {
		r.add(name+" CPU", "cores", (m.to.cpu[name]-m.from.cpu[name]).Seconds()/window.Seconds())
	}
	for _, name := range m.names {
		r.add(name+" RSS", "MB", float64(m.memory[name].rss)/1e6)
	}
}

// judgeStates compares what the acks of a round said with what is true.
func (r *result) judgeStates(k *watch, round int, want func(user int) proto.Status) {
	wrong := map[proto.Status]int{}
	for _, p := range k.states[round] {
		if user, known := k.users[p.UserID]; !known || p.Status != want(user) {
			wrong[p.Status]++
		}
	}
	for status, n := range wrong {
		r.problemf("%d users are %s in the acks, and should not be", n, status)
	}
	if k.denied[round] > 0 {
		r.problemf("%d users were denied", k.denied[round])
	}
	asked := 0
	for _, c := range k.calls {
		asked += len(c.users)
	}
	if got := len(k.states[round]); got != asked {
		r.problemf("the acks tell of %d users, not of %d", got, asked)
	}
}

// fillDeath adds what the observers saw of the death of a gateway.
func (r *result) fillDeath(s *system, l presenceLoad, k *watch, d death) {
	var offline span
	var ends heard
	var errors []float64 // of last seen, ms
	shown := make([]int, l.users)
	returned, others, again := 0, 0, 0
	for _, e := range k.heard {
		switch {
		case e.at.Before(d.killed):
			if e.status != proto.StatusOnline {
				others++
			}
		case e.status != proto.StatusOffline:
			others++
		case returns(e.user):
			returned++
		default:
			if shown[e.user]++; shown[e.user] > l.observers {
				again++
			}
			offline.add(e.at)
			ends.add(e.at, 1)
			errors = append(errors, float64(d.killed.UnixMilli()-e.lastSeen))
		}
	}
	missing := 0
	for user, n := range shown {
		if !returns(user) && n < l.observers {
			missing++
		}
	}
	took := d.to.at.Sub(d.from.at).Seconds()
	r.add("returned", "", float64(d.returned))
	r.add("returned within", "s", d.back.Seconds())
	r.add("events of those who returned: offline", "", float64(returned))
	r.add("offline events", "", float64(offline.n))
	if offline.n > 0 {
		slices.Sort(errors)
		r.add("first offline after", "s", offline.first.Sub(d.killed).Seconds())
		r.add("last offline after", "s", offline.last.Sub(d.killed).Seconds())
		r.add("most offline in a second", "", float64(ends.densest()))
		r.add("last seen before the death, p50", "ms", errors[len(errors)/2])
		r.add("last seen before the death, most", "ms", errors[len(errors)-1])
		r.add("last seen before the death, least", "ms", errors[0])
	}
	r.add("Redis commands per user", "", d.commands/float64(l.users))
	for _, name := range s.names() {
		r.add(name+" CPU", "cores", (d.to.cpu[name]-d.from.cpu[name]).Seconds()/took)
	}
	r.judgeDeath(l, k, returned, others, again, missing)
	if offline.n > 0 {
		r.judgeLastSeen(l, d, offline, ends.densest(), errors)
	}
}

func (r *result) judgeDeath(l presenceLoad, k *watch, returned, others, again, missing int) {
	for _, c := range []struct {
		n    int
		what string
	}{
		{returned, "times was one shown offline who returned"},
		{others, "times was one shown as neither online before nor offline after"},
		{again, "times was one shown offline again"},
		{missing, "users were not shown offline to everybody within " + l.limit.String()},
	} {
		if c.n > 0 {
			r.problemf("%d %s", c.n, c.what)
		}
	}
	if k.wrong != nil {
		r.problemf("first: %v", k.wrong)
	}
}

func (r *result) judgeLastSeen(l presenceLoad, d death, offline span, densest int, errors []float64) {
	if took := offline.last.Sub(d.killed); took > l.limit {
		r.problemf("the last was shown offline after %.1f s, not within %v", took.Seconds(), l.limit)
	}
	if most := mostOffline * l.observers; densest > most {
		r.problemf("%d offline events within a second", densest)
	}
	slack := ms(time.Second)
	if errors[0] < -slack || errors[len(errors)-1] > ms(renewed)+slack {
		r.problemf("last seen is between %.0f ms after and %.0f ms before the death", -errors[0], errors[len(errors)-1])
	}
}
