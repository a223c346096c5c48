package services

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"
	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"supmesh.dev/services/eventlog"
)

// Host is what one service stands on. It is made by NewHost, used by the
// service's New to register routes and checks, and brought to life by Run.
type Host struct {
	name, version string
	cfg           Config
	opts          options
	log           *slog.Logger

	nc      *nats.Conn // what the service sends and subscribes
	js      jetstream.JetStream
	inbound *nats.Conn // what callers send to the routes; alone, so that its drain can be watched
	catchUp *nats.Conn
	reader  *eventlog.Reader // over catchUp
	ordered *eventlog.Reader // over nc
	micro   micro.Service
	asks    asks // requests made over nc

	redis   redis.UniversalClient
	limits  redis.UniversalClient // for limits alone: short timeouts
	breaker *breaker

	telemetry    *telemetry
	metrics      hostMetrics
	durable      string // durability class, once known
	listener     *http.Server
	listenerDone chan struct{}
	addr         string

	// Three lifetimes, ended in this order at stop: Service.Run's, that of the
	// parts it leans on, and that of requests still being answered. They are
	// fields because each belongs to the host, not to a call.
	runCtx, partCtx, requestCtx   context.Context //nolint:containedctx // see above
	endRun, endParts, endRequests context.CancelCauseFunc

	parts    sync.WaitGroup // started by Go
	requests sync.WaitGroup // workers of routes

	serveMu sync.Mutex // held while routes are added or stopped: guards micro and servers
	servers []*server

	mu          sync.Mutex
	phase       phase
	failure     error
	partNames   map[string]int // running parts, for the one that does not end
	routes      []Route        // until Run
	checks      []readyCheck
	onReconnect []func()
	onSlow      []func(*nats.Subscription)
}

type phase int

const (
	starting phase = iota // routes are collected
	opening               // routes go to NATS; Serve acts at once from here on
	running
	stopping
	stopped
)

type options struct {
	nats      []nats.Option
	redis     redis.UniversalClient
	log       *slog.Logger
	now       func() time.Time
	listening bool
}

// Option changes what NewHost builds.
type Option func(*options)

// WithNATSOptions adds to, or overrides, how the host connects to NATS.
func WithNATSOptions(opts ...nats.Option) Option {
	return func(o *options) { o.nats = append(o.nats, opts...) }
}

// WithInProcessNATS connects to a server in this process, without a socket.
func WithInProcessNATS(server nats.InProcessConnProvider) Option {
	return WithNATSOptions(nats.InProcessServer(server))
}

// WithRedis gives the host a Redis client. Its owner closes it, after the host has stopped.
func WithRedis(client redis.UniversalClient) Option {
	return func(o *options) { o.redis = client }
}

// WithLogger gives the host a logger; LOG_LEVEL and LOG_FORMAT then mean nothing.
func WithLogger(log *slog.Logger) Option { return func(o *options) { o.log = log } }

// WithoutListener leaves /health, /ready and /metrics to the caller, who
// mounts Handler for all its hosts at once.
func WithoutListener() Option { return func(o *options) { o.listening = false } }

// WithNow replaces the host's clock.
func WithNow(now func() time.Time) Option { return func(o *options) { o.now = now } }

