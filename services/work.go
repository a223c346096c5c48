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
	msg := &nats.Msg{Subject: timer, Data: body, Header: nats.Header{
		// nats.go's own option cuts the moment to whole seconds.
		headerSchedule: {"@at " + at.UTC().Format(time.RFC3339Nano)}, headerScheduleTarget: {q.Subject},
	}}
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
type Later struct{ After time.Duration }

func (l *Later) Error() string { return fmt.Sprintf("not before %s have passed", l.After) }

// ErrMalformed says that a job cannot be read: it is given up and counted.
var ErrMalformed = errors.New("malformed job")

// Between tries of one job: a second, doubled up to five minutes.
const (
	firstRetry = time.Second
	lastRetry  = 5 * time.Minute
)

// giveBack is when a job of a host that stops is somebody else's: by then the
// server knows that this host takes none any more, and does not count it twice.
const giveBack = 250 * time.Millisecond

// headerDeadReason is the error that a dead letter ended with.
const headerDeadReason = "Sup-Dead-Reason"

// Work does the jobs of a queue until the host stops: at least once each, in no
// promised order, at most q.MaxPending over all instances. The context of a job
// ends with the host's parts; it is given back then. A job whose handler
// fails comes again after a growing pause, and after q.MaxDeliver tries goes to
// q.Dead. The stream must exist. While NATS is away it waits.
func (h *Host) Work(q proto.Queue, handle func(ctx context.Context, body []byte) error) {
	w := &worker{host: h, queue: q, handle: handle}
	h.Go("queue "+q.Name, w.run)
}

// WorkInOrder is Work by one instance at a time, for jobs of which some must keep
// their order: those of one lane are done one after the other, in the order in
// which they were enqueued, also when another instance goes on after this one
// has stopped. Not so around a job that fails or whose instance dies: it comes again,
// behind others. lane may be called for what cannot be read.
func (h *Host) WorkInOrder(q proto.Queue, lane func(body []byte) string, handle func(ctx context.Context, body []byte) error) {
	w := &worker{host: h, queue: q, handle: handle, lane: lane}
	h.Go("queue "+q.Name, w.run)
}

type worker struct {
	host   *Host
	queue  proto.Queue
	handle func(ctx context.Context, body []byte) error
	lane   func(body []byte) string // nil: no order
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
		AckWait: q.Timeout, MaxDeliver: q.MaxDeliver + 1, MaxAckPending: q.MaxPending,
	}
	// No more than are worked on at once: what waits here is not given to others.
	atOnce := min(q.MaxPending, DefaultWorkers)
	opts := []jetstream.PullMessagesOpt{jetstream.PullMaxMessages(atOnce), jetstream.WithMessagesErrOnMissingHeartbeat(true)}
	if w.lane != nil { // NATS ADR-42
		cfg.PriorityPolicy, cfg.PriorityGroups, cfg.PinnedTTL = jetstream.PriorityPolicyPinned, []string{inOrder}, q.Timeout
		opts = append(opts, jetstream.PullPriorityGroup(inOrder))
	}
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
	defer context.AfterFunc(ctx, jobs.Stop)()
	defer jobs.Stop()
	var under sync.WaitGroup
	defer under.Wait()
	slots := make(chan struct{}, atOnce)
	for {
		m, err := jobs.Next()
		if err != nil {
			return fmt.Errorf("pull %s: %w", q.Name, err)
		}
		slots <- struct{}{}
		under.Go(func() {
			defer func() { <-slots }()
			w.do(ctx, m)
		})
	}
}

// do runs one job and settles it.
func (w *worker) do(ctx context.Context, m jetstream.Msg) {
	tries := 1
	if meta, err := m.Metadata(); err == nil {
		tries = int(min(meta.NumDelivered, 1<<20))
	}
	err := errors.New("tried too often")
	if tries <= w.queue.MaxDeliver {
		_ = m.InProgress() // its time counts from here; where that is lost it comes twice
		once, cancel := context.WithTimeout(ctx, w.queue.Timeout*4/5)
		err = guard(func() error { return w.handle(once, m.Data()) })
		cancel()
	}
	var later *Later
	outcome := "done"
	var settled error
	switch {
	case err == nil:
		settled = m.Ack()
	case errors.Is(err, ErrMalformed):
		outcome, settled = "malformed", m.TermWithReason("malformed")
		w.host.log.Error("malformed job", "queue", w.queue.Name, "error", err)
	case ctx.Err() != nil: // the host stops: somebody else's
		outcome, settled = "later", m.NakWithDelay(giveBack)
	case tries >= w.queue.MaxDeliver:
		outcome, settled = "dead", w.bury(ctx, m, err)
	case errors.As(err, &later):
		outcome, settled = "later", m.NakWithDelay(later.After)
	default:
		delay := min(firstRetry<<min(tries-1, 16), lastRetry)
		outcome, settled = "later", m.NakWithDelay(delay)
		w.host.log.Warn("job failed", "queue", w.queue.Name, "tries", tries, "again", delay, "error", err)
	}
	if settled != nil { // it comes again when its time is over
		w.host.log.Warn("job not settled", "queue", w.queue.Name, "outcome", outcome, "error", settled)
	}
	w.host.metrics.jobs.Add(context.Background(), 1, metric.WithAttributes(attribute.String("queue", w.queue.Name), attribute.String("outcome", outcome)))
}

// bury keeps a job that could not be done where somebody may look at it.
func (w *worker) bury(ctx context.Context, m jetstream.Msg, cause error) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	w.host.log.Error("job given up", "queue", w.queue.Name, "dead", w.queue.Dead, "error", cause)
	letter := &nats.Msg{Subject: w.queue.Dead, Data: m.Data(), Header: nats.Header{headerDeadReason: {oneLine(cause)}}}
	if _, err := w.host.js.PublishMsg(ctx, letter); err != nil {
		return fmt.Errorf("bury: %w", err)
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
