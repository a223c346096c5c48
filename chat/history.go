package chat

import (
	"context"
	"slices"

	"supmesh.dev/chat/projection"
	"supmesh.dev/proto"
)

const defaultHistory = 50

// history is one page of a chat's messages. A page may be shorter than its
// limit when messages are large; HasMore says so.
func (s *Service) history(ctx context.Context, req proto.HistoryReq) (proto.HistoryRes, error) {
	who, err := callerOf(ctx)
	if err != nil {
		return proto.HistoryRes{}, err
	}
	if err := s.gate.wait(ctx); err != nil {
		return proto.HistoryRes{}, err
	}
	c, err := s.chatOf(req.ChatID)
	if err != nil {
		return proto.HistoryRes{}, err
	}
	if _, err := s.member(ctx, c, who); err != nil {
		return proto.HistoryRes{}, unavailable(err)
	}
	last, err := s.log.Last(ctx, proto.Events.Name, proto.ChatLog(c.token, proto.KindMessage))
	if err != nil {
		return proto.HistoryRes{}, unavailable(err)
	}
	res := proto.HistoryRes{ChatID: req.ChatID, Messages: []proto.Raw{}, LastSeq: last.Seq}
	from, to := historySpan(req, last.Seq)
	if from > to {
		return res, nil
	}
	at, err := s.positions(ctx, []projection.Span{{Chat: c.token, From: from, To: to}})
	if err != nil {
		return proto.HistoryRes{}, unavailable(err)
	}
	items := itemsOf(req.ChatID, from, at[0])
	forward := req.AfterSeq != nil
	if !forward { // the newest are what was asked for, should not all fit
		slices.Reverse(items)
	}
	page, through, err := s.fetch(ctx, items)
	if err != nil {
		return proto.HistoryRes{}, unavailable(err)
	}
	for _, it := range page {
		res.Messages = append(res.Messages, it.Body)
	}
	if forward {
		res.HasMore = through < len(items) || to < last.Seq
	} else {
		slices.Reverse(res.Messages)
		res.HasMore = through < len(items) || from > 1
	}
	return res, nil
}

// historySpan is the range of seqs asked for, empty where from > to.
func historySpan(req proto.HistoryReq, last uint64) (from, to uint64) {
	limit := uint64(req.Limit)
	if limit == 0 {
		limit = defaultHistory
	}
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

// itemsOf are the messages from seq from on that the index knows.
func itemsOf(chatID string, from uint64, positions []uint64) []item {
	out := make([]item, 0, len(positions))
	for i, p := range positions {
		if p != 0 {
			out = append(out, item{chatID: chatID, seq: from + uint64(i), position: p})
		}
	}
	return out
}
