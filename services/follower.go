package services

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"supmesh.dev/proto"
)

// Follow is what a follower takes of a stream.
type Follow struct {
	Name     string // of its durable consumer: <service>-<what>
	Stream   proto.Stream
	Subjects []string // filters
	// Key tells from a subject whose the entry is. Those of one key are handled one
	// after the other, in the order of the log.
	Key func(subject string) string
	// Delay is how old an entry is before it is handled.
	Delay      time.Duration
	Workers    int // keys at once; DefaultWorkers if 0
	MaxPending int // entries in memory at most; 512 if 0
	Purpose    string
}

// Followed is one entry as a follower hands it on.
type Followed struct {
	Subject  string
	Position uint64
	Event    string // proto.HeaderEvent
	Stored   time.Time
	Body     []byte
}

// Bounds of a follower.
const (
	followerGroup = "one" // of the instances of a service one follows, and another goes on where it ends
	// followerPull is how long one request for entries stands; an instance that has
	// made none for turnFor is taken for dead.
	followerPull = 4 * time.Second
	turnFor      = 10 * time.Second
	// followerWait is after how long the server gives an entry again of which it
	// has heard nothing.
	followerWait = 30 * time.Second
	followerTry  = 20 * time.Second       // one call of a handler
	followerLook = 500 * time.Millisecond // between looks at whose turn it is
	// followerTries, with the pauses between them, are an hour and a half.
	followerTries = 200
	followerPause = 30 * time.Second
	headerPin     = "Nats-Pin-Id"
)

var (
	errTurnOver = errors.New("another instance follows")
	errGap      = errors.New("an entry was lost on the way")
)

// Follow hands the entries of a stream to a handler until the host stops: each at
// least once, those of one key in the order of the log, at most MaxPending at a
// time. An entry is done when the handler returns nil; where it fails, it, and
// what comes after it under its key, waits and is tried again, and after an hour
// and a half of that it is given up and counted. ErrMalformed gives up at once.
//
// Of several instances one follows; should it end, another goes on behind the
// last entry before which all are done (NATS ADR-42, pinned client), so that a
// crash repeats entries and neither loses nor reorders any. A follower that is new begins
// at the end of the stream, also where the stream is another log than before.
// The stream must exist. While NATS is away it waits.
func (h *Host) Follow(f Follow, handle func(ctx context.Context, e Followed) error) {
	if f.Workers == 0 {
		f.Workers = DefaultWorkers
	}
	if f.MaxPending == 0 {
		f.MaxPending = 512
	}
	w := &follower{Follow: f, host: h, handle: handle}
	h.Go("follower "+f.Name, w.run)
}

type follower struct {
	Follow
	host   *Host
	handle func(context.Context, Followed) error
}

func (w *follower) run(ctx context.Context) error {
	for n := 1; ctx.Err() == nil; n++ {
		began := time.Now()
		err := w.turn(ctx)
		if time.Since(began) > time.Minute {
			n = 1
		}
		if err != nil && ctx.Err() == nil {
			w.host.log.Warn("follower interrupted", "follower", w.Name, "error", err)
			pause(ctx, backoff(n))
		}
	}
	return nil
}

// turn waits until it is this instance's turn, and follows for as long as it is.
func (w *follower) turn(ctx context.Context) error {
	consumer, err := w.ensure(ctx)
	if err != nil {
		return fmt.Errorf("consumer %s: %w", w.Name, err)
	}
	pin, err := w.await(ctx, consumer)
	if err != nil {
		return err
	}
	defer w.yield(ctx)
	// What another instance, or an earlier turn, was given and has not done comes
	// first, in its order.
	if err := w.rewind(ctx); err != nil {
		return err
	}
	return w.follow(ctx, consumer, pin)
}

func (w *follower) stream(ctx context.Context) (jetstream.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return w.host.js.Stream(ctx, w.Stream.Name)
}

