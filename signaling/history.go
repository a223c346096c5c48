package signaling

import (
	"context"

	"supmesh.dev/proto"
	"supmesh.dev/signaling/history"
)

// defaultPage is how many calls a page has unless more are asked for.
const defaultPage = 50

// listHistory is a page of the user's own calls, as many as fit an answer.
func (s *Service) listHistory(ctx context.Context, req proto.CallHistoryReq) (res proto.CallHistoryRes, err error) {
	who, err := callerOf(ctx)
	if err != nil {
		return res, err
	}
	limit := proto.ValueOr(req.Limit, defaultPage)
	if res.Calls, res.NextCursor, err = s.history.Page(ctx, who.user, limit, req.Cursor); err != nil {
		return res, unavailable(err)
	}
	for i := range res.Calls {
		if err := s.asItIs(ctx, who, &res.Calls[i]); err != nil {
			return res, unavailable(err)
		}
	}
	room := s.host.AnswerRoom()
	room.Fits(historyFrame)
	for i := range res.Calls {
		if !room.Fits(recordLen(&res.Calls[i])) {
			res.NextCursor, err = history.CursorBehind(&res.Calls[i-1])
			res.Calls = res.Calls[:i]
			return res, err
		}
	}
	return res, nil
}

// Frames, in bytes: what an answer has beside its calls, and a call beside its texts.
const (
	historyFrame = 1 << 10
	recordFrame  = 448
)

// recordLen is how many bytes a call takes in an answer, at most.
func recordLen(r *proto.CallRecord) int {
	n := recordFrame
	for _, text := range [...]string{r.CallID, r.CallerID, r.CallerName, r.ChatID, r.Reason, r.EndedBy} {
		n += proto.EncodedLen(text)
	}
	for _, id := range r.TargetIDs {
		n += proto.EncodedLen(id) + 1
	}
	return n
}

// asItIs makes the record of a call that goes on say how it is now: the history has
// its beginning and its end.
func (s *Service) asItIs(ctx context.Context, who caller, rec *proto.CallRecord) error {
	if rec.Status != proto.CallRinging {
		return nil
	}
	call, err := proto.EncodeID(rec.CallID)
	if err != nil {
		return err
	}
	e, err := s.calls.Load(ctx, call)
	if err != nil || e.Call == nil {
		return err
	}
	if p := e.Heard(who.User); p != nil {
		*rec = e.RecordFor(p)
	}
	return nil
}
