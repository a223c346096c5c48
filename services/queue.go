package services

import (
	"sync"
)

// job is one accepted request.
type job interface{ run() }

// queue runs jobs by at most `workers` goroutines: jobs of one key one after
// the other in the order of arrival, different keys side by side. A key is
// known only while it has jobs, and a slow key holds up nobody but itself,
// which a fixed shard per key would not give.
type queue struct {
	workers, maxPending int
	start               func(func()) // runs a worker

	mu      sync.Mutex
	wake    *sync.Cond
	lanes   map[string]*lane
	ready   []*lane // those with a job that may run now, oldest first
	head    int     // of ready
	free    []*lane
	alive   int // workers
	idle    int // of them, waiting
	pending int // jobs accepted and not finished
	closed  bool
}

// lane is the jobs of one key.
type lane struct {
	key  string
	jobs []job
}

func newQueue(workers, maxPending int, start func(func())) *queue {
	q := &queue{workers: workers, maxPending: maxPending, start: start, lanes: make(map[string]*lane)}
	q.wake = sync.NewCond(&q.mu)
	return q
}

// push accepts a job, or says no at once when too many are pending. The empty
// key stands for no order.
func (q *queue) push(key string, j job) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.pending >= q.maxPending || q.closed {
		return false
	}
	q.pending++
	if key != "" {
		if l, busy := q.lanes[key]; busy {
			l.jobs = append(l.jobs, j)
			return true
		}
	}
	l := q.newLane(key)
	l.jobs = append(l.jobs, j)
	if key != "" {
		q.lanes[key] = l
	}
	q.ready = append(q.ready, l)
	switch {
	// One who has been woken counts as idle until it runs: what is ready is as
	// many as are needed.
	case q.idle >= len(q.ready)-q.head:
		q.wake.Signal()
	case q.alive < q.workers:
		q.alive++
		q.start(q.work)
	}
	return true
}

// startOne starts a worker before there is a job.
func (q *queue) startOne() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.alive++
	q.start(q.work)
}

func (q *queue) newLane(key string) *lane {
	if n := len(q.free); n > 0 {
		l := q.free[n-1]
		q.free = q.free[:n-1]
		l.key = key
		return l
	}
	return &lane{key: key}
}

func (q *queue) work() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		for q.head == len(q.ready) {
			if q.closed {
				q.alive--
				return
			}
			q.idle++
			q.wake.Wait()
			q.idle--
		}
		l := q.next()
		j := l.jobs[0]
		q.mu.Unlock()
		j.run()
		q.mu.Lock()
		q.pending--
		q.done(l)
	}
}

func (q *queue) next() *lane {
	l := q.ready[q.head]
	q.ready[q.head] = nil
	if q.head++; q.head == len(q.ready) {
		q.ready, q.head = q.ready[:0], 0
	} else if q.head > 1024 && q.head > len(q.ready)/2 {
		n := copy(q.ready, q.ready[q.head:])
		clear(q.ready[n:])
		q.ready, q.head = q.ready[:n], 0
	}
	return l
}

// done puts a lane with more jobs behind the others, so that a busy key does
// not starve them.
func (q *queue) done(l *lane) {
	n := copy(l.jobs, l.jobs[1:])
	l.jobs[n] = nil
	l.jobs = l.jobs[:n]
	if n > 0 {
		q.ready = append(q.ready, l)
		if q.idle > 0 {
			q.wake.Signal()
		}
		return
	}
	if l.key != "" {
		delete(q.lanes, l.key)
	}
	if cap(l.jobs) <= 64 && len(q.free) < 256 {
		l.key = ""
		q.free = append(q.free, l)
	}
}

// close lets the workers end after what is pending.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.wake.Broadcast()
}

func (q *queue) depth() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.pending
}
