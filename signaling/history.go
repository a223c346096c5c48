package signaling

import (
	"context"

	"supmesh.dev/proto"
)

// defaultPage is how many calls a page has unless more are asked for.
const defaultPage = 50

// listHistory is a page of the user's own calls.
func (s *Service) listHistory(ctx context.Context, req proto.CallHistoryReq) (res proto.CallHistoryRes, err error) {
	who, err := callerOf(ctx)
	if err != nil {
		return res, err
	}
	limit := req.Limit
	if limit == 0 {
		limit = defaultPage
	}
	res.Calls, res.NextCursor, err = s.history.Page(ctx, who.user, limit, req.Cursor)
	return res, unavailable(err)
}
