package deliver

import (
	"context"
	"errors"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"supmesh.dev/proto"
)

// metrics are of pushes by provider; nothing of a user or a server is a label.
type metrics struct {
	pushes metric.Int64Counter
	time   metric.Float64Histogram
}

var seconds = metric.WithExplicitBucketBoundaries(.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10)

func (m *metrics) register(meter metric.Meter, d *Deliverer) error {
	var errs [4]error
	m.pushes, errs[0] = meter.Int64Counter("notify.pushes", metric.WithDescription("What came of pushes each time they were taken up, by provider and outcome."))
	m.time, errs[1] = meter.Float64Histogram("notify.push.duration", metric.WithUnit("s"), seconds, metric.WithDescription("Tries of pushes, by provider."))
	breakers, err := meter.Int64ObservableGauge("notify.push.breakers", metric.WithDescription("Servers that pushes go to, by provider and state of their breaker."))
	errs[2] = err
	_, errs[3] = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		states := d.breakers.states()
		for name := range d.providers {
			for _, state := range []circuitbreaker.State{circuitbreaker.ClosedState, circuitbreaker.OpenState, circuitbreaker.HalfOpenState} {
				o.ObserveInt64(breakers, states[name][state], metric.WithAttributes(provider(name), attribute.String("state", state.String())))
			}
		}
		return nil
	}, breakers)
	return errors.Join(errs[:]...)
}

func provider(name proto.PushProvider) attribute.KeyValue {
	switch name {
	case proto.PushWebhook, proto.PushWeb, proto.PushFCM, proto.PushAPNs:
		return attribute.String("provider", string(name))
	}
	return attribute.String("provider", "unknown") // whatever a job says is no label
}

func (m *metrics) count(name proto.PushProvider, outcome string) {
	m.pushes.Add(context.Background(), 1, metric.WithAttributes(provider(name), attribute.String("outcome", outcome)))
}

func (m *metrics) took(name proto.PushProvider, d time.Duration) {
	m.time.Record(context.Background(), d.Seconds(), metric.WithAttributes(provider(name)))
}
