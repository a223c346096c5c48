package chat

import (
	"context"
	"errors"

	"supmesh.dev/chat/projection"
	"supmesh.dev/proto"
)

func errNoChat() error {
	return proto.Errorf(proto.ChatNotFound, "chat not found")
}

// membership says whether the caller is a member, from what Redis said (or
// that it said nothing). Redis is asked each time, so that a removal counts for
// every instance once it is acked; memory stands in, for a minute, when Redis is away.
func (s *Service) membership(ctx context.Context, c *chatState, who caller, view projection.SendView, err error) (m projection.Member, is bool, _ error) {
	switch {
	case errors.Is(err, projection.ErrDown):
		if m, _, ok := c.seen(who.user, s.host.Now()); ok {
			return m, true, nil
		}
		return projection.Member{}, false, err
	case err != nil:
		return projection.Member{}, false, err
	case view.IsMember:
		c.see(who.user, view.Member, view.Meta, s.host.Now())
		return view.Member, true, nil
	}
	c.forget(who.user)
	// No such member, or no such key any more?
	if err := s.whole(ctx); err != nil {
		return projection.Member{}, false, err
	}
	view, err = s.state.ForSend(ctx, c.keys, projection.Ask{User: who.user})
	return view.Member, view.IsMember, err
}

// admit gives the caller's membership, or CHAT_NOT_FOUND: there is no telling a
// chat that does not exist from one of others.
func (s *Service) admit(ctx context.Context, c *chatState, who caller, view projection.SendView, err error) (projection.Member, error) {
	m, is, err := s.membership(ctx, c, who, view, err)
	switch {
	case err != nil || is:
		return m, err
	case s.cfg.ChatPolicy == PolicyOpen:
		return s.enter(ctx, c, who)
	}
	return projection.Member{}, errNoChat()
}

// member is admit for requests that need nothing else of Redis.
func (s *Service) member(ctx context.Context, c *chatState, who caller) (projection.Member, error) {
	view, err := s.state.ForSend(ctx, c.keys, projection.Ask{User: who.user})
	return s.admit(ctx, c, who, view, err)
}

// enter makes the caller a member of a chat that may not exist yet (CHAT_POLICY=open).
func (s *Service) enter(ctx context.Context, c *chatState, who caller) (projection.Member, error) {
	_, err := s.amend(ctx, c, amendment{
		by: who, users: []proto.Token{who.user}, create: true,
		added: []proto.Member{{UserID: who.User, Role: proto.RoleMember}},
	})
	if err != nil {
		return projection.Member{}, err
	}
	view, err := s.state.ForSend(ctx, c.keys, projection.Ask{User: who.user})
	if err != nil {
		return projection.Member{}, err
	}
	if !view.IsMember {
		return projection.Member{}, errNoChat()
	}
	return view.Member, nil
}
