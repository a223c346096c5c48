package signaling

import (
	"context"

	"supmesh.dev/proto"
	"supmesh.dev/services/wire"
	"supmesh.dev/signaling/calls"
)

// renegotiate passes a new description on within a call that was answered.
func (s *Service) renegotiate(ctx context.Context, req proto.RenegotiateReq) (res proto.CallRes, err error) {
	who, call, err := party(ctx, req.CallID)
	if err != nil {
		return res, err
	}
	e, err := s.act(ctx, who, call)
	if err != nil {
		return res, s.refused(ctx, &e, err)
	}
	if e.Status != proto.CallAnswered || !e.Heard(who.User).Active() {
		return res, proto.Errorf(proto.CallNotFound, "the call was not answered")
	}
	to, err := others(e.Call, who.User, req.TargetUserID)
	if err != nil {
		return res, s.refused(ctx, &e, err)
	}
	body, err := wire.Marshal(proto.CallRenegotiate{
		CallID: req.CallID, Offer: req.Offer, Answer: req.Answer, FromUserID: who.User, FromDeviceID: who.Device,
	})
	if err != nil {
		return res, err
	}
	for _, p := range to {
		if !p.Active() {
			continue
		}
		if err := s.deliver(ctx, &e, p, calls.Waiting{Event: proto.RenegotiateEvent.Name, Data: body}); err != nil {
			return res, unavailable(err)
		}
	}
	return proto.CallRes{CallID: req.CallID}, nil
}
