package chat

import (
	"context"

	"supmesh.dev/proto"
)

// edit gives a message new content. The same content again is a success
// without an event, so that a repeat is always safe.
func (s *Service) edit(ctx context.Context, req proto.EditReq) (proto.EditRes, error) {
	who, c, err := s.enterChat(ctx, req.ChatID)
	if err != nil {
		return proto.EditRes{}, err
	}
	res := proto.EditRes{ChatID: req.ChatID, MessageID: req.MessageID}
	e := editing{user: who.User, req: &req, window: s.cfg.EditWindow}
	r, err := s.revise(ctx, c, req.MessageID, revisionKey(who, req.ChatID), who.trace, func(t *target) (decision, error) {
		// Each time: a removal in between wins.
		if _, err := s.member(ctx, c, who); err != nil {
			return decision{}, err
		}
		if req.Mentions != nil {
			if req.Mentions, err = s.mentioned(ctx, c.token, req.Mentions); err != nil {
				return decision{}, err
			}
		}
		e.now = proto.At(s.host.Now())
		event, at, err := e.judge(t)
		res.Seq, res.EditedAt = t.seq, at
		if err != nil || event == nil {
			return decision{}, err
		}
		return decision{proto.MessageEditedEvent.Name, event}, nil
	})
	if err != nil {
		return proto.EditRes{}, unavailable(err)
	}
	if r != nil && r.edited != nil {
		res.EditedAt = r.edited.EditedAt
	}
	return res, nil
}

// enterChat is what a request about a message of a chat begins with. Membership
// comes before the message: what a stranger hears must not depend on its being there.
func (s *Service) enterChat(ctx context.Context, chatID string) (caller, *chatState, error) {
	who, err := callerOf(ctx)
	if err != nil {
		return caller{}, nil, err
	}
	if err := s.gate.wait(ctx); err != nil {
		return caller{}, nil, err
	}
	c, err := s.chatOf(chatID)
	if err != nil {
		return caller{}, nil, err
	}
	if _, err := s.member(ctx, c, who); err != nil {
		return caller{}, nil, unavailable(err)
	}
	return who, c, nil
}
