package presence

import (
	"context"

	"supmesh.dev/presence/registry"
	"supmesh.dev/proto"
)

// update is the user's word on their own status.
func (s *Service) update(ctx context.Context, req proto.UpdatePresenceReq) (proto.UpdatePresenceRes, error) {
	who, err := callerOf(ctx)
	if err != nil {
		return proto.UpdatePresenceRes{}, err
	}
	out, err := s.change(ctx, []proto.Token{who.user}, who.Socket, func(e *registry.Entry, now int64) error {
		return e.Update(&req, who.Device, who.Socket, now)
	})
	if err != nil {
		return proto.UpdatePresenceRes{}, unavailable(err)
	}
	c := out[who.user]
	if c.failed != nil {
		return proto.UpdatePresenceRes{}, c.failed
	}
	res := proto.UpdatePresenceRes{
		Status: req.Wanted(), EffectiveStatus: c.Effective(c.now), CustomStatus: c.Own.Custom, LastSeen: c.Seen, Own: c.OwnPresence(),
	}
	if res.EffectiveStatus != proto.StatusOffline {
		res.LastSeen = c.now
	}
	return res, nil
}
