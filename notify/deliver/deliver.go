package deliver

import (
	"context"
	"fmt"
	"time"

	"supmesh.dev/notify/push"
	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/wire"
)

// Registrations is where pushes go, and what has become of them.
type Registrations interface {
	// Registration is a device's, for pushes of a type: a call may have one of its own.
	// It is false where there is none (any more).
	Registration(ctx context.Context, user proto.Token, device string, provider proto.PushProvider, t proto.NotificationType) (push.Registration, bool, error)
	// Gone removes a registration, if it still has this token.
	Gone(ctx context.Context, user proto.Token, device string, provider proto.PushProvider, token string) error
	// Newest says whether there is a push under a collapse key that is newer than
	// one decided as of a position of the log. What takes back a push is newer than it.
	Newest(ctx context.Context, user proto.Token, collapseKey string, after uint64, withdraw bool) (newer bool, err error)
}

// Times of a delivery.
const (
	longestPause = time.Hour        // between two tries
	sendTimeout  = 15 * time.Second // of one try; a provider's client has its own, shorter
	storePause   = 3 * time.Second  // while the registrations cannot be read
	graceAtStop  = 3 * time.Second  // for tries under way
)

// Outcomes of a push beside those that a provider has.
const (
	outcomeExpired      = "expired"
	outcomeSuperseded   = "superseded"   // a newer one is under way
	outcomeUnregistered = "unregistered" // the device has left
	outcomeOff          = "off"          // the provider is not set up
	outcomeDeferred     = "deferred"     // a breaker is open: no try
	outcomeUnavailable  = "unavailable"  // the registrations cannot be read: no try
)

// Deliverer works on the queue of pushes. It is made by New.
type Deliverer struct {
	host      *services.Host
	providers map[proto.PushProvider]push.Provider
	regs      Registrations
	breakers  *breakers
	metrics   metrics
	longest   time.Duration
}

// Option changes how pushes are delivered.
type Option func(*Deliverer)

// WithLongestPause bounds the pause between two tries that fail; an hour by default.
func WithLongestPause(d time.Duration) Option { return func(x *Deliverer) { x.longest = d } }

// New prepares delivery by the providers that are set up. Work begins it.
func New(host *services.Host, providers []push.Provider, regs Registrations, opts ...Option) *Deliverer {
	d := &Deliverer{
		host: host, providers: make(map[proto.PushProvider]push.Provider, len(providers)), regs: regs,
		breakers: newBreakers(), longest: longestPause,
	}
	for _, opt := range opts {
		opt(d)
	}
	for _, p := range providers {
		d.providers[p.Name()] = p
	}
	if err := d.metrics.register(host.Metrics(), d); err != nil {
		host.Log().Error("metrics of pushes", "error", err)
	}
	return d
}

// Work takes pushes from the queue until the host stops. The stream must exist.
func (d *Deliverer) Work() {
	d.host.Work(proto.PushJobs, d.deliver,
		services.WithPauses(d.longest), services.WithWaitingAside(), services.WithGrace(graceAtStop))
}

// deliver does one job: nil is an end, good or not.
func (d *Deliverer) deliver(ctx context.Context, body []byte) error {
	var job proto.Push
	if err := wire.Restore(body, &job); err != nil {
		return fmt.Errorf("%w: a push", services.ErrMalformed) // what err quotes may be a user's
	}
	user, err := proto.EncodeID(job.UserID)
	if err != nil {
		return fmt.Errorf("%w: a push without a user", services.ErrMalformed)
	}
	if d.expired(&job) {
		return d.over(&job, outcomeExpired)
	}
	if job.CollapseKey != "" {
		newer, err := d.regs.Newest(ctx, user, job.CollapseKey, job.After, job.Withdraw)
		if err != nil {
			return d.unavailable(ctx, &job, "newest push", err)
		}
		if newer {
			return d.over(&job, outcomeSuperseded)
		}
	}
	to, ok, err := d.regs.Registration(ctx, user, job.DeviceID, job.Provider, job.Type)
	if err != nil {
		return d.unavailable(ctx, &job, "registration", err)
	}
	if !ok {
		return d.over(&job, outcomeUnregistered)
	}
	provider, ok := d.providers[job.Provider]
	if !ok {
		d.metrics.count(job.Provider, outcomeOff)
		return &services.Hopeless{Reason: "this provider is not set up"}
	}
	return d.send(ctx, provider, user, &job, to)
}

// send makes one try, where the breaker lets it.
func (d *Deliverer) send(ctx context.Context, provider push.Provider, user proto.Token, job *proto.Push, to push.Registration) error {
	b := d.breakers.of(provider, to)
	if !b.TryAcquirePermit() {
		d.metrics.count(job.Provider, outcomeDeferred)
		return &services.Later{After: around(max(b.RemainingDelay(), shortestDeferral)), Free: true}
	}
	o := d.try(ctx, provider, b, job, to)
	d.metrics.count(job.Provider, o.Status.String())
	switch o.Status {
	case push.Delivered, push.Skipped:
		return nil
	case push.Gone:
		// Behind the letter: who dies between the two leaves a push that is tried
		// again, not one that has nowhere to go.
		return &services.Hopeless{Reason: "gone: " + o.Detail, Then: func(ctx context.Context) error {
			return d.regs.Gone(ctx, user, job.DeviceID, job.Provider, to.Token)
		}}
	case push.Rejected:
		return &services.Hopeless{Reason: "rejected: " + o.Detail}
	case push.Retry:
		if o.After > 0 {
			return &services.Later{After: min(o.After, longestPause) + around(time.Second)}
		}
	}
	return fmt.Errorf("push by %s: %s", job.Provider, o.Detail)
}

// try asks the provider, and tells the breaker: a server that refuses a push is there.
func (d *Deliverer) try(ctx context.Context, provider push.Provider, b breaker, job *proto.Push, to push.Registration) (o push.Outcome) {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	began := time.Now()
	defer func() { // also where the provider panics: the breaker waits for a word
		d.metrics.took(job.Provider, time.Since(began))
		if o.Status == 0 || o.Status == push.Retry {
			b.RecordFailure()
		} else {
			b.RecordSuccess()
		}
	}()
	return provider.Send(ctx, job, to)
}

func (d *Deliverer) expired(job *proto.Push) bool {
	return !job.ExpiresAt.IsZero() && !d.host.Now().Before(job.ExpiresAt.Time)
}

// over ends a push without a try.
func (d *Deliverer) over(job *proto.Push, outcome string) error {
	d.metrics.count(job.Provider, outcome)
	return nil
}

// unavailable has a job wait for a store that is away.
func (d *Deliverer) unavailable(ctx context.Context, job *proto.Push, what string, err error) error {
	if ctx.Err() == nil {
		d.host.Log().WarnContext(ctx, "push waits", "for", what, "error", err)
	}
	d.metrics.count(job.Provider, outcomeUnavailable)
	return &services.Later{After: around(storePause), Free: true}
}
