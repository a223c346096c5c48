package signaling

import (
	"context"

	"supmesh.dev/proto"
	"supmesh.dev/signaling/state"
)

// iceServers gives fresh credentials for a call that the user is in.
func (s *Service) iceServers(ctx context.Context, req proto.IceServersReq) (res proto.IceServersRes, err error) {
	who, call, err := party(ctx, req.CallID)
	if err != nil {
		return res, err
	}
	e, err := s.calls.Load(ctx, call)
	switch {
	case err != nil:
	case e.Call == nil || e.Heard(who.User) == nil:
		err = state.ErrNotFound
	case e.IsOver() || e.Heard(who.User).Over != 0:
		err = state.ErrEnded
	}
	if err != nil {
		return res, s.refused(ctx, &e, err)
	}
	return proto.IceServersRes{CallID: req.CallID, IceServers: s.ice.Servers(call, who.user, s.host.Now())}, nil
}
