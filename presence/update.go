package presence

import (
	"context"

	"supmesh.dev/presence/state"
	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/wire"
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
	s.tellOwn(ctx, who.user, res.Own)
	return res, nil
}

// tellOwn lets the gateways of a user know what the user has set: they hide the typing of
// the invisible. It may be lost; a gateway asks at the next connection.
func (s *Service) tellOwn(ctx context.Context, user proto.Token, own *proto.OwnPresence) {
	body, err := wire.Marshal(own)
	if err == nil {
		err = s.host.PublishEphemeral(proto.UserEphemeral(user), proto.OwnPresenceEvent, services.Except{}, body)
	}
	if err != nil {
		s.host.Log().WarnContext(ctx, "tell a user's gateways what the user has set", "error", err)
	}
}
