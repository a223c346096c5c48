package chat

import (
	"context"

	"supmesh.dev/proto"
	"supmesh.dev/services"
)

// sharedChats says which of some users share a chat with one. A service asks:
// who may see whom rests on it, so what is not whole is waited for.
func (s *Service) sharedChats(ctx context.Context, req proto.SharedChatsReq) (proto.SharedChatsRes, error) {
	if err := services.ServiceOnly(ctx); err != nil {
		return proto.SharedChatsRes{}, err
	}
	if err := s.gate.wait(ctx); err != nil {
		return proto.SharedChatsRes{}, err
	}
	user, err := proto.EncodeID(req.UserID)
	if err != nil {
		return proto.SharedChatsRes{}, proto.FieldError("userId", err)
	}
	users := make([]proto.Token, len(req.UserIDs))
	for i, id := range req.UserIDs {
		if users[i], err = proto.EncodeID(id); err != nil {
			return proto.SharedChatsRes{}, proto.FieldError("userIds", err)
		}
	}
	for {
		shared, whole, err := s.roster.Load().Shared(ctx, user, users)
		if err != nil {
			return proto.SharedChatsRes{}, unavailable(err)
		}
		if whole {
			res := proto.SharedChatsRes{UserIDs: []string{}}
			for i, yes := range shared {
				if yes {
					res.UserIDs = append(res.UserIDs, req.UserIDs[i])
				}
			}
			return res, nil
		}
		if err := s.restored(ctx); err != nil {
			return proto.SharedChatsRes{}, err
		}
	}
}
