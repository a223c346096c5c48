package reactions

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"

	"supmesh.dev/proto"
	"supmesh.dev/reactions/board"
	"supmesh.dev/services"
)

const defaultPage = 100

// getFrame is what an answer has beside reactions, counts and one's own, in bytes.
const getFrame = 1 << 10

// most is the counts that are shown: those of most users where there are too many.
func most(counts proto.ReactionCounts) proto.ReactionCounts {
	if len(counts) <= proto.MaxDistinct {
		return counts
	}
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	out := make(proto.ReactionCounts, proto.MaxDistinct)
	for _, name := range names[:proto.MaxDistinct] {
		out[name] = counts[name]
	}
	return out
}

// tallyLen is how many bytes the counts on a message and one's own take in an answer, at most.
func tallyLen(p *board.Page) (n int) {
	const count = len(`:18446744073709551615,`)
	for reaction := range p.Counts {
		n += proto.EncodedLen(reaction) + count
	}
	for _, reaction := range p.Mine {
		n += proto.EncodedLen(reaction) + 1
	}
	return n
}

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
	p.Counts = most(p.Counts)
	room := s.host.AnswerRoom()
	room.Fits(getFrame + tallyLen(&p))
	p.Fit(room)
	res = proto.GetReactionsRes{Reactions: p.Reactions, Counts: p.Counts, Mine: p.Mine}
	if p.Next > 0 {
		res.NextCursor = strconv.FormatUint(p.Next, 10)
	}
	return res, nil
}
