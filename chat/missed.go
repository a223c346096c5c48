package chat

import (
	"context"

	"supmesh.dev/chat/eventlog"
	"supmesh.dev/chat/revisions"
	"supmesh.dev/chat/roster"
	"supmesh.dev/proto"
)

// countMissed notes in heads how many messages the queue of a device will bring: those
// behind its cursor, without those of the user's absences and those the user has hidden.
// What is deleted for everyone comes as a tombstone, and counts. asks and stays belong
// to heads, one each.
func (s *Service) countMissed(ctx context.Context, who caller, heads []proto.ChatHead, asks []floorOf, stays []roster.Stay) error {
	var owed []owedOf
	var of []int
	for i := range heads {
		if h := &heads[i]; h.Delivered < h.LastSeq {
			owed = append(owed, owedOf{
				chat: asks[i].chat, stay: stays[i], after: h.Delivered, last: eventlog.Entry{Seq: h.LastSeq, Position: h.LastPosition},
			})
			of = append(of, i)
		}
	}
	ranges, err := s.owedRanges(ctx, owed)
	if err != nil {
		return err
	}
	unseen := make([]revisions.UnseenAsk, len(owed))
	for k := range owed {
		unseen[k] = revisions.UnseenAsk{Chat: owed[k].chat, User: who.user, Ranges: ranges[k]}
	}
	hidden, err := s.hiddenIn(ctx, unseen)
	if err != nil {
		return err
	}
	for k, i := range of {
		heads[i].Missed = sizeOf(ranges[k]) - uint64(len(hidden[k]))
	}
	return nil
}

// covered is items without those that were sent while the user was no member.
func covered(items []item, stay roster.Stay) []item {
	out := items[:0]
	for _, it := range items {
		if stay.Covers(it.position) {
			out = append(out, it)
		}
	}
	return out
}
