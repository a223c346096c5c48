package signaling

import (
	"context"

	"supmesh.dev/proto"
	"supmesh.dev/signaling/state"
)

// answer lets one device of a callee take the call.
func (s *Service) answer(ctx context.Context, req proto.AnswerCallReq) (res proto.AnswerCallRes, err error) {
	who, call, err := party(ctx, req.CallID)
	if err != nil {
		return res, err
	}
	// What waited for devices to come waits on: this one may have come just now, and
	// not have had it yet.
	e, err := s.change(ctx, call, func(c *state.Call, now int64) error { return c.Answer(who.device(), req.Answer, now) })
	if err != nil {
		return res, s.refused(ctx, &e, err)
	}
	res = proto.AnswerCallRes{CallID: req.CallID, Status: proto.CallAnswered, AnsweredAt: moment(e.Heard(who.User).JoinedAt)}
	if e.IsGroup() {
		res.Participants = e.Participants()
	}
	return res, nil
}
