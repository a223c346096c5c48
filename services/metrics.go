package services

import (
	"context"
	"errors"
	"maps"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"supmesh.dev/proto"
)

// hostMetrics is what the chassis counts for every service.
type hostMetrics struct {
	slowConsumers, denied, dropped, refused metric.Int64Counter
	jobs                                    metric.Int64Counter
	reread, gone                            metric.Int64Counter
	served, calls                           metric.Float64Histogram
	pending                                 metric.Int64ObservableGauge
	meter                                   metric.Meter

	callOptions atomic.Pointer[map[callLabel][]metric.RecordOption]
}

type callLabel struct {
	subject string
	code    proto.Code
}

// seconds are the bounds of request times: what is interesting lies between
// one round trip (50 µs) and a leader election (9 s).
var seconds = metric.WithExplicitBucketBoundaries(.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 15)

func (m *hostMetrics) register(h *Host) error {
	m.meter = h.telemetry.meter
	var errs [12]error
	m.slowConsumers, errs[0] = m.meter.Int64Counter("sup.nats.slow_consumers", metric.WithDescription("Subscriptions that overflowed: messages were dropped."))
	m.denied, errs[1] = m.meter.Int64Counter("sup.nats.denied", metric.WithDescription("Publishes and subscribes the NATS server refused."))
	m.dropped, errs[2] = m.meter.Int64Counter("sup.requests.expired", metric.WithDescription("Requests dropped because their deadline had passed."))
	m.served, errs[3] = m.meter.Float64Histogram("sup.request.duration", metric.WithUnit("s"), seconds, metric.WithDescription("Requests answered, from arrival to answer, by subject and code."))
	m.calls, errs[4] = m.meter.Float64Histogram("sup.call.duration", metric.WithUnit("s"), seconds, metric.WithDescription("Requests made, repeats included, by subject and code."))
	m.pending, errs[5] = m.meter.Int64ObservableGauge("sup.requests.pending", metric.WithDescription("Requests accepted and not yet answered."))
	_, errs[6] = m.meter.Int64ObservableGauge("sup.redis.down", metric.WithDescription("1 while Redis is away."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			if h.breaker != nil && h.breaker.open.Load() {
				o.Observe(1)
			} else {
				o.Observe(0)
			}
			return nil
		}))
	_, errs[7] = m.meter.Int64ObservableCounter("sup.redis.pool_timeouts", metric.WithDescription("Commands that got no connection from the pool in time."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			if h.redis != nil {
				o.Observe(int64(h.redis.PoolStats().Timeouts))
			}
			return nil
		}))
	m.refused, errs[8] = m.meter.Int64Counter("sup.limits.refused", metric.WithDescription("Actions over a rate limit, by rule."))
	m.jobs, errs[9] = m.meter.Int64Counter("sup.jobs", metric.WithDescription("Entries of work queues taken, by queue and outcome: done, later, malformed, dead."))
	m.reread, errs[10] = m.meter.Int64Counter("sup.log.reread", metric.WithDescription("Log entries, or ends of the log, that a replica did not have and the leader was asked for."))
	m.gone, errs[11] = m.meter.Int64Counter("sup.log.gone", metric.WithDescription("Reads of log entries that the stream has deleted or trimmed."))
	return errors.Join(errs[:]...)
}

// routeMetrics is one route's instruments with their attributes resolved: the
// way of a request looks nothing up but its code.
type routeMetrics struct {
	host    *hostMetrics
	subject []metric.AddOption
	ok      []metric.RecordOption
	failed  map[proto.Code][]metric.RecordOption
}

func (m *hostMetrics) route(subject string) *routeMetrics {
	r := &routeMetrics{host: m, failed: make(map[proto.Code][]metric.RecordOption, len(proto.Codes))}
	r.subject = []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(attribute.String("subject", subject)))}
	r.ok = recordOptions(subject, "")
	for _, row := range proto.Codes {
		r.failed[row.Code] = recordOptions(subject, row.Code)
	}
	return r
}

func recordOptions(subject string, code proto.Code) []metric.RecordOption {
	name := string(code)
	if code == "" {
		name = "OK"
	}
	return []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(attribute.String("subject", subject), attribute.String("code", name)))}
}

func (r *routeMetrics) answered(code proto.Code, d time.Duration) {
	opts := r.ok
	if code != "" {
		if opts = r.failed[code]; opts == nil {
			opts = r.failed[proto.InternalError]
		}
	}
	r.host.served.Record(context.Background(), d.Seconds(), opts...)
}

func (r *routeMetrics) expired() { r.host.dropped.Add(context.Background(), 1, r.subject...) }

// watch reports a route's queue.
func (m *hostMetrics) watch(subject string, q *queue) {
	attrs := metric.WithAttributeSet(attribute.NewSet(attribute.String("subject", subject)))
	_, err := m.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(m.pending, int64(q.depth()), attrs)
		return nil
	}, m.pending)
	_ = err // only a foreign instrument is refused
}

func (m *hostMetrics) called(subject string, code proto.Code, d time.Duration) {
	label := callLabel{metricSubject(subject), code}
	var opts []metric.RecordOption
	if known := m.callOptions.Load(); known != nil {
		opts = (*known)[label]
	}
	if opts == nil {
		opts = m.newCallOptions(label)
	}
	m.calls.Record(context.Background(), d.Seconds(), opts...)
}

// newCallOptions adds a label to the map, which is copied: labels are few, and
// a sync.Map would allocate for each look-up.
func (m *hostMetrics) newCallOptions(label callLabel) []metric.RecordOption {
	opts := recordOptions(label.subject, label.code)
	for {
		old := m.callOptions.Load()
		known := make(map[callLabel][]metric.RecordOption)
		if old != nil {
			maps.Copy(known, *old)
		}
		known[label] = opts
		if m.callOptions.CompareAndSwap(old, &known) {
			return opts
		}
	}
}