// ensure is the consumer, made where there is none for this log.
func (w *follower) ensure(ctx context.Context) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	stream, err := w.stream(ctx)
	if err != nil {
		return nil, err
	}
	info := stream.CachedInfo()
	epoch := info.Config.Metadata[proto.MetadataEpoch]
	want := jetstream.ConsumerConfig{
		Durable: w.Name, Description: w.Purpose, FilterSubjects: w.Subjects, AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: followerWait, MaxDeliver: -1, MaxAckPending: w.MaxPending,
		PriorityPolicy: jetstream.PriorityPolicyPinned, PriorityGroups: []string{followerGroup}, PinnedTTL: turnFor,
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: info.State.LastSeq + 1,
		Metadata: map[string]string{proto.MetadataEpoch: epoch},
	}
	have, err := stream.Consumer(ctx, w.Name)
	if err == nil && have.CachedInfo().Config.Metadata[proto.MetadataEpoch] != epoch {
		w.host.log.Warn("the log is another one: following it from its end", "follower", w.Name, "epoch", epoch)
		if err = stream.DeleteConsumer(ctx, w.Name); err != nil {
			return nil, err
		}
		err = jetstream.ErrConsumerNotFound
	}
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound):
		return stream.CreateConsumer(ctx, want)
	case err != nil:
		return nil, err
	}
	is := have.CachedInfo().Config
	if is.MaxAckPending == want.MaxAckPending && is.AckWait == want.AckWait && is.PinnedTTL == want.PinnedTTL &&
		is.Description == want.Description && slices.Equal(is.FilterSubjects, want.FilterSubjects) {
		return have, nil
	}
	want.DeliverPolicy, want.OptStartSeq, want.Metadata = is.DeliverPolicy, is.OptStartSeq, is.Metadata
	return stream.UpdateConsumer(ctx, want)
}

// await returns when the server has chosen this instance, which it does with an
// entry. Where nobody is chosen and entries are left from somebody, they are made
// to come now, not when their time is over.
func (w *follower) await(ctx context.Context, consumer jetstream.Consumer) (pin string, err error) {
	for {
		info, err := w.info(ctx, consumer)
		if err != nil {
			return "", err
		}
		chosen := len(info.PriorityGroups) > 0 && info.PriorityGroups[0].PinnedClientID != ""
		if !chosen && info.NumAckPending > 0 {
			if err := w.rewind(ctx); err != nil {
				return "", err
			}
		}
		// To its end, also while stopping: the server would choose a request that
		// nobody waits for, and hold to it until its turn is over.
		once, cancel := context.WithTimeout(context.WithoutCancel(ctx), followerLook)
		batch, err := consumer.Fetch(1, jetstream.FetchContext(once), jetstream.FetchPriorityGroup(followerGroup))
		if err == nil {
			for m := range batch.Messages() {
				pin = m.Headers().Get(headerPin)
			}
			if err = batch.Error(); pin != "" || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, jetstream.ErrPinIDMismatch) {
				err = nil
			}
		}
		cancel()
		switch {
		case ctx.Err() != nil:
			if pin != "" {
				w.yield(ctx)
			}
			return "", ctx.Err()
		case err != nil:
			return "", fmt.Errorf("wait for a turn of %s: %w", w.Name, err)
		case pin != "":
			return pin, nil
		}
	}
}

func (w *follower) info(ctx context.Context, consumer jetstream.Consumer) (*jetstream.ConsumerInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	info, err := consumer.Info(ctx)
	if err != nil {
		return nil, fmt.Errorf("consumer %s: %w", w.Name, err)
	}
	return info, nil
}

// rewind has the server begin again behind the last entry before which all are done.
func (w *follower) rewind(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	stream, err := w.stream(ctx)
	if err == nil {
		_, err = stream.ResetConsumer(ctx, w.Name)
	}
	if err != nil {
		return fmt.Errorf("rewind %s: %w", w.Name, err)
	}
	return nil
}

// yield lets another instance have the turn at once.
func (w *follower) yield(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	stream, err := w.stream(ctx)
	if err == nil {
		err = stream.UnpinConsumer(ctx, w.Name, followerGroup)
	}
	if err != nil {
		w.host.log.Debug("turn not yielded: it ends by itself", "follower", w.Name, "error", err)
	}
}

