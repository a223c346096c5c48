package presence

import (
	"context"

	"supmesh.dev/presence/state"
	"supmesh.dev/proto"
	"supmesh.dev/services"
)

// update is the user's word on their own status.
func (s *Service) update(ctx context.Context, req proto.UpdatePresenceReq) (proto.UpdatePresenceRes, error) {
	who, err := callerOf(ctx)
	if err != nil {
		return proto.UpdatePresenceRes{}, err
	}
	u := &setting{who: who, req: &req, from: state.Asked{Device: who.Device, Socket: who.Socket, Request: who.requestID}}
	u.key = services.RepeatKey(ctx, "presence:update")
	if end, ok := ctx.Deadline(); ok {
		u.from.At = end.UnixMilli()
	}
	c, err := s.setStatus(ctx, u)
	if err != nil {
		return proto.UpdatePresenceRes{}, unavailable(err)
	}
	res := proto.UpdatePresenceRes{
		Status: req.Wanted(), EffectiveStatus: c.Effective(c.now), CustomStatus: c.Own.Custom, LastSeen: c.Seen, Own: c.OwnPresence(),
	}
	if res.EffectiveStatus != proto.StatusOffline {
		res.LastSeen = c.now
	}
	return res, nil
}
