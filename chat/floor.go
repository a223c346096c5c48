package chat

import (
	"context"

	"supmesh.dev/chat/projection"
	"supmesh.dev/proto"
)

// floorOf asks for the seq of a chat's last message at or before a position.
type floorOf struct {
	chat                  proto.Token
	lastSeq, lastPosition uint64
	floor                 uint64 // the position
	atLeast               uint64 // a seq known to count already
}

// floors answers each, never less than atLeast. It costs nothing where the
// position is past the last message, one look at the index where atLeast is the
// answer, and otherwise a binary search, done for all chats in step.
func (s *Service) floors(ctx context.Context, asks []floorOf) ([]uint64, error) {
	out := make([]uint64, len(asks))
	// lo: known to be at or before the position; hi: known to be after it.
	type search struct{ i, lo, hi, probe uint64 }
	var open []search
	for i, a := range asks {
		switch {
		case a.atLeast >= a.lastSeq:
			out[i] = a.atLeast
		case a.lastPosition <= a.floor:
			out[i] = a.lastSeq
		default:
			open = append(open, search{i: uint64(i), lo: a.atLeast, hi: a.lastSeq, probe: a.atLeast + 1})
		}
	}
	for len(open) > 0 {
		var spans []projection.Span
		var asked, next []search
		for _, q := range open {
			if q.lo+1 >= q.hi {
				out[q.i] = q.lo
				continue
			}
			spans = append(spans, projection.Span{Chat: asks[q.i].chat, From: q.probe, To: q.probe})
			asked = append(asked, q)
		}
		if len(asked) == 0 {
			break
		}
		at, err := s.positions(ctx, spans)
		if err != nil {
			return nil, err
		}
		for k, q := range asked {
			// A message that is gone tells nothing; taking it as after the position
			// can only deliver something twice.
			if p := at[k][0]; p != 0 && p <= asks[q.i].floor {
				q.lo = q.probe
			} else {
				q.hi = q.probe
			}
			q.probe = (q.lo + q.hi) / 2
			next = append(next, q)
		}
		open = next
	}
	return out, nil
}
