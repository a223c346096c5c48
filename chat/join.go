package chat

import (
	"context"

	"supmesh.dev/proto"
)

// join tells a socket that opens a chat where the chat and its user stand. The
// gateway keeps who is viewing.
func (s *Service) join(ctx context.Context, req proto.JoinChatReq) (proto.JoinChatRes, error) {
	who, err := callerOf(ctx)
	if err != nil {
		return proto.JoinChatRes{}, err
	}
	if err := s.gate.wait(ctx); err != nil {
		return proto.JoinChatRes{}, err
	}
	c, err := s.chatOf(req.ChatID)
	if err != nil {
		return proto.JoinChatRes{}, err
	}
	m, err := s.member(ctx, c, who)
	if err != nil {
		return proto.JoinChatRes{}, unavailable(err)
	}
	last, err := s.log.Last(ctx, proto.Events.Name, proto.ChatLog(c.token, proto.KindMessage))
	if err != nil {
		return proto.JoinChatRes{}, unavailable(err)
	}
	places, err := s.roster.Load().Places(ctx, who.user, who.device, []proto.Token{c.token})
	if err != nil {
		return proto.JoinChatRes{}, unavailable(err)
	}
	// The version was read before this membership: a removal that the version
	// does not count has not been overlooked.
	if !places[0].IsMember {
		return proto.JoinChatRes{}, errNoChat()
	}
	// What was said before the user joined does not count as unread.
	floors, err := s.floors(ctx, []floorOf{{chat: c.token, lastSeq: last.Seq, lastPosition: last.Position, floor: m.Joined, atLeast: places[0].Read}})
	if err != nil {
		return proto.JoinChatRes{}, unavailable(err)
	}
	read := min(floors[0], last.Seq)
	return proto.JoinChatRes{
		ChatID: req.ChatID, LastSeq: last.Seq, ReadSeq: read, UnreadCount: last.Seq - read, Role: m.Role, Version: places[0].Version,
	}, nil
}
