package chat

import (
	"context"

	"supmesh.dev/chat/eventlog"
	"supmesh.dev/chat/revisions"
	"supmesh.dev/chat/roster"
	"supmesh.dev/proto"
)

// Unread is what history would show (CONTRACT §3): the messages behind the read cursor
// that were sent while the user was a member, and are not deleted, expired or hidden.
// A user's own messages move the cursor, so none of them is behind it.

// unreadOf asks for the unread messages of one member of a chat.
type unreadOf struct {
	chat, user proto.Token
	stay       roster.Stay
	read       uint64 // cursor; 0: none
	end        ends
}

// unreadIs is the answer.
type unreadIs struct{ readSeq, count uint64 }

// countUnread answers each. It is exact however many messages are unread, reads no
// message, and costs two round trips of Redis where anything is unread.
func (s *Service) countUnread(ctx context.Context, asks []unreadOf) ([]unreadIs, error) {
	floors := make([]floorOf, len(asks))
	for i, a := range asks {
		floors[i] = floorOf{chat: a.chat, lastSeq: a.end.last.Seq, lastPosition: a.end.last.Position, floor: a.stay.First, atLeast: a.read}
	}
	reads, err := s.floors(ctx, floors)
	if err != nil {
		return nil, err
	}
	out := make([]unreadIs, len(asks))
	owed := make([]owedOf, len(asks))
	for i, a := range asks {
		out[i].readSeq = min(reads[i], a.end.last.Seq)
		owed[i] = owedOf{chat: a.chat, stay: a.stay, after: out[i].readSeq, last: a.end.last}
	}
	ranges, err := s.owedRanges(ctx, owed)
	if err != nil {
		return nil, err
	}
	var unseen []revisions.UnseenAsk
	var of []int
	edits := map[proto.Token]uint64{}
	for i, a := range asks {
		if len(ranges[i]) > 0 {
			unseen, of = append(unseen, revisions.UnseenAsk{Chat: a.chat, User: a.user, Ranges: ranges[i]}), append(of, i)
			edits[a.chat] = a.end.edits
		}
	}
	gone, err := s.unseen(ctx, unseen, edits)
	if err != nil {
		return nil, err
	}
	for k, i := range of {
		out[i].count = sizeOf(ranges[i]) - min(gone[k], sizeOf(ranges[i]))
	}
	return out, nil
}

// unseen counts the messages of which history shows nothing, once Redis has every edit up
// to the position given for each chat.
func (s *Service) unseen(ctx context.Context, asks []revisions.UnseenAsk, edits map[proto.Token]uint64) ([]uint64, error) {
	if len(asks) == 0 {
		return nil, nil
	}
	hidden, err := s.hiddenIn(ctx, asks)
	if err != nil {
		return nil, err
	}
	for tries := 0; ; tries++ {
		gone, upTo, err := s.revisions.Unseen(ctx, asks, hidden, s.host.Now())
		if err != nil {
			return nil, err
		}
		if tries > 1 && !pause(ctx, firstPause) { // a replica that does not have them yet
			return nil, eventlog.ErrUnavailable
		}
		behind := map[proto.Token]bool{}
		for i := range asks {
			if chat := asks[i].Chat; upTo[i] < edits[chat] && !behind[chat] {
				behind[chat] = true
				if err := s.healEdits(ctx, chat, upTo[i]); err != nil {
					return nil, err
				}
			}
		}
		if len(behind) == 0 {
			return gone, nil
		}
	}
}

// hiddenIn lists what the user of each ask has hidden of its messages.
func (s *Service) hiddenIn(ctx context.Context, asks []revisions.UnseenAsk) ([][]uint64, error) {
	for {
		seqs, marks, err := s.revisions.HiddenIn(ctx, asks)
		if err != nil {
			return nil, err
		}
		whole := true
		for i := range asks {
			if !marks[i].Whole() {
				whole = false
				if err := s.readHidden(ctx, asks[i].User); err != nil {
					return nil, err
				}
			}
		}
		if whole {
			return seqs, nil
		}
	}
}

// owedOf asks which messages behind a seq concern a member.
type owedOf struct {
	chat  proto.Token
	stay  roster.Stay
	after uint64         // seq, not before the first membership
	last  eventlog.Entry // the chat's last message
}

// owedRanges answers each: the messages behind after, without those of absences.
func (s *Service) owedRanges(ctx context.Context, asks []owedOf) ([][]revisions.Range, error) {
	var bounds []floorOf
	for _, a := range asks {
		if a.after >= a.last.Seq {
			continue
		}
		for _, away := range a.stay.Away {
			for _, position := range []uint64{away.Left, away.Joined} {
				bounds = append(bounds, floorOf{chat: a.chat, lastSeq: a.last.Seq, lastPosition: a.last.Position, floor: position, atLeast: a.after})
			}
		}
	}
	seqs, err := s.floors(ctx, bounds)
	if err != nil {
		return nil, err
	}
	out := make([][]revisions.Range, len(asks))
	for i, a := range asks {
		if a.after >= a.last.Seq {
			continue
		}
		from := a.after
		for range a.stay.Away {
			left, joined := seqs[0], seqs[1]
			seqs = seqs[2:]
			if left > from {
				out[i] = append(out[i], revisions.Range{After: from, To: left})
			}
			from = max(from, joined)
		}
		if a.last.Seq > from {
			out[i] = append(out[i], revisions.Range{After: from, To: a.last.Seq})
		}
	}
	return out, nil
}

func sizeOf(ranges []revisions.Range) (n uint64) {
	for _, r := range ranges {
		n += r.To - r.After
	}
	return n
}
