package chat

import (
	"context"
	"errors"

	"supmesh.dev/chat/projection"
	"supmesh.dev/chat/roster"
	"supmesh.dev/proto"
	"supmesh.dev/services"
)

// notice is what one author is told of a receipt.
type notice struct {
	author string
	newest said
	ids    []string // of all that are covered, oldest first
}

// noticesOf says who is told of a receipt by reader that newly covers messages: each
// author, but the reader, of what was said while the reader was a member.
func noticesOf(reader string, stay roster.Stay, covered []said) []notice {
	var out []notice
	at := map[string]int{}
	for _, m := range covered {
		if m.id == "" || m.author == "" || m.author == reader || !stay.Covers(m.position) {
			continue
		}
		i, ok := at[m.author]
		if !ok {
			i = len(out)
			at[m.author] = i
			out = append(out, notice{author: m.author})
		}
		out[i].newest = m
		out[i].ids = append(out[i].ids, m.id)
	}
	return out
}

// newestOf is the part of a span whose authors are looked for.
func newestOf(s span) (seqs []uint64) {
	from := s.after + 1
	if s.to-s.after > proto.MaxReceiptIDs {
		from = s.to - proto.MaxReceiptIDs + 1
	}
	for seq := from; seq <= s.to; seq++ {
		seqs = append(seqs, seq)
	}
	return seqs
}

// tellAuthors tells the authors of what has moved. A failure is no failure of
// the receipt: it is stored, and how far everyone is can be asked for.
func (s *Service) tellAuthors(ctx context.Context, done *received, m projection.Member) {
	s.tellSpan(ctx, done, m, verbDelivered, done.moved.delivered)
	s.tellSpan(ctx, done, m, verbRead, done.moved.read)
}

// tellSpan tells the authors of some messages that a member has them, or has read them.
// It returns false if none of the messages is by others.
func (s *Service) tellSpan(ctx context.Context, done *received, m projection.Member, v verb, moved span) (others bool) {
	if !moved.any() {
		return false
	}
	covered, err := s.messagesAt(ctx, done.chat.token, newestOf(moved))
	if err != nil {
		s.host.Log().WarnContext(ctx, "authors not told", "error", err)
		return true
	}
	stay, err := s.stayOf(ctx, done.chat, done.user, m, covered)
	if err != nil {
		s.host.Log().WarnContext(ctx, "authors not told", "error", err)
		return true
	}
	notices := noticesOf(done.User, stay, covered)
	if len(notices) == 0 {
		return false
	}
	told := make([]tiding, 0, len(notices))
	for _, n := range notices {
		author, err := proto.EncodeID(n.author)
		if err != nil {
			continue
		}
		t := tiding{key: tidingKey{done.chat.token, author, v}, chatID: done.chat.id, newest: n.newest, user: done.User, at: done.at}
		if len(n.ids) > 1 {
			t.ids = n.ids
		}
		told = append(told, t)
	}
	if s.tidings.holds(done.chat.token) {
		s.coalesce(told)
		return true
	}
	authors := make([]proto.Token, len(told))
	for i := range told {
		authors[i] = told[i].key.author
	}
	members, among, err := s.roster.Load().Among(ctx, done.chat.token, authors)
	switch {
	case err != nil && !errors.Is(err, projection.ErrDown):
		s.host.Log().WarnContext(ctx, "authors not told", "error", err)
	case err != nil || members > proto.SmallChat: // unknown: it may be a large one
		s.coalesce(told)
	default:
		for i := range told {
			if among[i] {
				s.emit(&told[i])
			}
		}
	}
	return true
}

func (s *Service) coalesce(told []tiding) {
	now := s.host.Now()
	for i := range told {
		if !s.tidings.add(&told[i], now) {
			count(s.metrics.noticesDropped, 1)
		}
	}
}

// emit sends one event to an author.
func (s *Service) emit(t *tiding) {
	var err error
	switch t.key.verb {
	case verbDelivered:
		err = services.Emit(s.host, proto.DeliveredEvent, t.key.author, "", proto.MessageDelivered{
			MessageID: t.newest.id, UserID: t.user, DeliveredAt: t.at, ChatID: t.chatID, Seq: t.newest.seq,
			MessageIDs: t.ids, UserIDs: t.users, Count: t.count,
		})
	case verbRead, verbSent:
		err = services.Emit(s.host, proto.ReadEvent, t.key.author, "", proto.MessageRead{
			MessageID: t.newest.id, UserID: t.user, ReadAt: t.at, ChatID: t.chatID, Seq: t.newest.seq,
			MessageIDs: t.ids, UserIDs: t.users, Count: t.count,
		})
	}
	s.emitted(err)
}

// tellReader lets the badges of the reader's other sockets follow.
func (s *Service) tellReader(done *received, unread uint64) {
	s.emitted(services.Emit(s.host, proto.ReadEvent, done.user, done.Socket, proto.MessageRead{
		MessageID: done.up.id, UserID: done.User, ReadAt: done.at, ChatID: done.chat.id, Seq: done.up.seq, UnreadCount: &unread,
	}))
}

func (s *Service) emitted(err error) {
	if err != nil {
		count(s.metrics.noticesDropped, 1)
		s.host.Log().Debug("notice not sent", "error", err)
		return
	}
	count(s.metrics.notices, 1)
}
