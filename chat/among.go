package chat

import (
	"context"

	"supmesh.dev/chat/roster"
	"supmesh.dev/proto"
	"supmesh.dev/services"
)

// membersAmong says which of some users are members of a chat. A service asks:
// what it allows rests on it, so what is not whole is waited for.
func (s *Service) membersAmong(ctx context.Context, req proto.AmongReq) (proto.AmongRes, error) {
	if err := services.ServiceOnly(ctx); err != nil {
		return proto.AmongRes{}, err
	}
	if err := s.gate.wait(ctx); err != nil {
		return proto.AmongRes{}, err
	}
	c, err := s.chatOf(req.ChatID)
	if err != nil {
		return proto.AmongRes{}, err
	}
	users := make([]proto.Token, len(req.UserIDs))
	for i, id := range req.UserIDs {
		if users[i], err = proto.EncodeID(id); err != nil {
			return proto.AmongRes{}, proto.FieldError("userIds", err)
		}
	}
	now, err := s.chatWith(ctx, c, users)
	switch {
	case err != nil:
		return proto.AmongRes{}, unavailable(err)
	case now.Version == 0:
		return proto.AmongRes{}, errNoChat()
	}
	res := proto.AmongRes{Members: []string{}}
	for i, user := range users {
		if _, is := now.Members[user]; is {
			res.Members = append(res.Members, req.UserIDs[i])
		}
	}
	return res, nil
}

// chatWith is a chat and which of some users are its members. Before one counts as
// none, it is known that Redis has not forgotten.
func (s *Service) chatWith(ctx context.Context, c *chatState, users []proto.Token) (roster.Chat, error) {
	now, err := s.roster.Load().Chat(ctx, c.token, users)
	if err != nil || now.Version > 0 && !lacks(now, users) {
		return now, err
	}
	if err := s.whole(ctx); err != nil {
		return roster.Chat{}, err
	}
	return s.roster.Load().Chat(ctx, c.token, users)
}

func lacks(c roster.Chat, users []proto.Token) bool {
	for _, user := range users {
		if _, is := c.Members[user]; !is {
			return true
		}
	}
	return false
}
