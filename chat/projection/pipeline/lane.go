package pipeline

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// lane is a queue of operations, run in batches by one goroutine.
type lane struct {
	pipeline *Pipeline
	wake     chan struct{} // something is there to be run

	mu      sync.Mutex
	waiting []Op
	timer   *time.Timer // wakes the lane for what came by SubmitLater
	armed   bool
	stopped bool

	// Of the running goroutine, kept between batches.
	taken []Op
	cmds  []redis.Cmder
	ends  []int // of each operation's commands, in cmds
}

func newLane(p *Pipeline) *lane {
	l := &lane{pipeline: p, wake: make(chan struct{}, 1)}
	l.timer = time.AfterFunc(time.Hour, l.signal)
	l.timer.Stop()
	return l
}

func (l *lane) signal() {
	select {
	case l.wake <- struct{}{}:
	default: // it has been told
	}
}

func (l *lane) submit(op Op, now bool) {
	l.mu.Lock()
	if l.stopped || len(l.waiting) >= queueLength {
		err := ErrDown
		if !l.stopped {
			err = fmt.Errorf("%w: queue full", ErrDown)
		}
		l.mu.Unlock()
		op.Done(err)
		return
	}
	l.waiting = append(l.waiting, op)
	if !now && !l.armed {
		l.armed = true
		l.timer.Reset(laterMax)
	}
	l.mu.Unlock()
	if now {
		l.signal()
	}
}

// take is everything that waits.
func (l *lane) take(last bool) []Op {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.armed {
		l.armed = false
		l.timer.Stop()
	}
	l.stopped = l.stopped || last
	l.taken, l.waiting = l.waiting, l.taken[:0]
	return l.taken
}

func (l *lane) run(ctx context.Context) error {
	work := context.WithoutCancel(ctx)
	for ended := false; !ended; {
		select {
		case <-l.wake:
		case <-ctx.Done():
			ended = true
		}
		// Requests come in bursts: the others of this one, ready to run by now, get
		// to add theirs, and a round trip carries all.
		runtime.Gosched()
		ops := l.take(ended)
		for at := 0; at < len(ops); at += batchMax {
			l.batch(work, ops[at:min(at+batchMax, len(ops))])
		}
		clear(ops) // they are not held until others take their place
	}
	return nil
}

func (l *lane) batch(ctx context.Context, ops []Op) {
	again := l.exec(ctx, ops, true)
	if len(again) == 0 {
		return
	}
	l.pipeline.load(ctx)
	l.exec(ctx, again, false)
}

// exec runs ops in one round trip and settles them, but for those that lacked a
// script when retry is set: these it returns.
func (l *lane) exec(ctx context.Context, ops []Op, retry bool) (again []Op) {
	ctx, cancel := context.WithTimeout(ctx, batchWait)
	defer cancel()
	l.cmds, l.ends = l.cmds[:0], l.ends[:0]
	for _, op := range ops {
		l.cmds = append(l.cmds, op.Commands()...)
		l.ends = append(l.ends, len(l.cmds))
	}
	for _, c := range l.cmds {
		c.SetErr(nil) // of an earlier run
	}
	pipe := l.pipeline.client.Pipeline()
	_ = pipe.BatchProcess(ctx, l.cmds...)
	_, _ = pipe.Exec(ctx) // each command holds its own error
	from := 0
	for i, op := range ops {
		bad := Worst(l.cmds[from:l.ends[i]])
		from = l.ends[i]
		if bad != nil && retry && redis.HasErrorPrefix(bad, "NOSCRIPT") {
			again = append(again, op)
			continue
		}
		op.Done(outcome(bad))
	}
	clear(l.cmds)
	return again
}
