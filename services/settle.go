package services

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"supmesh.dev/proto"
)

// spread is the part of a pause by which it is lengthened or shortened at random,
// where the queue says so: what failed together must not come again together.
const spread = 0.2

// giveBack is when a job of a host that stops is somebody else's: by then the
// server knows that this host takes none any more, and does not count it twice.
const giveBack = 250 * time.Millisecond

// headerTries is how often a job was tried before it was stored anew.
const headerTries = "Sup-Tries"

// headerJob is the sequence at which a job was first stored, where it is stored anew.
const headerJob = "Sup-Job"

// settle tells the queue what became of a job.
func (w *worker) settle(ctx context.Context, m jetstream.Msg, tries int, err error) (outcome string, settled error) {
	var later *Later
	var hopeless *Hopeless
	switch {
	case err == nil:
		return "done", m.Ack()
	case errors.Is(err, ErrMalformed):
		w.host.log.Error("malformed job", "queue", w.queue.Name, "error", err)
		return "malformed", m.TermWithReason("malformed")
	case errors.As(err, &hopeless):
		return "dead", w.bury(ctx, m, err)
	case errors.As(err, &later) && later.Free:
		return "later", w.wait(ctx, m, tries-1, later.After)
	case ctx.Err() != nil: // the host stops: somebody else's
		return "later", m.NakWithDelay(giveBack)
	case tries >= w.queue.MaxDeliver:
		return "dead", w.bury(ctx, m, err)
	case later != nil:
		if w.aside {
			return "later", w.wait(ctx, m, tries, later.After)
		}
		return "later", m.NakWithDelay(later.After)
	}
	delay := w.backoff(tries)
	w.host.log.Warn("job failed", "queue", w.queue.Name, "tries", tries, "again", delay, "error", err)
	if w.aside {
		return "later", w.wait(ctx, m, tries, delay)
	}
	return "later", m.NakWithDelay(delay)
}

// backoff is the pause after a failed try.
func (w *worker) backoff(tries int) time.Duration {
	delay := min(firstRetry<<min(tries-1, 16), w.longest)
	if w.spread > 0 {
		delay += time.Duration((2*rand.Float64() - 1) * w.spread * float64(delay))
	}
	return delay
}

// tries is how often a job has been tried, with this time.
func (w *worker) tries(m jetstream.Msg) int {
	tries := 1
	if meta, err := m.Metadata(); err == nil {
		tries = int(min(meta.NumDelivered, 1<<20))
	}
	if before, err := strconv.Atoi(m.Headers().Get(headerTries)); err == nil && before > 0 {
		tries += before
	}
	return tries
}

// identity is what a job is known by, however often it is stored anew; empty where
// that cannot be told.
func identity(m jetstream.Msg) string {
	if first := m.Headers().Get(headerJob); first != "" {
		return first
	}
	meta, err := m.Metadata()
	if err != nil {
		return ""
	}
	return strconv.FormatUint(meta.Sequence.Stream, 10)
}

// wait takes a job out of the queue until a pause is over. What it is known by and how
// often it has been tried go with it: the queue counts anew. Where that cannot be
// stored, or the answer is lost, or the instance dies before the end, the job stays in
// the queue as well: it may be done twice, and is one again where both wait.
func (w *worker) wait(ctx context.Context, m jetstream.Msg, tries int, after time.Duration) error {
	job := identity(m)
	if job == "" {
		return m.NakWithDelay(after)
	}
	name, err := proto.EncodeID("again-" + w.queue.Name + "-" + job)
	if err != nil {
		return fmt.Errorf("name of a timer: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	header := nats.Header{headerTries: {strconv.Itoa(tries)}, headerJob: {job}}
	if err := w.host.schedule(ctx, proto.Timer(serviceOf(w.queue), name), w.queue, w.host.Now().Add(after), m.Data(), header); err != nil {
		w.host.log.Warn("job waits in the queue", "queue", w.queue.Name, "error", err)
		return m.NakWithDelay(after)
	}
	return m.Ack()
}

// serviceOf is the service that a queue belongs to.
func serviceOf(q proto.Queue) string {
	parts := strings.SplitN(q.Subject, ".", 3)
	return parts[min(1, len(parts)-1)]
}

// bury keeps a job that could not be done where somebody may look at it.
func (w *worker) bury(ctx context.Context, m jetstream.Msg, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	w.host.log.Error("job given up", "queue", w.queue.Name, "dead", w.queue.Dead, "error", cause)
	letter := &nats.Msg{Subject: w.queue.Dead, Data: m.Data(), Header: nats.Header{proto.HeaderDeadReason: {oneLine(cause)}}}
	var once []jetstream.PublishOpt
	// A second burial makes no second letter, also where the job waited in between
	// (within proto.Work.Dedup): an instance may die behind the first.
	if job := identity(m); job != "" {
		once = append(once, jetstream.WithMsgID("dead:"+w.queue.Name+":"+job))
	}
	if _, err := w.host.js.PublishMsg(ctx, letter, once...); err != nil {
		return fmt.Errorf("bury: %w", err)
	}
	if hopeless := new(Hopeless); errors.As(cause, &hopeless) && hopeless.Then != nil {
		if err := hopeless.Then(ctx); err != nil {
			return fmt.Errorf("after the letter: %w", err)
		}
	}
	return m.TermWithReason("given up")
}

// oneLine is an error as the value of a header.
func oneLine(err error) string {
	text := []rune(err.Error())
	for i, r := range text {
		if r < ' ' {
			text[i] = ' '
		}
	}
	return string(text[:min(len(text), 500)])
}
