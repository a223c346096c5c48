package signaling

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"supmesh.dev/signaling/state"
)

// metrics are the service's own; requests are counted by the chassis.
type metrics struct {
	begun, ended  metric.Int64Counter
	answer, late  metric.Float64Histogram
	redone, found metric.Int64Counter
}

func (m *metrics) register(meter metric.Meter) error {
	var errs [6]error
	m.begun, errs[0] = meter.Int64Counter("signaling.calls.begun", metric.WithDescription("Calls that began to ring, by type."))
	m.ended, errs[1] = meter.Int64Counter("signaling.calls.ended", metric.WithDescription("Calls that are over, by status and reason."))
	m.answer, errs[2] = meter.Float64Histogram("signaling.answer.seconds", metric.WithUnit("s"),
		metric.WithExplicitBucketBoundaries(.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 45, 60, 90), metric.WithDescription("From the first ring to the answer."))
	m.late, errs[3] = meter.Float64Histogram("signaling.timeout.lateness", metric.WithUnit("s"),
		metric.WithExplicitBucketBoundaries(.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60), metric.WithDescription("How long after its time a ringing, or the grace of a side, was ended."))
	m.redone, errs[4] = meter.Int64Counter("signaling.moves.redone", metric.WithDescription("Moves that a second look had to tell, since whoever made them did not."))
	m.found, errs[5] = meter.Int64Counter("signaling.sides.lost", metric.WithDescription("Sides of a call whose socket was found to be gone without its gateway's word."))
	return errors.Join(errs[:]...)
}

// known are the reasons that clients give in a bounded number.
var known = map[string]bool{"": true, "hangup": true, "cancelled": true, "no_answer": true, "busy": true, "failed": true, "disconnected": true, "declined": true}

// moved counts what a call's moves after a version brought about.
func (m *metrics) moved(ctx context.Context, c *state.Call, after uint64) {
	if after == 0 {
		m.begun.Add(ctx, 1, metric.WithAttributes(attribute.String("type", string(c.Type))))
	}
	if c.IsOver() {
		reason := c.Reason
		if !known[reason] {
			reason = "other"
		}
		m.ended.Add(ctx, 1, metric.WithAttributes(attribute.String("status", string(c.Status)), attribute.String("reason", reason)))
		return
	}
	if last := c.Last(); last.Kind == state.Answered && last.At == c.AnsweredAt {
		m.answer.Record(ctx, float64(c.AnsweredAt-c.CreatedAt)/1000)
	}
}
