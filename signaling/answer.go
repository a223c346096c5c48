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
	rang := false
	e, err := s.change(ctx, call, func(c *state.Call, now int64) error {
		p := c.Heard(who.User)
		rang = p != nil && p.Rings()
		return c.Answer(who.device(), req.Answer, now)
	})
	if err != nil {
		return res, s.refused(ctx, &e, err)
	}
	if rang {
		// What waited was for devices to come; this one has had it.
		if _, err := s.calls.Take(ctx, call, who.user); ignoreDown(err) != nil {
			s.host.Log().WarnContext(ctx, "answer", "error", err)
		}
	}
	res = proto.AnswerCallRes{CallID: req.CallID, Status: proto.CallAnswered, AnsweredAt: moment(e.Heard(who.User).JoinedAt)}
	if e.IsGroup() {
		res.Participants = e.Participants()
	}
	return res, nil
}
