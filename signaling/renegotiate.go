package signaling

import (
	"context"
	"slices"

	"supmesh.dev/proto"
	"supmesh.dev/services/wire"
	"supmesh.dev/signaling/calls"
	"supmesh.dev/signaling/state"
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
	to = slices.DeleteFunc(to, func(p *state.Party) bool { return !p.Active() })
	return proto.CallRes{CallID: req.CallID}, unavailable(s.deliverOnce(ctx, who, &e, to, calls.Waiting{Event: proto.RenegotiateEvent.Name, Data: body}))
}
