package chat

import (
	"context"
	"time"

	"supmesh.dev/proto"
	"supmesh.dev/services"
)

// activeFrame is what the answer has beside the users, in bytes.
const activeFrame = 1 << 10

// activeMembers is who has a chat open: presence knows who, the roster knows
// which of them are members still.
func (s *Service) activeMembers(ctx context.Context, req proto.ActiveMembersReq) (proto.ActiveMembersRes, error) {
	who, err := callerOf(ctx)
	if err != nil {
		return proto.ActiveMembersRes{}, err
	}
	if err := s.gate.wait(ctx); err != nil {
		return proto.ActiveMembersRes{}, err
	}
	c, err := s.chatOf(req.ChatID)
	if err != nil {
		return proto.ActiveMembersRes{}, err
	}
	if _, err := s.member(ctx, c, who); err != nil {
		return proto.ActiveMembersRes{}, unavailable(err)
	}
	viewers, err := s.viewers(ctx, req.ChatID)
	if err != nil {
		return proto.ActiveMembersRes{}, err
	}
	tokens := make([]proto.Token, len(viewers.UserIDs))
	for i, id := range viewers.UserIDs {
		if tokens[i], err = proto.EncodeID(id); err != nil {
			return proto.ActiveMembersRes{}, err
		}
	}
	// A gateway may be about to say that a removed user views no more.
	are, err := s.roster.Load().Are(ctx, c.token, tokens)
	if err != nil {
		return proto.ActiveMembersRes{}, unavailable(err)
	}
	active, count := stillMembers(viewers, are, proto.MaxActive, s.host.AnswerRoom())
	return proto.ActiveMembersRes{ChatID: req.ChatID, ActiveMembers: active, Count: count}, nil
}

// viewers asks presence who has a chat open, early enough to say so if nobody answers.
func (s *Service) viewers(ctx context.Context, chatID string) (proto.ViewersRes, error) {
	asking := ctx
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		asking, cancel = context.WithDeadline(ctx, end.Add(-answerMargin))
		defer cancel()
	}
	res, err := services.Do(asking, s.host, proto.Viewers, proto.Actor{}, proto.ViewersReq{ChatID: chatID})
	if err != nil {
		s.host.Log().DebugContext(ctx, "ask who has a chat open", "error", err)
		return proto.ViewersRes{}, &proto.Error{Code: proto.ServiceUnavailable, Message: "presence is unavailable for a moment", RetryAfter: time.Second}
	}
	return res, nil
}

// stillMembers lists the first viewers who are members, as many as fit an answer, and
// counts all viewers but those who were looked at and are not.
func stillMembers(viewers proto.ViewersRes, are []bool, limit int, room *services.Room) (active []string, count int) {
	room.Fits(activeFrame)
	active, count = []string{}, viewers.Count
	for i, id := range viewers.UserIDs {
		switch {
		case !are[i]:
			count--
		case len(active) < limit && room.Fits(proto.EncodedLen(id)+1):
			active = append(active, id)
		}
	}
	return active, max(count, len(active))
}
