package chat

import (
	"context"
	"slices"

	"supmesh.dev/chat/projection"
	"supmesh.dev/proto"
)

const defaultHistory = 50

// history is one page of a chat's messages as they are now. A page may be
// shorter than its limit when messages are large; HasMore says so. Messages
// that the user has hidden do not count.
func (s *Service) history(ctx context.Context, req proto.HistoryReq) (proto.HistoryRes, error) {
	who, c, err := s.enterChat(ctx, req.ChatID)
	if err != nil {
		return proto.HistoryRes{}, err
	}
	res, err := s.historyPage(ctx, c, who, &req)
	return res, unavailable(err)
}

func (s *Service) historyPage(ctx context.Context, c *chatState, who caller, req *proto.HistoryReq) (proto.HistoryRes, error) {
	end, err := s.ends(ctx, []proto.Token{c.token})
	if err != nil {
		return proto.HistoryRes{}, err
	}
	last := end[c.token].last.Seq
	res := proto.HistoryRes{ChatID: req.ChatID, Messages: []proto.Raw{}, LastSeq: last}
	forward := req.AfterSeq != nil
	from, to := historySpan(*req, last)
	if from > to {
		return res, nil
	}
	want := int(to - from + 1)
	items, err := s.visibleIn(ctx, c, who.user, from, to, forward)
	if err != nil {
		return res, err
	}
	// What is hidden is made up for from further on, so that a page is empty at
	// the end of the chat only.
	for len(items) < want && (forward && to < last || !forward && from > 1) {
		next := projection.Span{From: to + 1, To: min(last, to+historyScan)}
		if !forward {
			next = projection.Span{From: max(from, historyScan+1) - historyScan, To: from - 1}
		}
		further, err := s.visibleIn(ctx, c, who.user, next.From, next.To, forward)
		if err != nil {
			return res, err
		}
		if n := want - len(items); len(further) > n {
			further = further[:n]
			next.From, next.To = reached(next, further, forward)
		}
		items = append(items, further...)
		from, to = min(from, next.From), max(to, next.To)
	}
	page, through, err := s.fetch(ctx, items, map[proto.Token]uint64{c.token: end[c.token].edits}, s.host.AnswerRoom())
	if err != nil {
		return res, err
	}
	for _, it := range page {
		res.Messages = append(res.Messages, it.Body)
	}
	if forward {
		res.HasMore = through < len(items) || to < last
	} else {
		slices.Reverse(res.Messages)
		res.HasMore = through < len(items) || from > 1
	}
	return res, nil
}

// historyScan is how many messages one look takes in where many are hidden.
const historyScan = 500

// reached is the part of a span that ends with the last of items.
func reached(span projection.Span, items []item, forward bool) (from, to uint64) {
	if forward {
		return span.From, items[len(items)-1].seq
	}
	return items[len(items)-1].seq, span.To
}

// visibleIn are the messages of a span that are there and not hidden from a user:
// lowest seq first, or last.
func (s *Service) visibleIn(ctx context.Context, c *chatState, user proto.Token, from, to uint64, forward bool) ([]item, error) {
	span := projection.Span{Chat: c.token, From: from, To: to}
	at, err := s.positions(ctx, []projection.Span{span})
	if err != nil {
		return nil, err
	}
	items, err := s.visible(ctx, user, itemsOf(c.id, span, at[0]))
	if err == nil && !forward { // the newest are what was asked for, should not all fit
		slices.Reverse(items)
	}
	return items, err
}

// historySpan is the range of seqs asked for, empty where from > to.
func historySpan(req proto.HistoryReq, last uint64) (from, to uint64) {
	limit := uint64(proto.ValueOr(req.Limit, defaultHistory))
	if req.AfterSeq != nil {
		after := *req.AfterSeq
		if after >= last {
			return 1, 0
		}
		return after + 1, min(after+limit, last)
	}
	to = last
	if req.BeforeSeq > 0 {
		to = min(to, req.BeforeSeq-1)
	}
	if to == 0 {
		return 1, 0
	}
	return max(to, limit) - limit + 1, to
}
