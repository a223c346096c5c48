package chat

import (
	"context"
	"slices"
	"strings"

	"supmesh.dev/proto"
)

// standingOf asks where a user stands in a chat.
type standingOf struct {
	chat proto.Token
	ends // of the chat
}

// standing is what a client is shown of receipts when it opens a chat. Of a
// chat that the user is no member of it is zero.
type standing struct {
	member  bool
	version uint64 // of the chat, read before the membership
	readSeq uint64
	unread  uint64                // messages behind readSeq that history would show
	others  []proto.MemberReceipt // of the other members; nil in a chat of more than 64
}

// standings answers for one user and several chats, as chat:join and sync:pull
// show it.
func (s *Service) standings(ctx context.Context, who caller, asks []standingOf) ([]standing, error) {
	out, err := s.unread(ctx, who, asks)
	if err != nil {
		return nil, err
	}
	chats := make([]proto.Token, len(asks))
	for i, a := range asks {
		chats[i] = a.chat
	}
	receipts, whole, err := s.roster.Load().Receipts(ctx, chats, proto.SmallChat)
	if err != nil {
		return nil, err
	}
	if !whole {
		if err := s.restored(ctx); err != nil {
			return nil, err
		}
		return s.standings(ctx, who, asks)
	}
	for i := range out {
		if !out[i].member {
			continue
		}
		if out[i].others, err = othersOf(who.user, receipts[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// unread is standings without the other members.
func (s *Service) unread(ctx context.Context, who caller, asks []standingOf) (out []standing, err error) {
	chats := make([]proto.Token, len(asks))
	for i, a := range asks {
		chats[i] = a.chat
	}
	places, err := s.places(ctx, who, chats)
	if err != nil {
		return nil, err
	}
	// Where Redis has not heard of all that was said, it may lack what this user
	// said, or the others.
	healed := false
	for i, a := range asks {
		if p := &places[i]; p.IsMember && p.Head.Seq < a.last.Seq {
			if err := s.heal(ctx, a.chat, a.last.Seq); err != nil {
				return nil, err
			}
			healed = true
		}
	}
	if healed {
		if places, err = s.places(ctx, who, chats); err != nil {
			return nil, err
		}
	}
	var counts []unreadOf
	var of []int
	out = make([]standing, len(asks))
	for i, a := range asks {
		if p := &places[i]; p.IsMember {
			out[i].member, out[i].version = true, p.Version
			counts, of = append(counts, unreadOf{chat: a.chat, user: who.user, stay: p.Stay, read: p.Read, end: a.ends}), append(of, i)
		}
	}
	unread, err := s.countUnread(ctx, counts)
	if err != nil {
		return nil, err
	}
	for k, i := range of {
		out[i].readSeq, out[i].unread = unread[k].readSeq, unread[k].count
	}
	return out, nil
}

// othersOf lists how far members are, but one of them, in the order of their ids.
func othersOf(user proto.Token, receipts map[proto.Token][2]uint64) ([]proto.MemberReceipt, error) {
	if receipts == nil {
		return nil, nil
	}
	out := make([]proto.MemberReceipt, 0, len(receipts))
	for member, at := range receipts {
		if member == user {
			continue
		}
		id, err := member.ID()
		if err != nil {
			return nil, err
		}
		out = append(out, proto.MemberReceipt{UserID: id, DeliveredSeq: max(at[0], at[1]), ReadSeq: at[1]})
	}
	slices.SortFunc(out, func(a, b proto.MemberReceipt) int { return strings.Compare(a.UserID, b.UserID) })
	return out, nil
}
