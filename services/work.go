package services

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"supmesh.dev/proto"
)

// Headers of a message schedule (NATS ADR-51).
const (
	headerSchedule       = "Nats-Schedule"
	headerScheduleTarget = "Nats-Schedule-Target"
)

// Schedule has body come out of a queue at a moment, or soon after it, whatever
// is restarted in between. It returns once that is stored. timer is a subject
// made by proto.Timer; the same again replaces what was scheduled under it.
func (h *Host) Schedule(ctx context.Context, timer string, q proto.Queue, at time.Time, body []byte) error {
	return h.schedule(ctx, timer, q, at, body, nats.Header{})
}

// schedule is Schedule with headers that come out with the body.
func (h *Host) schedule(ctx context.Context, timer string, q proto.Queue, at time.Time, body []byte, header nats.Header) error {
	// nats.go's own option cuts the moment to whole seconds.
	header.Set(headerSchedule, "@at "+at.UTC().Format(time.RFC3339Nano))
	header.Set(headerScheduleTarget, q.Subject)
	msg := &nats.Msg{Subject: timer, Data: body, Header: header}
	if _, err := h.js.PublishMsg(ctx, msg, jetstream.WithExpectStream(proto.Work.Name), jetstream.WithRetryAttempts(0)); err != nil {
		return fmt.Errorf("schedule %s: %w", timer, err)
	}
	return nil
}

// Enqueue gives a queue one job, and returns once it is stored: an error leaves
// open whether it is. The same key again, within proto.Work.Dedup, is the same job.
func (h *Host) Enqueue(ctx context.Context, q proto.Queue, key string, body []byte) error {
	_, err := h.js.PublishMsg(ctx, &nats.Msg{Subject: q.Subject, Data: body}, jetstream.WithMsgID(key), jetstream.WithExpectStream(proto.Work.Name))
	if err != nil {
		return fmt.Errorf("enqueue %s: %w", q.Name, err)
	}
	return nil
}

// Later is a handler's word that a job cannot be done before a moment has passed.
type Later struct {
	After time.Duration
	// Free: this was no try at all, since what the job needs is away. However
	// often it is said, the job is not given up for it.
	Free bool
}

func (l *Later) Error() string { return fmt.Sprintf("not before %s have passed", l.After) }

// Hopeless is a handler's word that no further try can do a job: it goes to the
// queue's dead letters at once, with the reason.
type Hopeless struct {
	Reason string
	// Then is what follows once the letter is stored; nil for nothing. Where it
	// fails, or the instance dies before its end, the job comes again.
	Then func(ctx context.Context) error
}

func (h *Hopeless) Error() string { return h.Reason }

// ErrMalformed says that a job cannot be read: it is given up and counted.
var ErrMalformed = errors.New("malformed job")

// goneAfter is how long after the last word of an instance its jobs are another's:
// short, since they keep their places in the queue until then. Where the queue itself
// is away for longer, what is under way may come twice.
const goneAfter = 6 * time.Second

// Between tries of one job: a second, doubled up to five minutes.
const (
	firstRetry = time.Second
	lastRetry  = 5 * time.Minute
)

// Work does the jobs of a queue until the host stops: at least once each, in no
// promised order, at most q.MaxPending over all instances. Those of an instance that
// dies are another's after six seconds, or q.Timeout where that is shorter. The
// context of a job ends with the host's parts; it is given back then. A job whose
// handler fails comes again after a growing pause, and after q.MaxDeliver tries goes
// to q.Dead. The stream must exist. While NATS is away it waits.
func (h *Host) Work(q proto.Queue, handle func(ctx context.Context, body []byte) error, opts ...WorkOption) {
	w := &worker{host: h, queue: q, handle: handle, longest: lastRetry}
	for _, opt := range opts {
		opt(w)
	}
	h.Go("queue "+q.Name, w.run)
}

type worker struct {
	host   *Host
	queue  proto.Queue
	handle func(ctx context.Context, body []byte) error
	lane   func(body []byte) string // nil: no order

	longest time.Duration // pause between two tries
	spread  float64       // of each pause
	aside   bool          // a job that waits is out of the queue
	grace   time.Duration // for what is under way at stop
}

// WorkOption changes how a queue is worked on.
type WorkOption func(*worker)

// WithPauses lets the pause between tries grow up to a limit of the queue's own,
// each shorter or longer by up to a fifth at random.
func WithPauses(longest time.Duration) WorkOption {
	return func(w *worker) { w.longest, w.spread = longest, spread }
}

// WithWaitingAside has jobs wait for their next try as timers. Waiting in the queue
// they count as under way, and q.MaxPending of them would hold up all others.
func WithWaitingAside() WorkOption { return func(w *worker) { w.aside = true } }

// WithGrace gives jobs that are under way when the host stops this long to end.
// It is to be well under the ten seconds that parts have.
func WithGrace(d time.Duration) WorkOption { return func(w *worker) { w.grace = d } }

// WithLanes has one instance at a time work on the queue, so that jobs keep their
// order: those of one lane are done one after the other, as they were enqueued,
// also when another instance goes on after this one has stopped. Not so around a
// job that fails or whose instance dies: it comes again, behind others, after
// q.Timeout where it dies. lane may be
// called for what cannot be read.
func WithLanes(lane func(body []byte) string) WorkOption {
	return func(w *worker) { w.lane = lane }
}

