package follow

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"supmesh.dev/proto"
)

type metrics struct{ notices, pushes metric.Int64Counter }

func (m *metrics) register(meter metric.Meter) error {
	var errs [2]error
	m.notices, errs[0] = meter.Int64Counter("sup.notify.decided", metric.WithDescription("Notifications that the log asked for, repeats included, by type."))
	m.pushes, errs[1] = meter.Int64Counter("sup.notify.queued", metric.WithDescription("Pushes that were queued, repeats included, by type and whether they take one back."))
	return errors.Join(errs[:]...)
}

func (m *metrics) noticed(r *proto.NotifyReq) {
	m.notices.Add(context.Background(), int64(len(r.UserIDs)), metric.WithAttributes(attribute.String("type", string(r.Type))))
}

func (m *metrics) pushed(p *proto.Push) {
	m.pushes.Add(context.Background(), 1, metric.WithAttributes(attribute.String("type", string(p.Type)), attribute.Bool("withdraw", p.Withdraw)))
}
