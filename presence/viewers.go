package presence

import (
	"context"

	"supmesh.dev/proto"
)

// viewers is who has a chat open, but those who are invisible.
func (s *Service) viewers(ctx context.Context, req proto.ViewersReq) (proto.ViewersRes, error) {
	chat, err := proto.EncodeID(req.ChatID)
	if err != nil {
		return proto.ViewersRes{}, proto.FieldError("chatId", err)
	}
	users, err := s.views.Active(ctx, chat)
	if err != nil {
		return proto.ViewersRes{}, unavailable(err)
	}
	hidden, err := s.records.Hidden(ctx, users)
	if err != nil {
		return proto.ViewersRes{}, unavailable(err)
	}
	n := 0
	for i, u := range users {
		if !hidden[i] {
			users[n] = u
			n++
		}
	}
	ids, err := idsOf(users[:min(n, proto.MaxViewers)])
	return proto.ViewersRes{UserIDs: ids, Count: n}, err
}
