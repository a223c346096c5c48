package chat

import (
	"cmp"
	"context"
	"slices"

	"supmesh.dev/chat/projection"
	"supmesh.dev/chat/roster"
	"supmesh.dev/proto"
)

// backlog is a page of what a device has not had, oldest first over all chats
// asked. A page ends early when its messages are large.
func (s *Service) backlog(ctx context.Context, req proto.BacklogReq) (proto.BacklogRes, error) {
	who, err := callerOf(ctx)
	if err != nil {
		return proto.BacklogRes{}, err
	}
	if err := s.gate.wait(ctx); err != nil {
		return proto.BacklogRes{}, err
	}
	res, err := s.backlogPage(ctx, who, &req)
	return res, unavailable(err)
}

func (s *Service) backlogPage(ctx context.Context, who caller, req *proto.BacklogReq) (proto.BacklogRes, error) {
	res := proto.BacklogRes{Items: []proto.LogItem{}}
	owed, gone, err := s.owed(ctx, who, req.Chats)
	if err != nil {
		return res, err
	}
	// Chats that are gone take room of the messages: a page of them alone gets further too.
	room := s.host.AnswerRoom()
	for i, id := range gone {
		if !room.Fits(proto.EncodedLen(id) + 1) {
			res.Gone, res.More = gone[:i], true
			return res, nil
		}
	}
	res.Gone = gone
	for {
		if len(owed) == 0 {
			return res, nil
		}
		var items []item
		if items, owed, err = s.oldest(ctx, who, owed, req.Limit); err != nil {
			return res, err
		}
		if len(items) == 0 {
			continue // all of it is hidden: a page with more to come is not empty
		}
		res.More = len(owed) > 0
		if len(items) > req.Limit {
			items, res.More = items[:req.Limit], true
		}
		upTo, err := s.editEnds(ctx, items)
		if err != nil {
			return res, err
		}
		page, through, err := s.fetch(ctx, items, upTo, room)
		if err != nil {
			return res, err
		}
		res.Items = page
		res.More = res.More || through < len(items)
		return res, nil
	}
}

// oldest are the messages at the beginning of ranges, at most limit of each and
// oldest first, without those the caller has hidden; rest is the ranges behind them.
func (s *Service) oldest(ctx context.Context, who caller, owed []owedSpan, limit int) (items []item, rest []owedSpan, err error) {
	spans := make([]projection.Span, len(owed))
	for i, o := range owed {
		spans[i] = o.Span
		// No more than a page of any one chat can be in the page.
		if spans[i].To = min(o.To, o.From+uint64(limit)-1); spans[i].To < o.To {
			o.From = spans[i].To + 1
			rest = append(rest, o)
		}
	}
	at, err := s.positions(ctx, spans)
	if err != nil {
		return nil, nil, err
	}
	for i, o := range owed {
		items = append(items, covered(itemsOf(o.chatID, spans[i], at[i]), o.stay)...)
	}
	if items, err = s.visible(ctx, who.user, items); err != nil {
		return nil, nil, err
	}
	slices.SortFunc(items, func(a, b item) int { return cmp.Compare(a.position, b.position) })
	return items, rest, nil
}

type owedSpan struct {
	projection.Span
	chatID string
	stay   roster.Stay
}

// owed are the ranges asked for that exist, of chats the user is a member of.
func (s *Service) owed(ctx context.Context, who caller, chats []proto.BacklogChat) (owed []owedSpan, gone []string, err error) {
	tokens := make([]proto.Token, len(chats))
	for i, c := range chats {
		if tokens[i], err = proto.EncodeID(c.ChatID); err != nil {
			return nil, nil, proto.FieldError("chats.chatId", err)
		}
	}
	places, err := s.roster.Load().Places(ctx, who.user, who.device, tokens)
	if err != nil {
		return nil, nil, err
	}
	var behind []proto.Token // Redis does not reach what is asked: how far does the log?
	for i, c := range chats {
		if places[i].IsMember && places[i].Head.Seq < c.UpToSeq {
			behind = append(behind, tokens[i])
		}
	}
	lasts, _, err := s.lasts(ctx, behind)
	if err != nil {
		return nil, nil, err
	}
	for i, c := range chats {
		if !places[i].IsMember {
			gone = append(gone, c.ChatID)
			continue
		}
		to := min(c.UpToSeq, max(places[i].Head.Seq, lasts[tokens[i]].Seq))
		if c.AfterSeq < to {
			owed = append(owed, owedSpan{Span: projection.Span{Chat: tokens[i], From: c.AfterSeq + 1, To: to}, chatID: c.ChatID, stay: places[i].Stay})
		}
	}
	if len(gone) > 0 {
		// Not members, or a roster that was lost a moment ago?
		if _, whole, err := s.roster.Load().Mark(ctx); err != nil {
			return nil, nil, err
		} else if !whole {
			s.gate.close()
			if err := s.gate.wait(ctx); err != nil {
				return nil, nil, err
			}
			return s.owed(ctx, who, chats)
		}
	}
	return owed, gone, nil
}
