package pipeline

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// ErrDown: Redis does not answer.
var ErrDown = errors.New("redis is down")

const (
	lanes       = 2 // round trips under way at once
	queueLength = 8192
	batchMax    = 256
	batchWait   = 500 * time.Millisecond // one batch's time-out
)

// Op is a few commands that belong together.
type Op struct {
	// Fill adds the commands; it may be called twice.
	Fill func(redis.Pipeliner)
	// Done is called exactly once, from the lane; it must not block. Errors of
	// Redis itself (not "nil") and of the connection are passed to it.
	Done func(error)

	from, to int
}

// Pipeline runs operations in lanes. Each function of Lanes must be running.
type Pipeline struct {
	client  redis.UniversalClient
	scripts []*redis.Script
	seed    maphash.Seed
	queues  [lanes]chan *Op
	stopped atomic.Bool
}

// New makes a pipeline; scripts are what its operations call by hash.
func New(client redis.UniversalClient, scripts ...*redis.Script) *Pipeline {
	p := &Pipeline{client: client, scripts: scripts, seed: maphash.MakeSeed()}
	for i := range p.queues {
		p.queues[i] = make(chan *Op, queueLength)
	}
	return p
}

// Submit queues an operation behind the others of its key. Done is called in
// any case, at once with ErrDown when the queue is full or the lanes have ended.
func (p *Pipeline) Submit(key string, op *Op) {
	if p.stopped.Load() {
		op.Done(ErrDown)
		return
	}
	select {
	case p.queues[maphash.String(p.seed, key)%lanes] <- op:
	default:
		op.Done(fmt.Errorf("%w: queue full", ErrDown))
	}
}

// Do submits and waits for the operation's end or ctx's. After ctx's end the
// commands' results must not be read.
func (p *Pipeline) Do(ctx context.Context, key string, fill func(redis.Pipeliner)) error {
	done := make(chan error, 1)
	p.Submit(key, &Op{Fill: fill, Done: func(err error) { done <- err }})
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Lanes is what must run for the pipeline to work, each until its context
// ends; what is queued then is still run.
func (p *Pipeline) Lanes() []func(context.Context) error {
	var out []func(context.Context) error
	for i := range p.queues {
		out = append(out, func(ctx context.Context) error { return p.lane(ctx, p.queues[i]) })
	}
	return out
}

func (p *Pipeline) lane(ctx context.Context, queue chan *Op) error {
	ops := make([]*Op, 0, batchMax)
	work := context.WithoutCancel(ctx)
	for {
		ops = ops[:0]
		select {
		case op := <-queue:
			ops = append(ops, op)
		case <-ctx.Done():
			p.stopped.Store(true)
			if len(queue) == 0 {
				return nil
			}
		}
		for len(ops) < batchMax && len(queue) > 0 {
			ops = append(ops, <-queue)
		}
		p.run(work, ops)
	}
}

func (p *Pipeline) run(ctx context.Context, ops []*Op) {
	again := p.exec(ctx, ops, true)
	if len(again) == 0 {
		return
	}
	// A restarted Redis has forgotten the scripts.
	loadCtx, cancel := context.WithTimeout(ctx, batchWait)
	defer cancel()
	for _, s := range p.scripts {
		if err := s.Load(loadCtx, p.client).Err(); err != nil {
			break // the operations say so themselves
		}
	}
	p.exec(ctx, again, false)
}

// exec runs ops in one round trip and settles them, but for those that lacked a
// script when retry is set: these it returns.
func (p *Pipeline) exec(ctx context.Context, ops []*Op, retry bool) (again []*Op) {
	ctx, cancel := context.WithTimeout(ctx, batchWait)
	defer cancel()
	pipe := p.client.Pipeline()
	for _, op := range ops {
		op.from = pipe.Len()
		op.Fill(pipe)
		op.to = pipe.Len()
	}
	cmds, _ := pipe.Exec(ctx) // each command holds its own error
	for _, op := range ops {
		bad := Worst(cmds[op.from:op.to])
		if bad != nil && retry && redis.HasErrorPrefix(bad, "NOSCRIPT") {
			again = append(again, op)
			continue
		}
		var answered redis.Error
		if bad != nil && !errors.As(bad, &answered) {
			bad = fmt.Errorf("%w: %w", ErrDown, bad)
		}
		op.Done(bad)
	}
	return again
}

// Worst is the first error that is not "nil", an error of the connection first.
func Worst(cmds []redis.Cmder) (bad error) {
	for _, c := range cmds {
		err := c.Err()
		if err == nil || errors.Is(err, redis.Nil) {
			continue
		}
		var answered redis.Error
		if !errors.As(err, &answered) {
			return err
		}
		if bad == nil {
			bad = err
		}
	}
	return bad
}
