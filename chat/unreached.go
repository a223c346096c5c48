package chat

import (
	"context"

	"supmesh.dev/chat/projection"
	"supmesh.dev/chat/roster"
	"supmesh.dev/proto"
	"supmesh.dev/services"
)

// unreachedUser is what a user has in an answer beside the id, and unreachedFrame what the
// answer has beside users and name, in bytes.
const (
	unreachedUser  = len(`,18446744073709551615,`)
	unreachedFrame = 1 << 10
)

// unreached is a page of the members of whom no device has said that it has a
// message, its author among them where that is so. A service asks: whom it turns to
// otherwise rests on it, so what is not whole is waited for.
func (s *Service) unreached(ctx context.Context, req proto.UnreachedReq) (proto.UnreachedRes, error) {
	if err := services.ServiceOnly(ctx); err != nil {
		return proto.UnreachedRes{}, err
	}
	if err := s.gate.wait(ctx); err != nil {
		return proto.UnreachedRes{}, err
	}
	c, err := s.chatOf(req.ChatID)
	if err != nil {
		return proto.UnreachedRes{}, err
	}
	var after proto.Token
	if req.After != "" {
		if after, err = proto.EncodeID(req.After); err != nil {
			return proto.UnreachedRes{}, proto.FieldError("after", err)
		}
	}
	res, err := s.unreachedPage(ctx, c, &req, after)
	return res, unavailable(err)
}

func (s *Service) unreachedPage(ctx context.Context, c *chatState, req *proto.UnreachedReq, after proto.Token) (proto.UnreachedRes, error) {
	res := proto.UnreachedRes{UserIDs: []string{}, Unread: []uint64{}}
	end, err := s.ends(ctx, []proto.Token{c.token})
	if err != nil {
		return res, err
	}
	last := end[c.token].last
	// Before the members are read: Redis may lack what they have said, and so have read.
	head, err := s.state.Head(ctx, c.token)
	if err != nil {
		return res, err
	}
	name, page, more, err := s.progress(ctx, c, after, req.Limit)
	// After it is known that nothing is forgotten: what is healed before would be wiped.
	if err == nil && head.Seq < last.Seq {
		if err = s.heal(ctx, c.token, last.Seq); err == nil {
			name, page, more, err = s.progress(ctx, c, after, req.Limit)
		}
	}
	if err != nil {
		return res, err
	}
	res.Name = name
	// The page ends where all that could be left of it would not fit.
	room := s.host.AnswerRoom()
	room.Fits(unreachedFrame + proto.EncodedLen(name))
	ids := make([]string, 0, len(page))
	for _, m := range page {
		id, err := m.User.ID()
		if err != nil {
			return res, err
		}
		if !room.Fits(proto.EncodedLen(id) + unreachedUser) {
			more = true
			break
		}
		ids = append(ids, id)
	}
	if more {
		res.Next = ids[len(ids)-1]
	}
	return res, s.addUnreached(ctx, c, req.Seq, end[c.token], page[:len(ids)], &res)
}

// progress is a chat's name and how far a page of its members are, once it is known
// that Redis has not forgotten any of it.
func (s *Service) progress(ctx context.Context, c *chatState, after proto.Token, limit int) (name string, out []roster.Progress, more bool, err error) {
	for {
		r := s.roster.Load()
		now, err := r.Chat(ctx, c.token, nil)
		if err != nil {
			return "", nil, false, err
		}
		var page []roster.Listed
		if page, more, err = r.MembersPage(ctx, c.token, after, limit); err != nil {
			return "", nil, false, err
		}
		out, whole, err := r.Progress(ctx, c.token, page)
		switch {
		case err != nil:
			return "", nil, false, err
		case !whole:
			if err := s.restored(ctx); err != nil {
				return "", nil, false, err
			}
			continue
		case now.Version == 0:
			return "", nil, false, errNoChat()
		}
		return now.Fields[fieldName], out, more, nil
	}
}

// addUnreached adds those of a page who lack a message. What was said while a member was
// none the member does not lack, and has not left unread.
func (s *Service) addUnreached(ctx context.Context, c *chatState, seq uint64, end ends, page []roster.Progress, res *proto.UnreachedRes) error {
	if seq > end.last.Seq {
		return nil // there is no such message
	}
	at, err := s.positions(ctx, []projection.Span{{Chat: c.token, From: seq, To: seq}})
	if err != nil {
		return err
	}
	var asks []unreadOf
	for _, m := range page {
		if m.Delivered < seq && m.Read < seq && (at[0][0] == 0 || m.Stay.Covers(at[0][0])) {
			asks = append(asks, unreadOf{chat: c.token, user: m.User, stay: m.Stay, read: m.Read, end: end})
		}
	}
	unread, err := s.countUnread(ctx, asks)
	if err != nil {
		return err
	}
	for i, a := range asks {
		if unread[i].readSeq >= seq {
			continue
		}
		id, err := a.user.ID()
		if err != nil {
			return err
		}
		res.UserIDs, res.Unread = append(res.UserIDs, id), append(res.Unread, unread[i].count)
	}
	return nil
}
