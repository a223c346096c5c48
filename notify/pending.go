package notify

import (
	"context"
	"strconv"

	"supmesh.dev/proto"
	"supmesh.dev/services"
)

const defaultPage = 50

// pending is one page of the user's notifications, the newest first.
func (s *Service) pending(ctx context.Context, req proto.PendingNotificationsReq) (proto.PendingNotificationsRes, error) {
	who, err := services.CallerFrom(ctx)
	if err != nil {
		return proto.PendingNotificationsRes{}, err
	}
	var before uint64
	if req.Cursor != "" {
		if before, err = strconv.ParseUint(req.Cursor, 10, 64); err != nil || before == 0 {
			return proto.PendingNotificationsRes{}, &proto.Error{Code: proto.InvalidPayload, Field: "cursor", Message: "cursor must be nextCursor of an earlier page"}
		}
	}
	limit := proto.ValueOr(req.Limit, defaultPage)
	p, err := s.notices.Page(ctx, who.User, s.host.Now(), before, limit, req.Types, s.host.AnswerRoom)
	if err != nil {
		return proto.PendingNotificationsRes{}, unavailable(err)
	}
	res := proto.PendingNotificationsRes{Notifications: p.Notifications, UnreadCount: p.Unread}
	if p.Next > 0 {
		res.NextCursor = strconv.FormatUint(p.Next, 10)
	}
	return res, nil
}
