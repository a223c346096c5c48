package presence

import (
	"context"

	"supmesh.dev/presence/registry"
	"supmesh.dev/presence/state"
	"supmesh.dev/presence/viewing"
	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/wire"
)

// tell publishes how a user is there, to those who have subscribed it and to the
// user's other sockets. It may be lost: gateways ask again now and then.
func (s *Service) tell(ctx context.Context, c *changed, socket string) {
	id, err := c.User.ID()
	if err != nil {
		s.host.Log().ErrorContext(ctx, "tell presence", "error", err)
		return
	}
	p := c.Presence(id)
	body, err := wire.Marshal(p)
	if err == nil {
		err = s.host.PublishEphemeral(proto.PresenceEph(c.User), proto.PresenceEvent.Name, services.Except{}, body)
	}
	if err == nil && len(c.Conns) > 0 {
		err = services.Emit(s.host, proto.PresenceEvent, c.User, socket, p)
	}
	if err != nil {
		s.host.Log().WarnContext(ctx, "tell presence", "error", err)
		return
	}
	s.metrics.told.Add(ctx, 1)
}

// hide notes that a user became invisible, or is so no more. Those who have a chat
// open with them see them leave, or come.
func (s *Service) hide(ctx context.Context, c *changed) {
	hidden := c.Hides()
	if !hidden { // of one who hides it has been noted already
		if err := s.records.Hide(ctx, c.User, false); err != nil {
			s.host.Log().WarnContext(ctx, "hide", "error", err)
			return
		}
	}
	seen := map[proto.Token]bool{}
	of := make([]registry.Of, 0, len(c.Conns))
	for i := range c.Conns {
		if o, ok := s.of(c.User, c.Conns[i].PID); ok {
			of = append(of, o)
		}
	}
	sessions, err := s.records.Sessions(ctx, of...)
	if err != nil {
		s.host.Log().WarnContext(ctx, "hide", "error", err)
		return
	}
	for i := range sessions {
		for _, chat := range sessions[i].Views {
			if !seen[chat] {
				seen[chat] = true
				s.tellActive(ctx, chat, c.User, !hidden)
			}
		}
	}
}

// leave ends what connections had that count no more.
func (s *Service) leave(ctx context.Context, c *changed) {
	of := make([]registry.Of, 0, len(c.gone))
	conns := make([]state.Conn, 0, len(c.gone))
	for _, conn := range c.gone {
		if o, ok := s.of(c.User, conn.PID); ok {
			of, conns = append(of, o), append(conns, conn)
		}
	}
	sessions, err := s.records.Sessions(ctx, of...)
	if err != nil {
		s.host.Log().WarnContext(ctx, "end session", "error", err)
		return
	}
	left := make([]registry.Left, len(of))
	for i, o := range of {
		left[i] = registry.Left{Of: o, Gateway: conns[i].Gateway, Fence: conns[i].Fence}
		if sessions[i].Fence == conns[i].Fence { // it has not gone on
			s.endViews(ctx, o, sessions[i], c.hid || c.Hides())
		}
	}
	if err := s.records.Leave(ctx, left...); err != nil {
		s.host.Log().WarnContext(ctx, "end session", "error", err)
	}
}

// endViews ends what a session had open.
func (s *Service) endViews(ctx context.Context, of registry.Of, had registry.Session, quiet bool) {
	viewers := make([]viewing.Viewer, len(had.Views))
	for i, chat := range had.Views {
		viewers[i] = viewing.Viewer{Chat: chat, User: of.User, PID: of.PID}
	}
	last, err := s.views.Ended(ctx, viewers...)
	if err != nil {
		s.host.Log().WarnContext(ctx, "end views", "error", err)
		return
	}
	for i, v := range viewers {
		if last[i] && !quiet {
			s.tellActive(ctx, v.Chat, v.User, false)
		}
	}
}

// of names a session; what is no id is nobody's.
func (s *Service) of(user proto.Token, pid string) (registry.Of, bool) {
	token, err := proto.EncodeID(pid)
	return registry.Of{User: user, PID: token}, err == nil
}

// tellActive publishes that a user opened a chat, or closed it. It may be lost: who
// wants to know for sure asks for the active members.
func (s *Service) tellActive(ctx context.Context, chat, user proto.Token, joined bool) {
	ids, err := idsOf([]proto.Token{chat, user})
	if err != nil {
		s.host.Log().ErrorContext(ctx, "tell who is active", "error", err)
		return
	}
	now := proto.At(s.host.Now())
	event := proto.MemberLeftEvent.Name
	var payload any = proto.MemberLeft{ChatID: ids[0], UserID: ids[1], Timestamp: now, Kind: proto.KindActive}
	if joined {
		event = proto.MemberJoinedEvent.Name
		payload = proto.MemberJoined{ChatID: ids[0], UserID: ids[1], Timestamp: now, Kind: proto.KindActive}
	}
	body, err := wire.Marshal(payload)
	if err == nil {
		err = s.host.PublishEphemeral(proto.ChatEph(chat), event, services.Except{User: user}, body)
	}
	if err != nil {
		s.host.Log().WarnContext(ctx, "tell who is active", "error", err)
	}
}
