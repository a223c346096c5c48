package presence

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"supmesh.dev/presence/registry"
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
	s.metrics.told.Add(ctx, 1, metric.WithAttributes(attribute.String("status", string(p.Status))))
}

// hide notes that a user became invisible, or is so no more. Those who have a chat
// open with them see them leave, or come.
func (s *Service) hide(ctx context.Context, c *changed) {
	hidden := c.Hides()
	if err := s.markHidden(ctx, c.User, hidden); err != nil {
		s.host.Log().WarnContext(ctx, "hide", "error", err)
		s.unfinished.mark(c.User)
		return
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

// markHidden notes it. Of instances that change it at once the last may write first:
// each looks again after it has written, so the record's word stands in the end.
func (s *Service) markHidden(ctx context.Context, user proto.Token, hidden bool) error {
	for range maxRounds {
		if err := s.records.Hide(ctx, hidden, user); err != nil {
			return err
		}
		now, err := s.records.Load(ctx, user)
		if err != nil {
			return err
		}
		if now[0].Hides() == hidden {
			return nil
		}
		hidden = !hidden
	}
	return errContended
}

// ended is a session that is over, and what it had.
type ended struct {
	of    registry.Of
	had   registry.Session
	quiet bool // its user is invisible
}

// gone is a connection that counts no more.
type gone struct {
	registry.Left
	quiet bool // its user is invisible
}

// goneOf returns the connections that count no more with these changes.
func goneOf(all []*changed) (out []gone) {
	for _, c := range all {
		for i := range c.gone {
			conn := &c.gone[i]
			if o, err := proto.EncodeID(conn.PID); err == nil {
				of := registry.Of{User: c.User, PID: o}
				out = append(out, gone{registry.Left{Of: of, Gateway: conn.Gateway, Fence: conn.Fence, Lost: conn.Lost}, c.hid || c.Hides()})
			}
		}
	}
	return out
}

// leave ends what connections had that count no more. The same again changes nothing.
func (s *Service) leave(ctx context.Context, all []gone) error {
	of, left := make([]registry.Of, len(all)), make([]registry.Left, len(all))
	for i := range all {
		of[i], left[i] = all[i].Of, all[i].Left
	}
	if err := s.records.Leave(ctx, left...); err != nil {
		return err
	}
	// Read after that: no note can add to them any more.
	sessions, err := s.records.Sessions(ctx, of...)
	if err != nil {
		return err
	}
	var ends []ended
	for i, o := range of {
		if sessions[i].Fence == left[i].Fence { // it has not gone on
			ends = append(ends, ended{o, sessions[i], all[i].quiet})
		}
	}
	if err := s.endViews(ctx, ends); err != nil {
		return err
	}
	return s.records.Strike(ctx, left...)
}

// endViews ends what sessions had open.
func (s *Service) endViews(ctx context.Context, all []ended) error {
	var viewers []viewing.Viewer
	var quiet []bool
	for i := range all {
		e := &all[i]
		for _, chat := range e.had.Views {
			viewers = append(viewers, viewing.Viewer{Chat: chat, User: e.of.User, PID: e.of.PID})
			quiet = append(quiet, e.quiet)
		}
	}
	last, err := s.views.Ended(ctx, viewers...)
	if err != nil {
		return err
	}
	for i, v := range viewers {
		if last[i] && !quiet[i] {
			s.tellActive(ctx, v.Chat, v.User, false)
		}
	}
	return nil
}

// of names a session; what is no id is nobody's.
func (s *Service) of(user proto.Token, pid string) (registry.Of, bool) {
	token, err := proto.EncodeID(pid)
	return registry.Of{User: user, PID: token}, err == nil
}

// tellTurned tells of those viewers with whom their user came to view a chat, or
// views it no more, but for the invisible.
func (s *Service) tellTurned(ctx context.Context, viewers []viewing.Viewer, turned []bool, joined bool) error {
	users := make([]proto.Token, len(viewers))
	for i := range viewers {
		users[i] = viewers[i].User
	}
	hidden, err := s.records.Hidden(ctx, users)
	if err != nil {
		return err
	}
	for i, v := range viewers {
		if turned[i] && !hidden[i] {
			s.tellActive(ctx, v.Chat, v.User, joined)
		}
	}
	return nil
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
