package bench

import (
	"context"
	"fmt"
	"time"
)

// idleLoad is how many connections do nothing, and for how long.
type idleLoad struct {
	connections int
	inChats     bool          // each user is a member of one chat of two
	settle      time.Duration // before memory is read
	length      time.Duration // over which CPU is measured
}

// idlePace slows the reading loop down: heartbeats are all there is to read.
const idlePace = 5 * time.Millisecond

// idle connects, lets things settle, and measures what the connections cost.
func (b *bench) idle(ctx context.Context, s *system, l idleLoad) (result, error) {
	b.steps++
	chats, list, err := population(fmt.Sprintf("i%d", b.steps), (l.connections+1)/2, 2)
	if err != nil {
		return result{}, err
	}
	list = list[:l.connections]
	if l.inChats {
		if err := s.createChats(ctx, chats); err != nil {
			return result{}, err
		}
	}
	if err := wait(ctx, l.settle); err != nil {
		return result{}, err
	}
	before, err := s.hold(ctx)
	if err != nil {
		return result{}, err
	}
	t := newTally(b.wire, schedule{}, 0, 0, nil)
	cs, err := newClients(b.wire, len(list), idlePace, t)
	if err != nil {
		return result{}, err
	}
	defer cs.close()
	opened, err := s.measure(nil)
	if err != nil {
		return result{}, err
	}
	b.sayf("connecting %d clients", len(list))
	if err := cs.connect(ctx, s.addr, list); err != nil {
		return result{}, err
	}
	connected, err := s.measure(nil)
	if err != nil {
		return result{}, err
	}
	if err := wait(ctx, l.settle); err != nil {
		return result{}, err
	}
	from, err := s.measure(nil)
	if err != nil {
		return result{}, err
	}
	if err := wait(ctx, l.length); err != nil {
		return result{}, err
	}
	to, err := s.measure(nil)
	if err != nil {
		return result{}, err
	}
	after, err := s.hold(ctx)
	if err != nil {
		return result{}, err
	}
	r := result{Scenario: "idle", Target: b.options.Target, Profile: b.options.Profile, Durability: b.durability()}
	r.fillIdle(s, float64(l.connections), before, after, [...]usage{opened, connected, from, to})
	if err := cs.lostError(); err != nil {
		r.problemf("%v", err)
	}
	return r, nil
}

func (r *result) fillIdle(s *system, n float64, before, after holding, u [4]usage) {
	took := u[1].at.Sub(u[0].at).Seconds()
	window := u[3].at.Sub(u[2].at).Seconds()
	r.add("connections", "", n)
	r.add("connects", "/s", n/took)
	r.add(s.edge+" RSS per connection", "B", float64(after.memory[s.edge].rss-before.memory[s.edge].rss)/n)
	r.add(s.edge+" PSS per connection", "B", float64(after.memory[s.edge].pss-before.memory[s.edge].pss)/n)
	for _, g := range goStats {
		if v, ok := after.edge[g.metric]; ok {
			r.add(s.edge+" "+g.name+" per connection", g.unit, (v-before.edge[g.metric])/n)
		}
	}
	for _, name := range s.names() {
		r.add(name+" CPU per connect", "us", (u[1].cpu[name]-u[0].cpu[name]).Seconds()/n*1e6)
	}
	for _, name := range s.names() {
		r.add(name+" CPU per idle connection", "us/s", (u[3].cpu[name]-u[2].cpu[name]).Seconds()/window/n*1e6)
	}
	for _, name := range s.names() {
		r.add(name+" RSS before", "MB", float64(before.memory[name].rss)/1e6)
		r.add(name+" RSS after", "MB", float64(after.memory[name].rss)/1e6)
	}
}

// holding is what the processes hold at one moment.
type holding struct {
	memory map[string]memory
	edge   map[string]float64 // metrics of the process with the sockets
}

func (s *system) hold(ctx context.Context) (holding, error) {
	m, err := s.memories() // first: to be asked for metrics costs memory too
	if err != nil {
		return holding{}, err
	}
	edge, err := s.edgeMetrics(ctx)
	return holding{m, edge}, err
}

// wait sleeps unless ctx ends first.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
