package pipeline

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
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
	// laterMax is how long an operation that nobody waits for may wait for
	// company: most then cost no round trip of their own.
	laterMax = time.Millisecond
)

// Op is a few commands that belong together.
type Op interface {
	// Commands are run in their order, and may be run twice.
	Commands() []redis.Cmder
	// Done is called exactly once, from the lane or from Submit; it must not
	// block. Errors of Redis itself (not "nil") and of the connection are passed
	// to it. The operation is not touched any more once it is called.
	Done(err error)
}

// Pipeline runs operations in lanes. Each function of Lanes must be running.
type Pipeline struct {
	client  redis.UniversalClient
	scripts []*redis.Script
	seed    maphash.Seed
	lanes   [lanes]*lane
}

// New makes a pipeline; scripts are what its operations call by hash.
func New(client redis.UniversalClient, scripts ...*redis.Script) *Pipeline {
	p := &Pipeline{client: client, scripts: scripts, seed: maphash.MakeSeed()}
	for i := range p.lanes {
		p.lanes[i] = newLane(p)
	}
	return p
}

// Submit queues an operation behind the others of its key. Done is called in
// any case, at once with ErrDown when the queue is full or the lanes have ended.
func (p *Pipeline) Submit(key string, op Op) { p.lane(key).submit(op, true) }

// SubmitLater is Submit for an operation that nobody waits for: it goes with the
// next one of its lane, or after laterMax.
func (p *Pipeline) SubmitLater(key string, op Op) { p.lane(key).submit(op, false) }

func (p *Pipeline) lane(key string) *lane { return p.lanes[maphash.String(p.seed, key)%lanes] }

// Do submits commands and waits for their end or ctx's. After ctx's end their
// results must not be read.
func (p *Pipeline) Do(ctx context.Context, key string, cmds ...redis.Cmder) error {
	op := &call{cmds: cmds, done: make(chan error, 1)}
	p.Submit(key, op)
	select {
	case err := <-op.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// call is an operation somebody waits for.
type call struct {
	cmds []redis.Cmder
	done chan error
}

func (c *call) Commands() []redis.Cmder { return c.cmds }
func (c *call) Done(err error)          { c.done <- err }

// Lanes is what must run for the pipeline to work, each until its context
// ends; what is queued then is still run.
func (p *Pipeline) Lanes() []func(context.Context) error {
	var out []func(context.Context) error
	for _, l := range p.lanes {
		out = append(out, l.run)
	}
	return out
}

// load gives Redis the scripts: one that has been restarted has forgotten them.
func (p *Pipeline) load(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, batchWait)
	defer cancel()
	for _, s := range p.scripts {
		if err := s.Load(ctx, p.client).Err(); err != nil {
			return // the operations say so themselves
		}
	}
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

// outcome is what an operation is told of its commands' worst error.
func outcome(bad error) error {
	if bad == nil {
		return nil
	}
	var answered redis.Error
	if errors.As(bad, &answered) {
		return bad
	}
	return fmt.Errorf("%w: %w", ErrDown, bad)
}
