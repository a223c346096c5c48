package reactions

import (
	"context"
	"slices"
	"strconv"

	"supmesh.dev/proto"
	"supmesh.dev/reactions/board"
	"supmesh.dev/services"
)

const defaultPage = 100

// get is one page of the reactions on a message, the oldest first.
func (s *Service) get(ctx context.Context, req proto.GetReactionsReq) (proto.GetReactionsRes, error) {
	res, err := s.page(ctx, &req)
	return res, unavailable(err)
}

func (s *Service) page(ctx context.Context, req *proto.GetReactionsReq) (res proto.GetReactionsRes, err error) {
	who, err := services.CallerFrom(ctx)
	if err != nil {
		return res, err
	}
	var after uint64
	if req.Cursor != "" {
		if after, err = strconv.ParseUint(req.Cursor, 10, 64); err != nil {
			return res, &proto.Error{Code: proto.InvalidPayload, Field: "cursor", Message: "cursor must be nextCursor of an earlier page"}
		}
	}
	m, on, err := s.find(ctx, who, req.ChatID, req.MessageID)
	if err != nil {
		return res, err
	}
	if m.Deleted {
		return proto.GetReactionsRes{Reactions: []proto.UserReaction{}, Counts: proto.ReactionCounts{}, Mine: []string{}}, nil
	}
	limit := proto.ValueOr(req.Limit, defaultPage)
	var p board.Page
	if err = s.whole(ctx, on.Chat, func() (err error) {
		p, err = s.board.Page(ctx, on, who.User, after, limit)
		return err
	}); err != nil {
		return res, err
	}
	slices.Sort(p.Mine)
	res = proto.GetReactionsRes{Reactions: p.Reactions, Counts: p.Counts, Mine: p.Mine}
	if p.Next > 0 {
		res.NextCursor = strconv.FormatUint(p.Next, 10)
	}
	return res, nil
}
