package chat

import (
	"context"
	"fmt"
	"time"

	"supmesh.dev/chat/eventlog"
	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/wire"
)

// expiry is a job of proto.ExpireMessages.
type expiry struct {
	ChatID    string          `json:"chatId"`
	MessageID string          `json:"messageId"`
	ExpiresAt proto.Timestamp `json:"expiresAt"`
}

// scheduleTimeout bounds one try to store a timer.
const scheduleTimeout = 2 * time.Second

// scheduleExpiry stores the timer of a message that is about to be appended:
// whatever dies from here on, a stored message has its timer. The id names the
// place in the chat too, so that the timer of an append that lost its place to
// another message finds nothing to do.
func (s *Service) scheduleExpiry(ctx context.Context, m *proto.Message) error {
	body, err := wire.Marshal(expiry{ChatID: m.ChatID, MessageID: m.ID, ExpiresAt: *m.ExpiresAt})
	if err != nil {
		return err
	}
	name, err := proto.EncodeID(m.ID)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, scheduleTimeout)
	defer cancel()
	if err := s.host.Schedule(ctx, proto.Timer("chat", name), proto.ExpireMessages, m.ExpiresAt.Time, body); err != nil {
		return fmt.Errorf("%w: %w", eventlog.ErrUnavailable, err)
	}
	return nil
}

// appendAfterTimer is how long after its timer a message may still be stored:
// the timer is made first, and its append may be under way in a server that hangs.
const appendAfterTimer = time.Minute

// expire deletes a message whose time is over for everyone. It may run again.
func (s *Service) expire(ctx context.Context, body []byte) error {
	var job expiry
	if err := wire.Restore(body, &job); err != nil {
		return fmt.Errorf("%w: %w", services.ErrMalformed, err)
	}
	if err := s.gate.wait(ctx); err != nil {
		return err
	}
	c, err := s.chatOf(job.ChatID)
	if err != nil {
		return fmt.Errorf("%w: %w", services.ErrMalformed, err)
	}
	_, seq, ok := parseMessageID(job.MessageID)
	if !ok {
		return fmt.Errorf("%w: message %q", services.ErrMalformed, job.MessageID)
	}
	t, _, err := s.target(ctx, c.token, job.MessageID, 0)
	if err != nil {
		return err
	}
	if t == nil {
		last, err := s.log.Last(ctx, proto.Events.Name, proto.ChatLog(c.token, proto.KindMessage))
		if err == nil && last.Seq < seq && s.host.Now().Before(job.ExpiresAt.Add(appendAfterTimer)) {
			return &services.Later{After: appendAfterTimer / 4}
		}
		return err // another message has its place, or it was never stored
	}
	if _, left := t.overdue(s.host.Now()); left > 0 { // NATS keeps time by its own clock
		return &services.Later{After: left}
	}
	r, err := s.revise(ctx, c, job.MessageID, "expired "+job.MessageID, "", func(t *target) (decision, error) {
		event, _ := t.overdue(s.host.Now())
		if event == nil {
			return decision{}, nil
		}
		return decision{proto.MessageDeletedEvent.Name, event}, nil
	})
	if r != nil {
		count(s.metrics.expired, 1)
	}
	return err
}
