package signaling

import (
	"context"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/signaling/state"
)

// get is a call as backends may know it.
func (s *Service) get(ctx context.Context, req proto.GetCallReq) (res proto.CallState, err error) {
	if err := services.BackendOnly(ctx); err != nil {
		return res, err
	}
	call, err := proto.EncodeID(req.CallID)
	if err != nil {
		return res, proto.FieldError("callId", err)
	}
	e, err := s.calls.Load(ctx, call)
	switch {
	case err != nil:
		return res, unavailable(err)
	case e.Call == nil:
		return res, state.ErrNotFound
	}
	return e.State(), nil
}