// NewHost connects a service to the world. NATS and Redis need not be there
// yet: the host keeps trying, and /ready says what is missing. ctx ends the
// host as a signal would. What NewHost made is released by Run, or by Close
// where Run is never called.
func NewHost(ctx context.Context, name, version string, cfg Config, opts ...Option) (*Host, error) {
	if !plainName(name) {
		return nil, fmt.Errorf("service name %q must be letters, digits, _ and -", name)
	}
	cfg.fillIn()
	if err := cfg.complete(); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	h := &Host{name: name, version: version, cfg: cfg, partNames: make(map[string]int)}
	h.opts = options{now: time.Now, listening: true}
	for _, opt := range opts {
		opt(&h.opts)
	}
	h.runCtx, h.endRun = context.WithCancelCause(ctx)
	h.partCtx, h.endParts = context.WithCancelCause(context.WithoutCancel(ctx))
	h.requestCtx, h.endRequests = context.WithCancelCause(context.WithoutCancel(ctx))
	if err := h.build(ctx); err != nil {
		h.Close()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return h, nil
}

func (h *Host) build(ctx context.Context) (err error) {
	if h.log = h.opts.log; h.log == nil {
		level, err := parseLevel(h.cfg.LogLevel)
		if err != nil {
			return err
		}
		h.log = NewLogger(os.Stderr, level, h.cfg.LogFormat)
	}
	h.log = h.log.With("service", h.name, "instance", h.cfg.InstanceID)
	if h.telemetry, err = newTelemetry(ctx, h); err != nil {
		return err
	}
	if err = h.metrics.register(h); err != nil {
		return err
	}
	if h.opts.listening {
		if err = h.listen(); err != nil {
			return err
		}
	}
	if err = h.connectRedis(); err != nil {
		return err
	}
	if h.nc, err = h.connect("data"); err != nil {
		return err
	}
	if h.js, err = jetstream.New(h.nc); err != nil {
		return fmt.Errorf("jetstream: %w", err)
	}
	h.ordered = eventlog.New(h.nc, h.metrics.reread, h.metrics.gone)
	if err = h.asks.open(h); err != nil {
		return err
	}
	h.OnReady("nats", h.natsStatus)
	return nil
}

// Context ends when the host is to stop. It is for what a service does before
// Run, as in its New: waiting for streams, say.
func (h *Host) Context() context.Context { return h.runCtx }

// Name is the service's name, as in `nats micro ls`.
func (h *Host) Name() string { return h.name }

// Version is the service's semantic version.
func (h *Host) Version() string { return h.version }

// InstanceID names this instance among those of its service.
func (h *Host) InstanceID() string { return h.cfg.InstanceID }

// Config is what the host was built with.
func (h *Host) Config() Config { return h.cfg }

// Now is the host's clock.
func (h *Host) Now() time.Time { return h.opts.now() }

// Log is the host's logger. Log with a request's context to have its id in the line.
func (h *Host) Log() *slog.Logger { return h.log }

// NATS is the connection for everything but requests to routes and catch-up.
func (h *Host) NATS() *nats.Conn { return h.nc }

// JetStream is the streams API over NATS.
func (h *Host) JetStream() jetstream.JetStream { return h.js }

// Redis is the shared client, or nil where REDIS_URL is empty. While Redis is
// away every command fails at once with ErrRedisDown.
func (h *Host) Redis() redis.UniversalClient { return h.redis }

// Metrics makes instruments; they show up on this host's /metrics with the
// label service. No user, chat or call id may become an attribute.
func (h *Host) Metrics() metric.Meter { return h.telemetry.meter }

// Tracer makes spans; without an exporter in the environment they cost nothing.
func (h *Host) Tracer() trace.Tracer { return h.telemetry.tracer }

// CatchUp reads the log over a connection of its own. The server answers direct gets
// inside the connection they come by: on the shared one a long read would hold up
// everything else. The connection is made when first asked for.
func (h *Host) CatchUp() *eventlog.Reader {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.reader != nil {
		return h.reader
	}
	nc, err := h.connect("catch-up")
	if err != nil { // the same options have connected before: only files that are gone since
		h.log.Error("connect for catch-up; sharing the data connection", "error", err)
		nc = h.nc
	} else {
		h.catchUp = nc
	}
	h.reader = eventlog.New(nc, h.metrics.reread, h.metrics.gone)
	return h.reader
}

// LiveLog reads the log over the data connection: behind whatever was subscribed and sent on it
// before. It is for single entries; pages are CatchUp's.
func (h *Host) LiveLog() *eventlog.Reader { return h.ordered }

// OnReconnect calls fn after the data connection has come back: what was
// subscribed lives on, what was published meanwhile was missed. fn must not block.
func (h *Host) OnReconnect(fn func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.onReconnect = append(h.onReconnect, fn)
}

// OnSlowConsumer calls fn when a subscription of this host overflowed and
// messages were dropped. fn must not block.
func (h *Host) OnSlowConsumer(fn func(*nats.Subscription)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.onSlow = append(h.onSlow, fn)
}
