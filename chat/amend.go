package chat

import (
	"context"
	"errors"
	"fmt"

	"supmesh.dev/chat/eventlog"
	"supmesh.dev/chat/projection"
	"supmesh.dev/chat/roster"
	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/wire"
)

// amended is a chat after an amendment.
type amended struct {
	roster.Chat
	created bool
	changed int // members added, changed or removed
}

// amend changes a chat by one entry of its meta log: versions are dense, and an
// amendment is judged against the very version it follows. Repeating one that
// was stored changes nothing. It returns when the change is in Redis too.
func (s *Service) amend(ctx context.Context, c *chatState, a amendment) (amended, error) {
	// One for all tries and all repeats of the request: what was stored is not stored again,
	// also not where it has been taken back since.
	key := services.RepeatKey(ctx, "chat:amend:"+string(c.token))
	stored := false
	subject := proto.ChatLog(c.token, proto.KindMeta)
	var done amended // what an append of unknown outcome meant to do
	for wait := firstPause; ; {
		cur, err := s.currentChat(ctx, c, a.users)
		if err != nil {
			return amended{}, err
		}
		if cur.Version == 0 && !a.create {
			return amended{}, errNoChat()
		}
		if err := checkSettings(&a, &cur); err != nil {
			return amended{}, err
		}
		event, payload, changed, ok := entryOf(&a, c.id, &cur, proto.At(s.host.Now()))
		if !ok || stored {
			return amended{Chat: cur, created: done.created, changed: done.changed}, nil
		}
		done = amended{created: cur.Version == 0, changed: changed}
		body, err := wire.Marshal(payload)
		if err != nil {
			return amended{}, err
		}
		ack, err := s.log.Append(ctx, &eventlog.Append{
			Subject: subject, After: cur.Position, Key: key, Event: event, Socket: a.by.Socket, Trace: a.by.trace, Body: body,
		})
		var moved *eventlog.WrongLastError
		switch {
		case err == nil && !ack.Duplicate:
			entry := eventlog.Entry{Subject: subject, Position: ack.Position, Event: event, Body: body}
			if done.Chat, err = s.applied(ctx, c, entry, a.users); err != nil {
				return amended{}, err
			}
			return done, nil
		case err == nil: // an earlier try was stored: what is current shows it, or what followed it
			stored = true
		case errors.As(err, &moved):
			done = amended{}
		case errors.Is(err, eventlog.ErrUncertain), errors.Is(err, eventlog.ErrUnavailable):
			if !pause(ctx, wait) {
				return amended{}, err
			}
			wait = min(2*wait, lastPause)
		case errors.Is(err, eventlog.ErrTooLarge):
			return amended{}, &proto.Error{Code: proto.PayloadTooLarge, Field: "members", Message: "members are too many for one request: the change is one entry of the log"}
		default:
			return amended{}, err
		}
		if ctx.Err() != nil {
			return amended{}, ctx.Err()
		}
	}
}

// checkSettings bounds the settings that a chat would have.
func checkSettings(a *amendment, cur *roster.Chat) error {
	if len(a.set.Settings) == 0 {
		return nil
	}
	all := chatRes("", cur).Settings
	if all == nil {
		all = make(map[string]proto.Raw, len(a.set.Settings))
	}
	for name, value := range a.set.Settings {
		if string(value) == "null" {
			delete(all, name)
		} else {
			all[name] = value
		}
	}
	return proto.CheckSettings(all)
}

// applied brings Redis up to an entry that has just been stored.
func (s *Service) applied(ctx context.Context, c *chatState, e eventlog.Entry, users []proto.Token) (roster.Chat, error) {
	change, err := changeOf(e)
	if err != nil {
		return roster.Chat{}, err
	}
	s.remember(change)
	version, err := s.roster.Load().Apply(ctx, change)
	if err != nil {
		return roster.Chat{}, err
	}
	if version < change.Version { // it was flushed
		if err := s.healMeta(ctx, c.token, 0); err != nil {
			return roster.Chat{}, err
		}
	}
	return s.roster.Load().Chat(ctx, c.token, users)
}

// currentChat is a chat as its log says, with Redis brought up to it.
func (s *Service) currentChat(ctx context.Context, c *chatState, users []proto.Token) (roster.Chat, error) {
	last, err := s.log.Last(ctx, proto.Events.Name, proto.ChatLog(c.token, proto.KindMeta))
	if err != nil {
		return roster.Chat{}, err
	}
	for {
		cur, err := s.roster.Load().Chat(ctx, c.token, users)
		if err != nil || cur.Position >= last.Position {
			return cur, err
		}
		if err := s.healMeta(ctx, c.token, cur.Position); err != nil {
			return roster.Chat{}, err
		}
		if again, err := s.roster.Load().Chat(ctx, c.token, nil); err != nil {
			return roster.Chat{}, err
		} else if again.Position < last.Position && !pause(ctx, firstPause) { // flushed meanwhile
			return roster.Chat{}, projection.ErrDown
		}
	}
}

// healMeta applies a chat's changes from a position on.
func (s *Service) healMeta(ctx context.Context, chat proto.Token, after uint64) error {
	for {
		page, more, err := s.log.Range(ctx, proto.Events.Name, proto.ChatLog(chat, proto.KindMeta), after+1, healPage, healBytes)
		if err != nil {
			return fmt.Errorf("heal members of chat %s: %w", chat, err)
		}
		for _, e := range page {
			change, err := changeOf(e)
			if err != nil {
				return err
			}
			s.remember(change)
			if _, err := s.roster.Load().Apply(ctx, change); err != nil {
				return err
			}
			after = e.Position
		}
		if !more {
			return nil
		}
	}
}

// remember lets memory follow a change at once, whatever Redis does.
func (s *Service) remember(change roster.Change) {
	c, ok := s.chats.peek(string(change.Chat))
	if !ok {
		return
	}
	c.forget(change.Removed...)
	for _, a := range change.Added {
		c.forget(a.User)
	}
}
