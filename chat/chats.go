package chat

import (
	"bytes"
	"context"
	"encoding/json"

	"supmesh.dev/chat/roster"
	"supmesh.dev/proto"
)

// membersBytes bounds the members of one answer: a thousand of the longest ids
// would not fit into a NATS message of the smallest bound one may set.
const membersBytes = 100_000

// memberBytes is what a member takes beside the id.
const memberBytes = len(`{"userId":"","role":"member"},`)

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
	room := membersBytes
	for i, m := range page {
		id, err := m.User.ID()
		if err != nil {
			return proto.ChatRes{}, err
		}
		if room -= len(id) + memberBytes; room < 0 && i > 0 {
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
