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
	end, err := s.ends(ctx, []proto.Token{c.token})
	if err != nil {
		return proto.JoinChatRes{}, unavailable(err)
	}
	last := end[c.token].last
	at, err := s.standings(ctx, who, []standingOf{{c.token, end[c.token]}})
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

// joinMultiple is the membership part of join for several chats at once.
func (s *Service) joinMultiple(ctx context.Context, req proto.JoinChatsReq) (proto.JoinChatsRes, error) {
	who, err := callerOf(ctx)
	if err != nil {
		return proto.JoinChatsRes{}, err
	}
	if err := s.gate.wait(ctx); err != nil {
		return proto.JoinChatsRes{}, err
	}
	res := proto.JoinChatsRes{Joined: []string{}, Failed: []proto.FailedJoin{}}
	seen := make(map[proto.Token]bool, len(req.ChatIDs))
	var chats []*chatState
	var tokens []proto.Token
	for _, id := range req.ChatIDs {
		c, err := s.chatOf(id)
		if err != nil {
			return proto.JoinChatsRes{}, err
		}
		if !seen[c.token] {
			seen[c.token] = true
			chats, tokens = append(chats, c), append(tokens, c.token)
		}
	}
	for again := false; ; again = true {
		places, err := s.places(ctx, who, tokens)
		if err != nil {
			return proto.JoinChatsRes{}, unavailable(err)
		}
		var strangers []*chatState
		var strange []proto.Token
		for i, p := range places {
			switch {
			case p.IsMember:
				res.Joined, res.Versions = append(res.Joined, chats[i].id), append(res.Versions, p.Version)
			case again:
				res.Failed = append(res.Failed, proto.FailedJoin{ChatID: chats[i].id, Code: proto.ChatNotFound})
			default:
				strangers, strange = append(strangers, chats[i]), append(strange, tokens[i])
			}
		}
		if len(strangers) == 0 {
			break
		}
		// Not members, or (open policy) not yet.
		for _, c := range strangers {
			if _, err := s.member(ctx, c, who); err != nil && proto.AsError(err).Code != proto.ChatNotFound {
				return proto.JoinChatsRes{}, unavailable(err)
			}
		}
		chats, tokens = strangers, strange
	}
	res.JoinedCount = len(res.Joined)
	return res, nil
}
