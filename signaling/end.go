package signaling

import (
	"context"

	"supmesh.dev/proto"
	"supmesh.dev/signaling/state"
)

// end hangs up, rings no more, or refuses.
func (s *Service) end(ctx context.Context, req proto.EndCallReq) (res proto.EndCallRes, err error) {
	who, call, err := party(ctx, req.CallID)
	if err != nil {
		return res, err
	}
	e, err := s.change(ctx, call, func(c *state.Call, now int64) error { return c.End(who.device(), req.Reason, now) })
	if err != nil {
		return res, s.refused(ctx, &e, err)
	}
	p := e.Heard(who.User)
	return proto.EndCallRes{CallID: req.CallID, Status: e.StatusFor(p), DurationMs: e.DurationFor(p)}, nil
}
