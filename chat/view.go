package chat

import (
	"context"
	"time"

	"supmesh.dev/chat/viewing"
	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/wire"
)

// registry is who has which chat open, over all gateways: viewing.Store, until
// the presence service has it.
type registry interface {
	Began(ctx context.Context, gateway proto.Token, viewers []viewing.Viewer) ([]viewing.Outcome, error)
	Ended(ctx context.Context, gateway proto.Token, viewers []viewing.Viewer) ([]viewing.Outcome, error)
	Active(ctx context.Context, chat proto.Token, limit int) (users []proto.Token, count int, err error)
	Renew(ctx context.Context, gateway proto.Token, begin bool) (known, swept bool, err error)
	Release(ctx context.Context, gateway proto.Token) error
	Lock(ctx context.Context, holder string, ttl time.Duration) (bool, error)
	Dead(ctx context.Context) ([]proto.Token, error)
	Sweep(ctx context.Context, gateway proto.Token, limit int) (left []viewing.Viewer, more bool, err error)
}

// view notes what a gateway tells of its sockets. The first and the last
// viewing socket of a user are told to the others who view.
func (s *Service) view(ctx context.Context, req proto.ViewReq) (proto.ViewRes, error) {
	// Members are read below: not before they are all there.
	if err := s.gate.wait(ctx); err != nil {
		return proto.ViewRes{}, err
	}
	gateway, err := proto.EncodeID(req.Gateway)
	if err != nil {
		return proto.ViewRes{}, proto.FieldError("gateway", err)
	}
	ended, err := viewersOf(req.Ended)
	if err != nil {
		return proto.ViewRes{}, err
	}
	began, err := viewersOf(req.Began)
	if err != nil {
		return proto.ViewRes{}, err
	}
	outcomes, err := s.viewing.Ended(ctx, gateway, ended)
	if err != nil {
		return proto.ViewRes{}, unavailable(err)
	}
	for i, o := range outcomes {
		if o == viewing.Last && !req.Quiet {
			s.tellActive(ctx, ended[i], req.Ended[i].ChatID, req.Ended[i].UserID, false)
		}
	}
	if outcomes, err = s.viewing.Began(ctx, gateway, began); err != nil {
		return proto.ViewRes{}, unavailable(err)
	}
	var res proto.ViewRes
	for i, o := range outcomes {
		switch {
		case o == viewing.Refused:
			res.Refused = append(res.Refused, req.Began[i])
		case o == viewing.First && !req.Quiet:
			s.tellActive(ctx, began[i], req.Began[i].ChatID, req.Began[i].UserID, true)
		}
	}
	return res, nil
}

func viewersOf(views []proto.View) ([]viewing.Viewer, error) {
	out := make([]viewing.Viewer, len(views))
	for i, v := range views {
		for _, id := range []struct {
			to   *proto.Token
			from string
		}{{&out[i].Chat, v.ChatID}, {&out[i].User, v.UserID}, {&out[i].Socket, v.SocketID}} {
			var err error
			if *id.to, err = proto.EncodeID(id.from); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// tellActive publishes that a user opened a chat, or closed it. It may be lost:
// who wants to know for sure asks for the active members.
func (s *Service) tellActive(ctx context.Context, v viewing.Viewer, chatID, userID string, joined bool) {
	now := proto.At(s.host.Now())
	event := proto.MemberLeftEvent.Name
	var payload any = proto.MemberLeft{ChatID: chatID, UserID: userID, Timestamp: now, Kind: proto.KindActive}
	if joined {
		event = proto.MemberJoinedEvent.Name
		payload = proto.MemberJoined{ChatID: chatID, UserID: userID, Timestamp: now, Kind: proto.KindActive}
	}
	body, err := wire.Marshal(payload)
	if err == nil {
		err = s.host.PublishEphemeral(proto.ChatEph(v.Chat), event, services.Except{User: v.User}, body)
	}
	if err != nil {
		s.host.Log().WarnContext(ctx, "tell who is active", "error", err)
	}
}

// lease keeps a gateway's viewers alive.
func (s *Service) lease(ctx context.Context, req proto.LeaseReq) (proto.LeaseRes, error) {
	gateway, err := proto.EncodeID(req.Gateway)
	if err != nil {
		return proto.LeaseRes{}, proto.FieldError("gateway", err)
	}
	if req.End {
		return proto.LeaseRes{}, unavailable(s.viewing.Release(ctx, gateway))
	}
	known, swept, err := s.viewing.Renew(ctx, gateway, req.Begin)
	return proto.LeaseRes{Known: known, Swept: swept}, unavailable(err)
}

// activeMembers is who has a chat open.
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
	users, count, err := s.viewing.Active(ctx, c.token, proto.MaxActive)
	if err != nil {
		return proto.ActiveMembersRes{}, unavailable(err)
	}
	res := proto.ActiveMembersRes{ChatID: req.ChatID, ActiveMembers: make([]string, len(users)), Count: count}
	for i, token := range users {
		if res.ActiveMembers[i], err = token.ID(); err != nil {
			return proto.ActiveMembersRes{}, err
		}
	}
	return res, nil
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
		places, err := s.roster.Load().Places(ctx, who.user, who.device, tokens)
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
		// Not a member, or not in Redis any more, or (open policy) not yet.
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
