package presence

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/metric"
)

// metrics are the service's own; requests are counted by the chassis.
type metrics struct {
	told, settled, swept, lost, takeovers metric.Int64Counter
}

func (m *metrics) register(s *Service) (err error) {
	meter := s.host.Metrics()
	for _, row := range []struct {
		to         *metric.Int64Counter
		name, help string
	}{
		{&m.told, "presence.published", "Changes of what others see of a user."},
		{&m.settled, "presence.settled", "Records looked at because a time had come."},
		{&m.swept, "presence.gateways.lost", "Gateways taken for dead that had connections."},
		{&m.lost, "presence.users.lost", "Users whose connection was on a gateway taken for dead."},
		{&m.takeovers, "presence.takeovers", "Connections closed because their session went on elsewhere."},
	} {
		if *row.to, err = meter.Int64Counter(row.name, metric.WithDescription(row.help)); err != nil {
			return fmt.Errorf("metric %s: %w", row.name, err)
		}
	}
	waiting, err := meter.Int64ObservableGauge("presence.due", metric.WithDescription("Users whose record is to be looked at later."))
	if err != nil {
		return fmt.Errorf("metric presence.due: %w", err)
	}
	overdue, err := meter.Int64ObservableGauge("presence.overdue", metric.WithDescription("Users whose record should have been looked at by now."))
	if err != nil {
		return fmt.Errorf("metric presence.overdue: %w", err)
	}
	_, err = meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		if all, due, err := s.records.Waiting(ctx, s.now()); err == nil { // while Redis is away there is no figure
			o.ObserveInt64(waiting, all)
			o.ObserveInt64(overdue, due)
		}
		return nil
	}, waiting, overdue)
	if err != nil {
		return fmt.Errorf("metrics of who is due: %w", err)
	}
	return nil
}
