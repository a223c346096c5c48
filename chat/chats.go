package chat

import (
	"bytes"
	"context"
	"encoding/json"

	"supmesh.dev/chat/roster"
	"supmesh.dev/proto"
)

// memberFrame is what a member has in an answer beside the id, and chatFrame what a chat
// has beside its texts, settings and members, in bytes.
const (
	memberFrame = len(`{"userId":,"role":"member"},`)
	chatFrame   = 2 << 10
)

// putChat creates a chat, or sets what is given and adds the members listed.
func (s *Service) putChat(ctx context.Context, req proto.PutChatReq) (proto.ChatRes, error) {
	return s.setChat(ctx, req, true)
}

// patchChat is putChat for a chat that exists.
func (s *Service) patchChat(ctx context.Context, req proto.PutChatReq) (proto.ChatRes, error) {
	return s.setChat(ctx, req, false)
}

func (s *Service) setChat(ctx context.Context, req proto.PutChatReq, create bool) (proto.ChatRes, error) {
	who, c, err := s.administer(ctx, req.ChatID)
	if err != nil {
		return proto.ChatRes{}, err
	}
	for name, v := range req.Settings { // compared as bytes, and stored compact
		var compact bytes.Buffer
		if err := json.Compact(&compact, v); err != nil {
			return proto.ChatRes{}, proto.FieldError("settings."+name, err)
		}
		req.Settings[name] = compact.Bytes()
	}
	a := amendment{by: who, create: create, added: req.Members, set: proto.ChatChanges{
		Name: req.Name, Avatar: req.Avatar, Description: req.Description, Settings: req.Settings,
	}}
	if a.users, err = usersOf(req.Members); err != nil {
		return proto.ChatRes{}, err
	}
	now, err := s.amend(ctx, c, a)
	if err != nil {
		return proto.ChatRes{}, unavailable(err)
	}
	res, err := s.shown(ctx, c, &now.Chat)
	res.Created = now.created
	return res, unavailable(err)
}

// getChat shows a chat with a page of its members.
func (s *Service) getChat(ctx context.Context, req proto.GetChatReq) (proto.ChatRes, error) {
	_, c, err := s.administer(ctx, req.ChatID)
	if err != nil {
		return proto.ChatRes{}, err
	}
	cur, err := s.currentChat(ctx, c, nil)
	if err != nil {
		return proto.ChatRes{}, unavailable(err)
	}
	if cur.Version == 0 {
		return proto.ChatRes{}, errNoChat()
	}
	res, err := s.shown(ctx, c, &cur)
	if err != nil {
		return proto.ChatRes{}, unavailable(err)
	}
	limit := proto.ValueOr(req.Limit, proto.MaxMembersPage)
	page, more, err := s.roster.Load().MembersPage(ctx, c.token, proto.Token(req.Cursor), limit)
	if err != nil {
		return proto.ChatRes{}, unavailable(err)
	}
	room := s.host.AnswerRoom()
	room.Fits(chatLen(&res))
	for _, m := range page {
		id, err := m.User.ID()
		if err != nil {
			return proto.ChatRes{}, err
		}
		if !room.Fits(proto.EncodedLen(id) + memberFrame) {
			more = true
			break
		}
		res.Members = append(res.Members, proto.Member{UserID: id, Role: m.Role})
	}
	if more {
		res.NextCursor = string(page[len(res.Members)-1].User)
	}
	return res, nil
}

// chatLen is how many bytes a chat without members takes in an answer, at most.
func chatLen(c *proto.ChatRes) int {
	n := chatFrame + proto.EncodedLen(c.ChatID) + proto.EncodedLen(c.Name) + proto.EncodedLen(c.Avatar) + proto.EncodedLen(c.Description)
	for name, value := range c.Settings {
		n += proto.EncodedLen(name) + len(value) + len(`:,`)
	}
	return n
}

func (s *Service) shown(ctx context.Context, c *chatState, cur *roster.Chat) (proto.ChatRes, error) {
	last, err := s.log.Last(ctx, proto.Events.Name, proto.ChatLog(c.token, proto.KindMessage))
	res := chatRes(c.id, cur)
	res.LastSeq = last.Seq
	return res, err
}

// administer admits a backend to a chat and waits until the state is whole.
func (s *Service) administer(ctx context.Context, chatID string) (caller, *chatState, error) {
	who, err := backendOf(ctx)
	if err != nil {
		return caller{}, nil, err
	}
	if err := s.gate.wait(ctx); err != nil {
		return caller{}, nil, err
	}
	c, err := s.chatOf(chatID)
	return who, c, err
}

func usersOf(members []proto.Member) ([]proto.Token, error) {
	out := make([]proto.Token, len(members))
	for i, m := range members {
		var err error
		if out[i], err = proto.EncodeID(m.UserID); err != nil {
			return nil, proto.FieldError("members.userId", err)
		}
	}
	return out, nil
}
