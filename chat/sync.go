package chat

import (
	"context"

	"supmesh.dev/chat/eventlog"
	"supmesh.dev/chat/projection"
	"supmesh.dev/chat/roster"
	"supmesh.dev/proto"
	"supmesh.dev/services"
)

// syncMessages bounds the messages of one chat in an answer; the answer's room bounds all.
const syncMessages = 100

// syncFrame is what a chat's part of an answer has beside its id, its messages and its
// receipts, in bytes.
const syncFrame = 192

// pulling is one chat of a sync on its way.
type pulling struct {
	proto.SyncFrom
	token proto.Token
	place roster.Place
	last  eventlog.Entry
	edits uint64
	span  projection.Span // what is looked at
	items []item
}

// sync brings several chats current. Chats are served in the order asked, so
// that one answer with `more` is followed by another that gets further.
func (s *Service) sync(ctx context.Context, req proto.SyncReq) (proto.SyncRes, error) {
	who, err := callerOf(ctx)
	if err != nil {
		return proto.SyncRes{}, err
	}
	if err := s.gate.wait(ctx); err != nil {
		return proto.SyncRes{}, err
	}
	res, err := s.pull(ctx, who, req.Chats)
	return res, unavailable(err)
}

func (s *Service) pull(ctx context.Context, who caller, chats []proto.SyncFrom) (proto.SyncRes, error) {
	res := proto.SyncRes{Chats: []proto.SyncedChat{}, Failed: []proto.SyncFailed{}}
	pulls, foreign, err := s.pullable(ctx, who, chats)
	if err != nil {
		return res, err
	}
	for _, id := range foreign {
		res.Failed = append(res.Failed, proto.SyncFailed{ChatID: id, Code: proto.ChatNotFound})
	}
	if err := s.look(ctx, who, pulls); err != nil {
		return res, err
	}
	var items []item
	upTo := make(map[proto.Token]uint64, len(pulls))
	for i := range pulls {
		items = append(items, pulls[i].items...)
		upTo[pulls[i].token] = pulls[i].edits
	}
	// Each chat has its part. What is left is for messages, and then for receipts.
	room := s.host.AnswerRoom()
	for _, c := range chats {
		room.Fits(proto.EncodedLen(c.ChatID) + syncFrame)
	}
	page, _, err := s.fetch(ctx, items, upTo, room)
	if err != nil {
		return res, err
	}
	asks := make([]standingOf, len(pulls))
	for i := range pulls {
		asks[i] = standingOf{pulls[i].token, ends{pulls[i].last, pulls[i].edits}}
	}
	at, err := s.standings(ctx, who, asks)
	if err != nil {
		return res, err
	}
	for i := range pulls {
		var synced proto.SyncedChat
		synced, page = pulls[i].result(page, &at[i], room)
		if !at[i].member { // not any more
			res.Failed = append(res.Failed, proto.SyncFailed{ChatID: pulls[i].ChatID, Code: proto.ChatNotFound})
			continue
		}
		res.Chats = append(res.Chats, synced)
	}
	return res, nil
}

// pullable are the chats that the caller is a member of, and the ids of the others.
func (s *Service) pullable(ctx context.Context, who caller, chats []proto.SyncFrom) (pulls []pulling, foreign []string, err error) {
	tokens := make([]proto.Token, len(chats))
	for i, c := range chats {
		if tokens[i], err = proto.EncodeID(c.ChatID); err != nil {
			return nil, nil, proto.FieldError("chats.chatId", err)
		}
	}
	places, err := s.places(ctx, who, tokens)
	if err != nil {
		return nil, nil, err
	}
	var mine []proto.Token
	for i, c := range chats {
		if !places[i].IsMember {
			foreign = append(foreign, c.ChatID)
			continue
		}
		pulls = append(pulls, pulling{SyncFrom: c, token: tokens[i], place: places[i]})
		mine = append(mine, tokens[i])
	}
	if len(mine) == 0 {
		return nil, foreign, nil
	}
	end, err := s.ends(ctx, mine)
	if err != nil {
		return nil, nil, err
	}
	for i := range pulls {
		pulls[i].last, pulls[i].edits = end[pulls[i].token].last, end[pulls[i].token].edits
	}
	return pulls, foreign, nil
}

// look finds what of each chat is to be read. Where everything at the beginning
// of a range is hidden it looks further, so that no answer says only: more.
func (s *Service) look(ctx context.Context, who caller, pulls []pulling) error {
	for i := range pulls {
		pulls[i].span = projection.Span{Chat: pulls[i].token, To: pulls[i].AfterSeq}
	}
	for {
		var spans []projection.Span
		var of []int
		for i := range pulls {
			if p := &pulls[i]; len(p.items) == 0 && p.span.To < p.last.Seq {
				p.span.From, p.span.To = p.span.To+1, min(p.last.Seq, p.span.To+syncMessages)
				spans, of = append(spans, p.span), append(of, i)
			}
		}
		if len(spans) == 0 {
			return nil
		}
		at, err := s.positions(ctx, spans)
		if err != nil {
			return err
		}
		var all []item
		for k, i := range of {
			all = append(all, itemsOf(pulls[i].ChatID, spans[k], at[k])...)
		}
		if all, err = s.visible(ctx, who.user, all); err != nil {
			return err
		}
		for _, i := range of {
			p := &pulls[i]
			n := 0
			for n < len(all) && all[n].chat == p.token && all[n].seq >= p.span.From && all[n].seq <= p.span.To {
				n++
			}
			p.items, all = all[:n:n], all[n:]
		}
	}
}

// result is what the answer says of one chat; page begins with its messages, as
// far as they fit, and rest is what comes behind them. Receipts that do not fit are left out.
func (p *pulling) result(page []proto.LogItem, at *standing, room *services.Room) (res proto.SyncedChat, rest []proto.LogItem) {
	res = proto.SyncedChat{ChatID: p.ChatID, Messages: []proto.Raw{}, LastSeq: p.last.Seq, ReadSeq: at.readSeq, UnreadCount: at.unread}
	if room.Fits(receiptsLen(at.others)) {
		res.Receipts = at.others
	} else {
		res.NoReceipts = true
	}
	fitted := 0
	for _, it := range p.items {
		if len(page) == 0 {
			break
		}
		if page[0].ChatID == p.ChatID && page[0].Seq == it.seq { // else the log does not have it any more
			res.Messages, page = append(res.Messages, page[0].Body), page[1:]
		}
		fitted++
	}
	res.More = fitted < len(p.items) || p.span.To < p.last.Seq
	return res, page
}

// receiptsLen is about how many bytes receipts take in an answer, and never less than they do.
func receiptsLen(receipts []proto.MemberReceipt) (n int) {
	const frame = 96
	for i := range receipts {
		n += proto.EncodedLen(receipts[i].UserID) + frame
	}
	return n
}
