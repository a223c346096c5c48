package chat

import (
	"context"
	"fmt"
	"time"

	"supmesh.dev/chat/eventlog"
	"supmesh.dev/chat/projection"
	"supmesh.dev/proto"
	"supmesh.dev/services/wire"
)

// Bounds of one read of the log while healing.
const (
	healPage  = 500
	healBytes = 1 << 20
)

// heal brings a chat's projection up to seq to, as far as the log has it: index,
// records of sends younger than a day, and what senders have read. It goes on
// from where the projection stands, so a heal cut short was not in vain.
func (s *Service) heal(ctx context.Context, chat proto.Token, to uint64) error {
	if id, err := chat.ID(); err == nil {
		if c, err := s.chatOf(id); err == nil { // one at a time: the next finds it done
			c.healing.Lock()
			defer c.healing.Unlock()
		}
	}
	head, err := s.state.Head(ctx, chat)
	if err != nil {
		return err
	}
	subject := proto.ChatLog(chat, proto.KindMessage)
	for head.Seq < to {
		page, more, err := s.log.Range(ctx, proto.Events.Name, subject, head.Position+1, healPage, healBytes)
		if err != nil {
			return fmt.Errorf("heal chat %s: %w", chat, err)
		}
		if len(page) == 0 {
			return nil // the log ends before to: nothing is missing
		}
		at, err := s.state.Heal(ctx, chat, head.Seq, healed(page), s.host.Now())
		if err != nil {
			return err
		}
		count(s.metrics.healed, len(page))
		if last := page[len(page)-1]; at == last.Seq {
			head.Seq, head.Position = last.Seq, last.Position
		} else if head, err = s.state.Head(ctx, chat); err != nil { // others healed too, or it was flushed
			return err
		}
		if !more {
			return nil
		}
	}
	return nil
}

func healed(page []eventlog.Entry) []projection.Healed {
	out := make([]projection.Healed, len(page))
	for i, e := range page {
		out[i] = projection.Healed{
			Seq: e.Seq, Position: e.Position, User: senderIn(e.Body), Key: e.Key, Content: e.Content, Time: e.Time, Expires: expiryIn(e.Body),
		}
	}
	return out
}

// senderIn is the sender of a stored body, as a token; empty where there is none.
func senderIn(body []byte) proto.Token {
	user, err := proto.EncodeID(authorIn(body))
	if err != nil {
		return ""
	}
	return user
}

// expiryIn is when a stored body expires; zero where it does not.
func expiryIn(body []byte) time.Time {
	if !mayExpire(body) {
		return time.Time{}
	}
	var m proto.NewMessage
	if err := wire.Restore(body, &m); err != nil || m.Message.ExpiresAt == nil {
		return time.Time{}
	}
	return m.Message.ExpiresAt.Time
}
