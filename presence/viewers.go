package presence

import (
	"context"

	"supmesh.dev/proto"
	"supmesh.dev/services"
)

// viewers is who has a chat open, but those who are invisible: as many as fit an answer.
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
	room := s.host.AnswerRoom()
	room.Fits(listFrame)
	ids, _, err := fitting(room, users[:min(n, proto.MaxViewers)])
	return proto.ViewersRes{UserIDs: ids, Count: n}, err
}

// listFrame is what an answer has beside its list, in bytes.
const listFrame = 2 << 10

// fitting is idsOf for as many as fit an answer; all says that none is left out.
func fitting(room *services.Room, tokens []proto.Token) (ids []string, all bool, err error) {
	ids, err = idsOf(tokens)
	if err != nil {
		return nil, false, err
	}
	for i, id := range ids {
		if !room.Fits(proto.EncodedLen(id) + 1) {
			return ids[:i], false, nil
		}
	}
	return ids, true, nil
}
