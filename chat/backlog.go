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
	owed, absent, gone, err := s.owed(ctx, who, req.Chats)
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
			res.Absent = absentRanges(absent, nil, nil)
			return res, nil
		}
		var items []item
		var lacks []proto.SeqRange
		if items, lacks, owed, err = s.oldest(ctx, who, owed, req.Limit); err != nil {
			return res, err
		}
		absent = append(absent, lacks...)
		if len(items) == 0 {
			continue // all of it is hidden: a page with more to come is not empty
		}
		all := items
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
		for _, it := range lacking(all[:through], page) { // deleted from the log
			absent = append(absent, proto.SeqRange{ChatID: it.chatID, FromSeq: it.seq, ToSeq: it.seq})
		}
		res.Absent = absentRanges(absent, all[through:], owed)
		return res, nil
	}
}

// oldest are the messages at the beginning of ranges, at most limit of each and
// oldest first. absent is what is not there any more or hidden by the caller; rest is the
// ranges behind them.
func (s *Service) oldest(ctx context.Context, who caller, owed []owedSpan, limit int) (items []item, absent []proto.SeqRange, rest []owedSpan, err error) {
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
		return nil, nil, nil, err
	}
	for i, o := range owed {
		items = append(items, covered(itemsOf(o.chatID, spans[i], at[i]), o.stay)...)
	}
	if items, err = s.visible(ctx, who.user, items); err != nil {
		return nil, nil, nil, err
	}
	next := items // chat by chat, each by seq
	for i, o := range owed {
		from := spans[i].From
		lacks := func(to uint64) {
			if from <= to {
				absent = append(absent, proto.SeqRange{ChatID: o.chatID, FromSeq: from, ToSeq: to})
			}
		}
		for ; len(next) > 0 && next[0].chat == o.Chat; next = next[1:] {
			lacks(next[0].seq - 1)
			from = next[0].seq + 1
		}
		lacks(spans[i].To)
	}
	slices.SortFunc(items, func(a, b item) int { return cmp.Compare(a.position, b.position) })
	return items, absent, rest, nil
}

// lacking returns the items that are not in a page of them, in their order.
func lacking(items []item, page []proto.LogItem) (out []item) {
	for _, it := range items {
		if len(page) > 0 && page[0].Seq == it.seq && page[0].ChatID == it.chatID {
			page = page[1:]
			continue
		}
		out = append(out, it)
	}
	return out
}

// absentRanges joins ranges that follow one another, by chat and in order. It leaves out what lies
// behind the page's end in its chat: later items, and the rest of a range. So there are never more
// of them than items and chats of a page.
func absentRanges(absent []proto.SeqRange, later []item, rest []owedSpan) (out []proto.SeqRange) {
	end := make(map[string]uint64)
	stop := func(chatID string, seq uint64) {
		if at, ok := end[chatID]; !ok || seq < at {
			end[chatID] = seq
		}
	}
	for _, it := range later {
		stop(it.chatID, it.seq)
	}
	for _, o := range rest {
		stop(o.chatID, o.From)
	}
	slices.SortFunc(absent, func(a, b proto.SeqRange) int {
		return cmp.Or(cmp.Compare(a.ChatID, b.ChatID), cmp.Compare(a.FromSeq, b.FromSeq))
	})
	for _, r := range absent {
		if at, ok := end[r.ChatID]; ok && r.FromSeq > at {
			continue
		}
		if n := len(out); n > 0 && out[n-1].ChatID == r.ChatID && out[n-1].ToSeq+1 == r.FromSeq {
			out[n-1].ToSeq = r.ToSeq
			continue
		}
		out = append(out, r)
	}
	return out
}

type owedSpan struct {
	projection.Span
	chatID string
	stay   roster.Stay
}

// owed are the ranges asked for that exist, of chats the user is a member of. absent is what the
// log has no message for.
func (s *Service) owed(ctx context.Context, who caller, chats []proto.BacklogChat) (owed []owedSpan, absent []proto.SeqRange, gone []string, err error) {
	tokens := make([]proto.Token, len(chats))
	for i, c := range chats {
		if tokens[i], err = proto.EncodeID(c.ChatID); err != nil {
			return nil, nil, nil, proto.FieldError("chats.chatId", err)
		}
	}
	places, err := s.places(ctx, who, tokens)
	if err != nil {
		return nil, nil, nil, err
	}
	var behind []proto.Token // Redis does not reach what is asked: how far does the log?
	for i, c := range chats {
		if places[i].IsMember && places[i].Head.Seq < c.UpToSeq {
			behind = append(behind, tokens[i])
		}
	}
	lasts, err := s.lasts(ctx, behind, 0)
	if err != nil {
		return nil, nil, nil, err
	}
	for i, c := range chats {
		if !places[i].IsMember {
			gone = append(gone, c.ChatID)
			continue
		}
		to := min(c.UpToSeq, max(places[i].Head.Seq, lasts[tokens[i]].Seq))
		if to < c.UpToSeq {
			absent = append(absent, proto.SeqRange{ChatID: c.ChatID, FromSeq: max(to, c.AfterSeq) + 1, ToSeq: c.UpToSeq})
		}
		if c.AfterSeq < to {
			owed = append(owed, owedSpan{Span: projection.Span{Chat: tokens[i], From: c.AfterSeq + 1, To: to}, chatID: c.ChatID, stay: places[i].Stay})
		}
	}
	return owed, absent, gone, nil
}
