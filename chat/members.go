package chat

import (
	"context"

	"supmesh.dev/proto"
)

// addMembers makes users members of a chat, or sets their role.
func (s *Service) addMembers(ctx context.Context, req proto.AddMembersReq) (proto.MembersRes, error) {
	who, c, err := s.administer(ctx, req.ChatID)
	if err != nil {
		return proto.MembersRes{}, err
	}
	a := amendment{by: who, addedBy: req.AddedBy, added: req.Members}
	if req.UserID != "" {
		a.added, a.single = []proto.Member{{UserID: req.UserID, Role: req.Role}}, true
	}
	if a.users, err = usersOf(a.added); err != nil {
		return proto.MembersRes{}, err
	}
	return s.amendMembers(ctx, c, a)
}

// removeMember ends a membership. Nothing with a later position reaches the
// user, and no request by the user is accepted once this is acked.
func (s *Service) removeMember(ctx context.Context, req proto.RemoveMemberReq) (proto.MembersRes, error) {
	who, c, err := s.administer(ctx, req.ChatID)
	if err != nil {
		return proto.MembersRes{}, err
	}
	a := amendment{by: who, removed: req.UserID, reason: req.Reason}
	if a.reason == "" {
		a.reason = "removed"
	}
	if a.users, err = usersOf([]proto.Member{{UserID: req.UserID}}); err != nil {
		return proto.MembersRes{}, err
	}
	return s.amendMembers(ctx, c, a)
}

func (s *Service) amendMembers(ctx context.Context, c *chatState, a amendment) (proto.MembersRes, error) {
	now, err := s.amend(ctx, c, a)
	if err != nil {
		return proto.MembersRes{}, unavailable(err)
	}
	return proto.MembersRes{ChatID: c.id, Version: now.Version, MemberCount: now.Count, Changed: now.changed}, nil
}
