package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// bench is one invocation.
type bench struct {
	options *Options
	wire    wire
	steps   int // numbers users and chats, so that no step meets another's
}

// run builds the target, checks the machine, and repeats the scenario on a
// fresh system for each run.
func (o *Options) run(ctx context.Context, title string, connections int, scenario func(context.Context, *bench, *system) ([]result, error)) error {
	o.defaults()
	if err := within("runs", o.Runs, 1, 9); err != nil {
		return err
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read the descriptor limit: %w", err)
	}
	if err := checkDescriptors(limit.Cur, connections); err != nil {
		return err
	}
	b := &bench{options: o, wire: socketIO{}}
	if o.Profile == "ws" {
		b.wire = plain{}
	}
	t, err := o.target(ctx)
	if err != nil {
		return err
	}
	var runs [][]result
	for i := range o.Runs {
		b.sayf("run %d of %d", i+1, o.Runs)
		results, err := b.once(ctx, t, scenario)
		if err != nil {
			return err
		}
		runs = append(runs, results)
	}
	joined := joinRuns(runs)
	if o.JSON {
		return printJSON(o.Out, joined)
	}
	return printTable(o.Out, fmt.Sprintf("%s; target %s, profile %s, %s, median of %d", title, o.Target, o.Profile, b.durability(), o.Runs), joined)
}

func (o *Options) target(ctx context.Context) (target, error) {
	build, err := newBuilder(o.Root, o.Cache)
	if err != nil {
		return nil, err
	}
	if o.Target == "mesh" {
		return newMesh(ctx, build, o)
	}
	if o.Profile != "socketio" {
		return nil, errors.New("the stock Socket.IO server speaks only --profile socketio")
	}
	return newStockSocketIO(ctx, build)
}

// once starts the system, runs the scenario and stops the system.
func (b *bench) once(ctx context.Context, t target, scenario func(context.Context, *bench, *system) ([]result, error)) (results []result, err error) {
	s, err := t.start(ctx)
	if err != nil {
		return nil, err
	}
	s.keep = b.options.KeepLog
	defer func() {
		if s.keep {
			b.sayf("output of the processes: %s", s.dir)
		}
		err = errors.Join(err, s.stop())
	}()
	return scenario(s.ctx, b, s)
}

// each runs one step for each rate.
func (b *bench) each(ctx context.Context, s *system, l load, rates []float64) ([]result, error) {
	var results []result
	for _, rate := range rates {
		l.rate = rate
		r, err := b.step(ctx, s, l)
		if err != nil {
			return nil, fmt.Errorf("at %v msg/s: %w", rate, err)
		}
		b.said(r)
		results = append(results, r)
	}
	return results, nil
}

// search doubles the rate until it does not hold, then narrows the gap twice.
// The result is the highest rate that held and the lowest that did not.
func (b *bench) search(ctx context.Context, s *system, l load, from float64) ([]result, error) {
	var held, broke *result
	rate := from
	for range 12 {
		got, err := b.each(ctx, s, l, []float64{rate})
		if err != nil {
			return nil, err
		}
		if got[0].sustained() {
			held = &got[0]
		} else {
			broke = &got[0]
		}
		if rate = nextRate(held, broke); rate == 0 {
			break
		}
	}
	var results []result
	for _, r := range []*result{held, broke} {
		if r != nil {
			results = append(results, *r)
		}
	}
	return results, nil
}

// nextRate is what to try next, 0 when the answer is known to about 10 %.
func nextRate(held, broke *result) float64 {
	switch {
	case broke == nil:
		return held.Offered * 2
	case held == nil && broke.Offered <= 10:
		return 0
	case held == nil:
		return broke.Offered / 2
	case broke.Offered <= held.Offered*1.15:
		return 0
	}
	return (held.Offered + broke.Offered) / 2
}

// joinRuns takes the medians of the runs, step by step. Searches end at
// different rates: their columns are the medians of what held and what did not.
func joinRuns(runs [][]result) []result {
	var joined []result
	for i := range runs[0] {
		var same []result
		for _, run := range runs {
			if i < len(run) {
				same = append(same, run[i])
			}
		}
		joined = append(joined, medians(same))
	}
	return joined
}

// durability names what an ack of the target means.
func (b *bench) durability() string {
	switch {
	case b.options.Target != "mesh":
		return "nothing stored"
	case b.options.Fsync == "always":
		return "stored and fsynced before the ack"
	}
	return "stored before the ack (page cache)"
}

func (b *bench) sayf(format string, args ...any) {
	_, _ = fmt.Fprintf(b.options.Progress, format+"\n", args...) // what cannot be told is no reason to stop
}

// said tells a step's outcome while the rest still runs.
func (b *bench) said(r result) {
	acked, _ := r.value("acked")
	delivered, _ := r.value("delivered")
	p50, _ := r.value("ack p50")
	p99, _ := r.value("delivery p99")
	b.sayf("%s %s msg/s: acked %s/s, delivered %s/s, ack p50 %s ms, delivery p99 %s ms; %s",
		r.Scenario, short(r.Offered), short(acked), short(delivered), short(p50), short(p99), r.state())
}

// saidBurst is said for one part of a storm.
func (b *bench) saidBurst(r result) {
	acks, _ := r.value("acks")
	p99, _ := r.value("ack p99")
	last, _ := r.value("last ack")
	b.sayf("%s %s: acks %s/s, p99 %s ms, the last after %s ms; %s", r.Scenario, r.Step, short(acks), short(p99), short(last), r.state())
}

func (r *result) state() string {
	if r.sustained() {
		return "holds"
	}
	return "does not hold: " + strings.Join(r.Problems, "; ")
}