func (w *worker) run(ctx context.Context) error {
	for n := 1; ctx.Err() == nil; n++ {
		if err := w.consume(ctx); err != nil && ctx.Err() == nil {
			w.host.log.Warn("queue interrupted", "queue", w.queue.Name, "error", err)
			pause(ctx, backoff(n))
		}
	}
	return nil
}

// consume takes jobs until the consumer ends, and waits for those under way.
func (w *worker) consume(ctx context.Context) error {
	q := w.queue
	made, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	cfg := jetstream.ConsumerConfig{
		Durable: q.Name, Description: q.Purpose, FilterSubject: q.Subject, AckPolicy: jetstream.AckExplicitPolicy,
		// One more than we count ourselves: who dies over the last try leaves
		// one for the letter.
		AckWait: w.missed(), MaxDeliver: q.MaxDeliver + 1, MaxAckPending: q.MaxPending,
	}
	atOnce := min(q.MaxPending, DefaultWorkers)
	// A job is asked for when there is room for it: what waits here is not given to
	// others, and is lost to all for as long if this instance dies.
	ahead := 1
	opts := []jetstream.PullMessagesOpt{jetstream.WithMessagesErrOnMissingHeartbeat(true)}
	if w.lane != nil { // NATS ADR-42
		ahead = atOnce
		cfg.PriorityPolicy, cfg.PriorityGroups, cfg.PinnedTTL = jetstream.PriorityPolicyPinned, []string{inOrder}, q.Timeout
		opts = append(opts, jetstream.PullPriorityGroup(inOrder))
	}
	opts = append(opts, jetstream.PullMaxMessages(ahead))
	consumer, err := w.host.js.CreateOrUpdateConsumer(made, proto.Work.Name, cfg)
	if err != nil {
		return fmt.Errorf("consumer %s: %w", q.Name, err)
	}
	jobs, err := consumer.Messages(opts...)
	if err != nil {
		return fmt.Errorf("pull %s: %w", q.Name, err)
	}
	if w.lane != nil {
		return w.inOrder(ctx, jobs, atOnce)
	}
	// What has come and waits here is given back, not left to its timeout.
	defer context.AfterFunc(ctx, jobs.Drain)()
	defer jobs.Stop()
	var under sync.WaitGroup
	defer under.Wait()
	slots := make(chan struct{}, atOnce)
	for {
		slots <- struct{}{}
		m, err := next(jobs)
		if err != nil {
			return fmt.Errorf("pull %s: %w", q.Name, err)
		}
		under.Go(func() {
			defer func() { <-slots }()
			w.do(ctx, m)
		})
	}
}

// do runs one job and settles it.
func (w *worker) do(ctx context.Context, m jetstream.Msg) {
	tries := w.tries(m)
	err := errors.New("tried too often")
	switch {
	case ctx.Err() != nil:
		err = ctx.Err()
	case tries <= w.queue.MaxDeliver:
		letGo := w.hold(ctx, m)
		err = w.try(ctx, m.Data())
		letGo()
	}
	outcome, settled := w.settle(ctx, m, tries, err)
	if settled != nil { // it comes again when its time is over
		w.host.log.Warn("job not settled", "queue", w.queue.Name, "outcome", outcome, "error", settled)
	}
	w.host.metrics.jobs.Add(context.Background(), 1, metric.WithAttributes(attribute.String("queue", w.queue.Name), attribute.String("outcome", outcome)))
}

// askAgain is after how long without a job it is seen to that one is asked for.
const askAgain = 50 * time.Millisecond

// next waits for a job. The client asks for more when it is called, but not where its
// last request is still on its way out, and the job that this one brings can be here
// by then: with one job at a time nothing would be asked for any more, until
// heartbeats are missed. So who gets no job soon calls a second time.
func next(jobs jetstream.MessagesContext) (jetstream.Msg, error) {
	m, err := jobs.Next(jetstream.NextMaxWait(askAgain))
	if errors.Is(err, nats.ErrTimeout) {
		m, err = jobs.Next()
	}
	return m, err
}

// missed is how long nothing is heard of a job until it is another's.
func (w *worker) missed() time.Duration {
	if w.lane != nil { // jobs wait here for those before them, and nothing is said of them
		return w.queue.Timeout
	}
	return min(w.queue.Timeout, goneAfter)
}

// hold says of a job, again and again, that it is worked on, until it is let go or
// its time is over. Where none of that arrives it comes twice.
func (w *worker) hold(ctx context.Context, m jetstream.Msg) (letGo func()) {
	_ = m.InProgress()
	held, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.queue.Timeout)
	var saying sync.WaitGroup
	saying.Go(func() {
		for pause(held, w.missed()/3) {
			_ = m.InProgress()
		}
	})
	return func() { cancel(); saying.Wait() }
}

// try is one try of a job. Its context ends with its time, and with the host's
// parts or the grace that it has after them.
func (w *worker) try(ctx context.Context, body []byte) error {
	once, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.queue.Timeout*4/5)
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		if w.grace > 0 {
			pause(once, w.grace)
		}
		cancel()
	})()
	return guard(func() error { return w.handle(once, body) })
}
