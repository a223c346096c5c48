package chat

import (
	"context"
	"errors"

	"supmesh.dev/chat/eventlog"
	"supmesh.dev/chat/revisions"
	"supmesh.dev/proto"
	"supmesh.dev/services/wire"
)

// deleteMessage deletes a message for everyone, or for the user who asks. What
// is deleted already is a success without an event.
func (s *Service) deleteMessage(ctx context.Context, req proto.DeleteReq) (proto.DeleteRes, error) {
	who, c, err := s.enterChat(ctx, req.ChatID)
	if err != nil {
		return proto.DeleteRes{}, err
	}
	res := proto.DeleteRes{ChatID: req.ChatID, MessageID: req.MessageID, ForEveryone: req.ForEveryone}
	if req.ForEveryone {
		err = s.deleteForAll(ctx, c, who, &res)
	} else {
		err = s.deleteForMe(ctx, c, who, &res)
	}
	if err != nil {
		return proto.DeleteRes{}, unavailable(err)
	}
	return res, nil
}

func (s *Service) deleteForAll(ctx context.Context, c *chatState, who caller, res *proto.DeleteRes) error {
	r, err := s.revise(ctx, c, res.MessageID, revisionKey(who, c.id), who.trace, func(t *target) (decision, error) {
		m, err := s.member(ctx, c, who)
		if err != nil {
			return decision{}, err
		}
		d := deleting{user: who.User, role: m.Role, window: s.cfg.DeleteWindow, now: proto.At(s.host.Now())}
		event, at, err := d.judge(t)
		res.Seq, res.DeletedAt = t.seq, at
		if err != nil || event == nil {
			return decision{}, err
		}
		return decision{proto.MessageDeletedEvent.Name, event}, nil
	})
	if r != nil && r.deleted != nil {
		res.DeletedAt = r.deleted.DeletedAt
	}
	return err
}

// deleteForMe hides a message from its caller: an entry in the caller's own
// log, and from that a line in Redis.
func (s *Service) deleteForMe(ctx context.Context, c *chatState, who caller, res *proto.DeleteRes) error {
	if _, err := s.member(ctx, c, who); err != nil {
		return err
	}
	t, _, err := s.target(ctx, c.token, res.MessageID, 0)
	if err != nil {
		return err
	}
	if t == nil {
		return errNoMessage("messageId")
	}
	when, err := s.hidden(ctx, who.user, []revisions.Ask{{Chat: c.token, Seqs: []uint64{t.seq}}})
	if err != nil {
		return err
	}
	res.Seq = t.seq
	if at := when[0][0]; at != 0 {
		res.DeletedAt = atMillis(at)
		return nil
	}
	event := t.deletion(proto.At(s.host.Now()), who.User, proto.ReasonDeleted)
	event.ForEveryone = false
	if err := s.appendOwn(ctx, who, event); err != nil {
		return err
	}
	res.DeletedAt = event.DeletedAt
	return s.revisions.Hide(ctx, who.user, hidingOf(c.token, event))
}

// appendOwn stores an event in the log of the user who asks, behind whatever
// is there. What an earlier try of this request stored is put into event.
func (s *Service) appendOwn(ctx context.Context, who caller, event *proto.MessageDeleted) error {
	body, err := wire.Marshal(event)
	if err != nil {
		return err
	}
	subject := proto.UserLog(who.user)
	last, err := s.log.Last(ctx, proto.Events.Name, subject)
	if err != nil {
		return err
	}
	uncertain := false
	for after, wait := last.Position, firstPause; ; {
		ack, err := s.log.Append(ctx, &eventlog.Append{
			Subject: subject, After: after, Key: revisionKey(who, event.ChatID), Event: proto.MessageDeletedEvent.Name, Trace: who.trace, Body: body,
		})
		var moved *eventlog.WrongLastError
		switch {
		case err == nil && ack.Duplicate:
			stored, err := s.entryAt(ctx, ack.Position)
			if err != nil {
				return err
			}
			return wire.Restore(stored.Body, event)
		case err == nil:
			return nil
		case errors.As(err, &moved): // something else was stored for this user
			if after = moved.Last; ctx.Err() != nil {
				return ctx.Err()
			}
		case errors.Is(err, eventlog.ErrUncertain), errors.Is(err, eventlog.ErrUnavailable):
			uncertain = uncertain || errors.Is(err, eventlog.ErrUncertain)
			if !pause(ctx, wait) {
				if uncertain {
					return proto.Errorf(proto.Timeout, "the log did not answer in time; the same again is safe")
				}
				return err
			}
			wait = min(2*wait, lastPause)
		default:
			return err
		}
	}
}
