package presence

import (
	"context"
	"errors"

	"supmesh.dev/proto"
)

// subscribe answers how users are there, as the one who asks may see them. The
// gateway has subscribed their changes before it asks, and keeps who may have them.
// What nobody can say now is unknown, not denied: the gateway asks again.
func (s *Service) subscribe(ctx context.Context, req proto.SubscribePresenceReq) (proto.SubscribePresenceRes, error) {
	who, err := callerOf(ctx)
	if err != nil {
		return proto.SubscribePresenceRes{}, err
	}
	users, err := tokens(req.UserIDs)
	if err != nil {
		return proto.SubscribePresenceRes{}, err
	}
	allowed, err := s.visibleTo(ctx, who.User, req.UserIDs)
	unsure := make([]bool, len(users))
	var partly *unknownSightError
	switch {
	case errors.As(err, &partly):
		unsure = partly.users
	case err != nil:
		return proto.SubscribePresenceRes{}, unavailable(err)
	}
	records, err := s.load(ctx, users...)
	if err != nil {
		return proto.SubscribePresenceRes{}, unavailable(err)
	}
	res := proto.SubscribePresenceRes{Presences: make([]proto.Presence, len(users)), Denied: []string{}, Total: len(users)}
	for i, id := range req.UserIDs {
		switch {
		case unsure[i]:
			res.Presences[i] = proto.Presence{UserID: id, Status: proto.StatusUnknown}
		case allowed[i]:
			res.Presences[i] = records[i].Presence(id)
		default:
			res.Presences[i] = proto.Presence{UserID: id, Status: proto.StatusOffline}
			res.Denied = append(res.Denied, id)
		}
	}
	return res, nil
}
