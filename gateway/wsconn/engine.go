package wsconn

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Engine runs the connections of one process: the flushers that write, and the poller that idle connections wait in.
type Engine struct {
	cfg    Config
	start  time.Time // connections count time in nanoseconds from here
	shards []*shard
	poller *poller // nil: every connection reads in a goroutine of its own
	queues sync.Pool
	kits   sync.Pool

	mu       sync.Mutex // guards what follows
	running  bool
	stopped  bool
	registry registry

	conns  sync.WaitGroup // open connections, each with its reader
	loops  sync.WaitGroup // flushers, poller and its workers
	drains sync.WaitGroup // goroutines that write to a full socket
}

// New checks the configuration and makes an Engine for Run. Connections may be accepted before Run has been called; they are
// read and written once it has.
func New(cfg Config) (*Engine, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	e := &Engine{cfg: cfg, start: time.Now()}
	e.queues.New = func() any { return &batch{frames: make([]*Frame, 0, batchFrames)} }
	e.kits.New = func() any { return newKit() }
	for range cfg.Shards {
		e.shards = append(e.shards, newShard(e))
	}
	if cfg.Poller {
		e.poller, err = newPoller(e)
		if err != nil {
			return nil, fmt.Errorf("make the poller: %w", err)
		}
	}
	return e, nil
}

// Run serves the connections until ctx ends; then it aborts those that are left with ErrStopped and returns when all of them,
// and every goroutine, have ended. It can be called once.
func (e *Engine) Run(ctx context.Context) error {
	e.mu.Lock()
	if e.running {
		e.mu.Unlock()
		return errors.New("wsconn: engine has been run before")
	}
	e.running = true
	e.mu.Unlock()

	stop := make(chan struct{})
	for _, s := range e.shards {
		e.loops.Go(func() { s.run(stop) })
	}
	if e.poller != nil {
		e.loops.Go(e.poller.run)
	}
	<-ctx.Done()

	e.mu.Lock()
	e.stopped = true
	open := e.registry.all()
	e.mu.Unlock()
	for _, c := range open {
		c.Abort(ErrStopped)
	}
	// In this order nobody is counted after the count was waited for: connections use all, loops start drains.
	e.conns.Wait()
	close(stop)
	if e.poller != nil {
		e.poller.stop()
	}
	e.loops.Wait()
	e.drains.Wait()
	return nil
}

// Stats counts what an Engine has done since it was made.
type Stats struct {
	Connections int    // open now
	Frames      uint64 // written by the flushers
	Writes      uint64 // system calls it took; fewer than Frames when frames shared one
}

// Stats adds up the shards. Frames written to full sockets and over TLS are not in it.
func (e *Engine) Stats() Stats {
	var s Stats
	e.mu.Lock()
	s.Connections = len(e.registry.conns) - len(e.registry.free)
	e.mu.Unlock()
	for _, shard := range e.shards {
		s.Frames += shard.frames.Load()
		s.Writes += shard.writes.Load()
	}
	return s
}

// now is the time since the Engine was made, in nanoseconds.
func (e *Engine) now() int64 { return int64(time.Since(e.start)) }

func (e *Engine) register(c *Conn) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped {
		return ErrStopped
	}
	e.conns.Add(1)
	e.registry.add(c)
	c.shard = e.shards[int(c.slot)%len(e.shards)]
	return nil
}

func (e *Engine) unregister(c *Conn) {
	e.mu.Lock()
	e.registry.remove(c)
	e.mu.Unlock()
	e.conns.Done()
}

// registry numbers the open connections. A number is given again, but never with the same generation, so that an event which
// was under way for a connection that has gone cannot reach its successor.
type registry struct {
	conns       []*Conn
	generations []uint32
	free        []uint32
}

func (r *registry) add(c *Conn) {
	if n := len(r.free); n > 0 {
		c.slot = r.free[n-1]
		r.free = r.free[:n-1]
	} else {
		c.slot = uint32(len(r.conns)) // far fewer connections than that
		r.conns = append(r.conns, nil)
		r.generations = append(r.generations, 0)
	}
	r.conns[c.slot] = c
}

func (r *registry) remove(c *Conn) {
	r.conns[c.slot] = nil
	r.generations[c.slot]++
	r.free = append(r.free, c.slot)
}

// find returns nil if the connection that had this number and generation has gone.
func (r *registry) find(slot, generation uint32) *Conn {
	if int(slot) >= len(r.conns) || r.generations[slot] != generation {
		return nil
	}
	return r.conns[slot]
}

func (r *registry) all() []*Conn {
	open := make([]*Conn, 0, len(r.conns)-len(r.free))
	for _, c := range r.conns {
		if c != nil {
			open = append(open, c)
		}
	}
	return open
}