// follow takes entries until the turn is over, and waits for those under way.
func (w *follower) follow(ctx context.Context, consumer jetstream.Consumer, pin string) error {
	ctx, cancel := context.WithCancel(ctx)
	entries, err := consumer.Messages(jetstream.PullMaxMessages(w.MaxPending), jetstream.PullExpiry(followerPull),
		jetstream.PullPriorityGroup(followerGroup), jetstream.WithMessagesErrOnMissingHeartbeat(true))
	if err != nil {
		cancel()
		return fmt.Errorf("pull %s: %w", w.Name, err)
	}
	var under sync.WaitGroup
	l := &line{follower: w, held: map[uint64]*held{}, arrived: make(chan *held, w.MaxPending)}
	l.queue = newQueue(w.Workers, 2*w.MaxPending, under.Go)
	defer under.Wait()
	defer l.queue.close()
	defer cancel()
	defer entries.Stop()
	defer context.AfterFunc(ctx, entries.Stop)()
	under.Go(func() { l.dispatch(ctx) })
	under.Go(func() { l.keep(ctx) })
	for expect := uint64(1); ; expect++ {
		m, err := entries.Next()
		if err != nil {
			return fmt.Errorf("pull %s: %w", w.Name, err)
		}
		meta, err := m.Metadata()
		switch {
		case err != nil:
			return fmt.Errorf("pull %s: %w", w.Name, err)
		case m.Headers().Get(headerPin) != pin:
			return errTurnOver
		case meta.Sequence.Consumer != expect:
			return errGap
		}
		if h := l.take(m, meta); h != nil {
			select {
			case l.arrived <- h:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// line is the entries of one turn that are not done.
type line struct {
	*follower
	queue   *queue
	arrived chan *held

	mu   sync.Mutex
	held map[uint64]*held
}

// held is one of them.
type held struct {
	line  *line
	ctx   context.Context //nolint:containedctx // of the turn, for the queue's worker
	entry Followed
	msg   jetstream.Msg // as it was given last; guarded by line.mu
}

// take holds an entry; nil where it is held already, and was given again.
func (l *line) take(m jetstream.Msg, meta *jetstream.MsgMetadata) *held {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h := l.held[meta.Sequence.Stream]; h != nil {
		h.msg = m
		return nil
	}
	h := &held{line: l, msg: m, entry: Followed{
		Subject: m.Subject(), Position: meta.Sequence.Stream, Event: m.Headers().Get(proto.HeaderEvent), Stored: meta.Timestamp, Body: m.Data(),
	}}
	l.held[meta.Sequence.Stream] = h
	return h
}

// dispatch hands each entry to the workers when its time has come: they came in
// the order in which they were stored.
func (l *line) dispatch(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case h := <-l.arrived:
			if wait := l.Delay - time.Since(h.entry.Stored); wait > 0 && !pause(ctx, wait) {
				return
			}
			h.ctx = ctx
			l.queue.push(l.Key(h.entry.Subject), h) // there is room for all that are held
		}
	}
}

// keep tells the server that what is held is not forgotten.
func (l *line) keep(ctx context.Context) {
	tick := time.NewTicker(followerWait / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		l.mu.Lock()
		for _, h := range l.held {
			_ = h.msg.InProgress() // where that is lost it is given again
		}
		l.mu.Unlock()
	}
}

// run handles an entry until that is done. A turn that ends leaves it to the next.
func (h *held) run() {
	for tries := 1; h.ctx.Err() == nil; tries++ {
		once, cancel := context.WithTimeout(h.ctx, followerTry)
		err := guard(func() error { return h.line.handle(once, h.entry) })
		cancel()
		var later *Later
		switch {
		case err == nil:
			h.settle("done")
			return
		case h.ctx.Err() != nil:
			return
		case errors.Is(err, ErrMalformed):
			h.line.host.log.Error("malformed entry", "follower", h.line.Name, "position", h.entry.Position, "error", err)
			h.settle("malformed")
			return
		case tries >= followerTries:
			h.line.host.log.Error("entry given up", "follower", h.line.Name, "position", h.entry.Position, "error", err)
			h.settle("dead")
			return
		}
		again := min(100*time.Millisecond<<min(tries-1, 16), followerPause)
		if errors.As(err, &later) {
			again = later.After
		}
		h.line.host.log.Warn("entry failed", "follower", h.line.Name, "tries", tries, "again", again, "error", err)
		pause(h.ctx, again)
	}
}

func (h *held) settle(outcome string) {
	l := h.line
	l.mu.Lock()
	delete(l.held, h.entry.Position)
	err := h.msg.Ack()
	l.mu.Unlock()
	if err != nil { // it is given again
		l.host.log.Warn("entry not settled", "follower", l.Name, "error", err)
	}
	l.host.metrics.jobs.Add(context.Background(), 1, metric.WithAttributes(attribute.String("queue", l.Name), attribute.String("outcome", outcome)))
}
