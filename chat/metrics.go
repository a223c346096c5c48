package chat

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/metric"
)

// metrics are the service's own; requests are counted by the chassis.
type metrics struct {
	stored, duplicates, conflicts, healed, rebuilds, unprojected, expired, oversized metric.Int64Counter
	receipts, notices, noticesDropped                                                metric.Int64Counter
}

func (m *metrics) register(meter metric.Meter) (err error) {
	for _, row := range []struct {
		to         *metric.Int64Counter
		name, help string
	}{
		{&m.stored, "chat.messages.stored", "Messages appended to the log."},
		{&m.duplicates, "chat.messages.duplicate", "Sends answered with a message stored before."},
		{&m.conflicts, "chat.append.conflicts", "Appends that had to follow another instance's."},
		{&m.expired, "chat.messages.expired", "Messages deleted because their ttlSec was over."},
		{&m.oversized, "chat.messages.oversized", "Messages read without their content, since they fit no answer: max_payload has been lowered."},
		{&m.healed, "chat.projection.healed", "Messages and edits read back from the log into Redis."},
		{&m.rebuilds, "chat.projection.rebuilds", "Times the working state was rebuilt from the log."},
		{&m.unprojected, "chat.projection.failed", "Messages whose write to Redis failed; the next reader heals them."},
		{&m.receipts, "chat.receipts.stored", "Receipts that moved a cursor."},
		{&m.notices, "chat.receipts.notices", "Events sent to authors and to readers' other sockets."},
		{&m.noticesDropped, "chat.receipts.dropped", "Such events that could not be sent, or found too many waiting."},
	} {
		if *row.to, err = meter.Int64Counter(row.name, metric.WithDescription(row.help)); err != nil {
			return fmt.Errorf("metric %s: %w", row.name, err)
		}
	}
	return nil
}

func count(c metric.Int64Counter, n int) { c.Add(context.Background(), int64(n)) }
