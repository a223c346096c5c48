package reactions

import (
	"context"
	"errors"

	"supmesh.dev/proto"
	"supmesh.dev/reactions/board"
	"supmesh.dev/reactions/emoji"
	"supmesh.dev/services"
)

// act is one user's reaction, about to be put or taken away.
type act struct {
	req    *proto.ReactReq
	caller services.Caller
	on     board.On
	author string
	action string
	shown  string // the reaction as it counts
}

func (s *Service) add(ctx context.Context, req proto.ReactReq) (proto.AddReactionRes, error) {
	v, a, _, err := s.react(ctx, &req, proto.ReactionAdd)
	if err != nil {
		return proto.AddReactionRes{}, unavailable(err)
	}
	return proto.AddReactionRes{MessageID: req.MessageID, Reaction: a.shown, Counts: most(v.Counts)}, nil
}

func (s *Service) remove(ctx context.Context, req proto.ReactReq) (proto.RemoveReactionRes, error) {
	v, a, changed, err := s.react(ctx, &req, proto.ReactionRemove)
	if err != nil {
		return proto.RemoveReactionRes{}, unavailable(err)
	}
	return proto.RemoveReactionRes{MessageID: req.MessageID, Reaction: a.shown, Removed: changed, Counts: most(v.Counts)}, nil
}

// react makes one change. What is so already changes nothing, and nobody is told.
func (s *Service) react(ctx context.Context, req *proto.ReactReq, action string) (v board.View, a act, changed bool, err error) {
	if a, err = s.judge(ctx, req, action); err != nil {
		return v, a, false, err
	}
	for {
		if v, err = s.view(ctx, &a); err != nil {
			return v, a, false, err
		}
		if v.Has == (action == proto.ReactionAdd) {
			return v, a, false, nil
		}
		if action == proto.ReactionAdd && v.Own >= proto.MaxReactions {
			return v, a, false, proto.Errorf(proto.ReactionLimit, "at most %d different reactions on one message", proto.MaxReactions)
		}
		if action == proto.ReactionAdd && v.Counts[a.shown] == 0 && len(v.Counts) >= proto.MaxDistinct {
			return v, a, false, proto.Errorf(proto.ReactionLimit, "at most %d different reactions of all users on one message", proto.MaxDistinct)
		}
		// Where others were first, it is looked at again, until the deadline.
		if err = s.store(ctx, &a, &v); !errors.Is(err, board.ErrMoved) {
			return v, a, err == nil, err
		}
	}
}

// judge says whether the user may react to the message, and with what.
func (s *Service) judge(ctx context.Context, req *proto.ReactReq, action string) (a act, err error) {
	a = act{req: req, action: action}
	if a.caller, err = services.CallerFrom(ctx); err != nil {
		return a, err
	}
	shown, ok := emoji.Canonical(req.Reaction)
	switch {
	case ok:
		a.shown = shown
	case emoji.Shortcode(req.Reaction):
		a.shown = req.Reaction
	default:
		return a, &proto.Error{Code: proto.InvalidReaction, Field: "reaction", Message: "reaction must be exactly one emoji, or a :shortcode: of at most 32 characters"}
	}
	m, on, err := s.find(ctx, a.caller, req.ChatID, req.MessageID)
	if err != nil {
		return a, err
	}
	if m.Deleted {
		return a, &proto.Error{Code: proto.MessageNotFound, Field: "messageId", Message: "the message has been deleted"}
	}
	a.on, a.author = on, m.SenderID
	return a, nil
}

// find asks chat for a message that the user may see.
func (s *Service) find(ctx context.Context, who services.Caller, chatID, messageID string) (m proto.FindMessageRes, on board.On, err error) {
	m, err = services.Do(ctx, s.host, proto.FindMessage, proto.Actor{}, proto.FindMessageReq{UserID: who.Actor.User, ChatID: chatID, MessageID: messageID})
	if err != nil {
		return m, on, err
	}
	if on.Chat, err = proto.EncodeID(m.ChatID); err != nil {
		return m, on, err
	}
	on.Message, err = proto.EncodeID(messageID)
	return m, on, err
}

// view is the message as the user has it, read from the log first where Redis lacks something.
func (s *Service) view(ctx context.Context, a *act) (v board.View, err error) {
	err = s.whole(ctx, a.on.Chat, func() error {
		v, err = s.board.View(ctx, a.on, a.caller.User, a.shown)
		return err
	})
	return v, err
}

// whole repeats a read until Redis has everything that it needs.
func (s *Service) whole(ctx context.Context, chat proto.Token, read func() error) error {
	for {
		err := read()
		if !errors.Is(err, board.ErrStale) {
			return err
		}
		if err := s.board.Heal(ctx, chat); err != nil {
			return err
		}
	}
}

// store appends what follows from a view, and makes the view say so.
func (s *Service) store(ctx context.Context, a *act, v *board.View) error {
	count := v.Counts[a.shown] + 1
	if a.action == proto.ReactionRemove {
		count = max(v.Counts[a.shown]-1, 0)
	}
	err := s.board.Append(ctx, board.Put{
		On: a.on, User: a.caller.User, After: v.Mark, Key: "react:" + a.caller.RequestID + ":" + string(a.caller.User), Trace: a.caller.Traceparent(),
		Reaction: proto.Reaction{
			MessageID: a.req.MessageID, ChatID: a.req.ChatID, UserID: a.caller.Actor.User, UserName: a.caller.Actor.Name, Reaction: a.shown,
			Action: a.action, Timestamp: proto.At(s.host.Now()), Count: count, Author: a.author,
		},
	})
	switch {
	case errors.Is(err, services.ErrRedisDown):
		// Stored: Redis is told by whoever reads the chat next.
		s.host.Log().WarnContext(ctx, "keep reaction", "error", err)
	case err != nil:
		return err
	}
	if v.Counts[a.shown] = count; count == 0 {
		delete(v.Counts, a.shown)
	}
	return nil
}
