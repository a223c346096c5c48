package deadline

import (
	"context"
	"sync"
	"time"
)

// Expirer is told that its entry fell due. Expire runs on the queue's goroutine, so it must not block: everything else that
// is due waits for it. It may call Set and Remove.
type Expirer interface{ Expire() }

// Entry is the place of one thing in a Queue; embed it. The zero value is not queued. An entry belongs to one queue.
type Entry struct {
	owner Expirer
	pos   int // index in the heap plus one; 0 means not queued
}

// slot keeps the due time beside the pointer, so that sifting does not touch the entries it passes by.
type slot struct {
	at    time.Duration // of Queue.Now
	entry *Entry
}

// Queue expires entries in the order in which they fall due. Its methods are safe for concurrent use.
type Queue struct {
	base        time.Time
	granularity time.Duration
	wake        chan struct{}

	mu    sync.Mutex
	heap  []slot
	sleep time.Duration // when Run wakes up by itself
}

// New returns a queue that wakes up at most once per granularity.
func New(granularity time.Duration) *Queue {
	return &Queue{base: time.Now(), granularity: granularity, wake: make(chan struct{}, 1)}
}

// Now is the queue's clock: monotonic, from an arbitrary start.
func (q *Queue) Now() time.Duration { return time.Since(q.base) }

// Set makes e fall due in d, instead of whenever it was due before; owner is then told.
func (q *Queue) Set(e *Entry, owner Expirer, d time.Duration) { q.SetAt(e, owner, q.Now()+d) }

// SetAt is Set with a time of the queue's clock.
func (q *Queue) SetAt(e *Entry, owner Expirer, at time.Duration) {
	q.mu.Lock()
	e.owner = owner
	if e.pos == 0 {
		q.heap = append(q.heap, slot{entry: e})
		e.pos = len(q.heap)
	}
	i := e.pos - 1
	q.heap[i].at = at
	if !q.up(i) {
		q.down(i)
	}
	early := at < q.sleep
	q.mu.Unlock()
	if early {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
}

// Remove makes e never fall due. An Expire call that has already begun is not waited for.
func (q *Queue) Remove(e *Entry) {
	q.mu.Lock()
	if e.pos != 0 {
		q.removeAt(e.pos - 1)
	}
	q.mu.Unlock()
}

// Len returns the number of queued entries.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.heap)
}

// Run serves the queue until ctx ends and returns nil. Only one Run may be active at a time.
func (q *Queue) Run(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var due []Expirer
	for ctx.Err() == nil {
		var wait time.Duration
		due, wait = q.takeDue(due[:0])
		for i, owner := range due {
			due[i] = nil
			owner.Expire()
		}
		if len(due) > 0 {
			continue // Expire may have set entries that are due by now
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-q.wake:
		case <-timer.C:
		}
	}
	return nil
}

// maxBatch bounds how many entries one takeDue hands out, so that its slice stays small for good.
const maxBatch = 1024

func (q *Queue) takeDue(due []Expirer) ([]Expirer, time.Duration) {
	now := q.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.heap) > 0 && q.heap[0].at <= now && len(due) < maxBatch {
		due = append(due, q.heap[0].entry.owner)
		q.removeAt(0)
	}
	wait := time.Hour
	if len(q.heap) > 0 {
		wait = max(q.heap[0].at-now, q.granularity)
	}
	q.sleep = now + wait
	return due, wait
}

func (q *Queue) removeAt(i int) {
	e := q.heap[i].entry
	last := len(q.heap) - 1
	if i != last {
		q.swap(i, last)
	}
	q.heap[last] = slot{}
	q.heap = q.heap[:last]
	if i != last && !q.up(i) {
		q.down(i)
	}
	e.pos, e.owner = 0, nil
}

func (q *Queue) swap(i, j int) {
	q.heap[i], q.heap[j] = q.heap[j], q.heap[i]
	q.heap[i].entry.pos, q.heap[j].entry.pos = i+1, j+1
}

func (q *Queue) up(i int) (moved bool) {
	for i > 0 {
		parent := (i - 1) / 2
		if q.heap[parent].at <= q.heap[i].at {
			break
		}
		q.swap(i, parent)
		i, moved = parent, true
	}
	return moved
}

func (q *Queue) down(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(q.heap); child++ {
			if q.heap[child].at < q.heap[least].at {
				least = child
			}
		}
		if least == i {
			return
		}
		q.swap(i, least)
		i = least
	}
}
