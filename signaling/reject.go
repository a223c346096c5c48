package signaling

import (
	"context"

	"supmesh.dev/proto"
	"supmesh.dev/signaling/state"
)

// reject refuses a call for all devices of a callee.
func (s *Service) reject(ctx context.Context, req proto.RejectCallReq) (res proto.RejectCallRes, err error) {
	who, call, err := party(ctx, req.CallID)
	if err != nil {
		return res, err
	}
	e, err := s.change(ctx, call, func(c *state.Call, now int64) error { return c.Reject(who.device(), req.Reason, now) })
	if err != nil {
		return res, s.refused(ctx, &e, err)
	}
	return proto.RejectCallRes{CallID: req.CallID, Status: proto.CallRejected}, nil
}
