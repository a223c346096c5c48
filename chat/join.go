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
	at, err := s.standings(ctx, who, []standingOf{{chat: c.token, last: last}})
	if err != nil {
		return proto.JoinChatRes{}, unavailable(err)
	}
	// The version was read before this membership: a removal that the version
	// does not count has not been overlooked.
	if !at[0].member {
		return proto.JoinChatRes{}, errNoChat()
	}
	return proto.JoinChatRes{
		ChatID: req.ChatID, LastSeq: last.Seq, ReadSeq: at[0].readSeq, UnreadCount: at[0].unread, Role: m.Role,
		Version: at[0].version, Receipts: at[0].others,
	}, nil
}
