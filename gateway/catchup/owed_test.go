package catchup

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestOwed(t *testing.T) {
	t.Parallel()
	o := Owe(3, 5, 50)
	after, upTo := o.Range()
	require.EqualValues(t, 3, after)
	require.EqualValues(t, 5, upTo)
	o.Note(6, 60, true)
	require.True(t, o.Replayed(4))
	require.False(t, o.Replayed(4))
	_, ok := o.Settled()
	require.False(t, ok)
	require.False(t, o.Follows(6), "of 5 nothing is known")
	require.False(t, o.Answered(5))
	o.Absent(5, 5)
	require.True(t, o.Answered(5))
	require.True(t, o.Follows(6))
	require.False(t, o.Replayed(6), "no echo of one's own")
	from, ok := o.Settled()
	require.True(t, ok)
	require.EqualValues(t, 60, from)
}

// TestOwedModel plays one chat and one connection that begins behind: live
// messages come at the gateway in order, pages are read at any time.
func TestOwedModel(t *testing.T) {
	t.Parallel()
	type message struct {
		seq, position uint64
		own           bool
	}
	rapid.Check(t, func(r *rapid.T) {
		var (
			log     []message
			heard   int // messages whose live copy the gateway has handled
			got     []message
			opened  bool
			owed    *Owed
			from    uint64
			start   uint64
			asked   uint64 // upper end of the page under way, 0: none
			replies []message
			place   uint64
		)
		add := func(own bool) {
			place += rapid.Uint64Range(1, 3).Draw(r, "step")
			log = append(log, message{uint64(len(log) + 1), place, own})
		}
		settle := func() {
			if p, ok := owed.Settled(); ok {
				from, owed = p, nil
			}
		}
		for range rapid.IntRange(0, 6).Draw(r, "before") {
			add(false)
		}
		head := len(log) // what rpc.chat.open saw
		r.Repeat(map[string]func(*rapid.T){
			"append": func(r *rapid.T) { add(opened && rapid.Bool().Draw(r, "own")) },
			"hear": func(r *rapid.T) {
				if heard == len(log) {
					r.Skip("all heard")
				}
				m := log[heard]
				heard++
				switch {
				case !opened:
				case owed != nil:
					owed.Note(m.seq, m.position, m.own)
				case m.position > from && !m.own:
					got = append(got, m)
				}
			},
			"open": func(r *rapid.T) {
				if opened {
					r.Skip("open")
				}
				opened = true
				start = rapid.Uint64Range(0, uint64(head)).Draw(r, "delivered")
				lastSeq, lastPosition := uint64(0), uint64(0)
				if head > 0 {
					lastSeq, lastPosition = log[head-1].seq, log[head-1].position
				}
				owed = Owe(start, lastSeq, lastPosition)
				if heard > head { // the gateway is ahead of the answer
					owed.Note(log[heard-1].seq, log[heard-1].position, false)
				}
				settle()
			},
			"ask": func(r *rapid.T) {
				if owed == nil || asked > 0 {
					r.Skip("nothing to ask")
				}
				after, upTo := owed.Range()
				limit := rapid.IntRange(1, 3).Draw(r, "limit")
				for _, m := range log {
					if m.seq > after && m.seq <= upTo && len(replies) < limit {
						replies = append(replies, m)
					}
				}
				asked = upTo
				if len(replies) == limit {
					asked = replies[limit-1].seq
				}
			},
			"page": func(r *rapid.T) {
				if asked == 0 {
					r.Skip("nothing asked")
				}
				lacks := rapid.IntRange(0, len(replies)).Draw(r, "lacks") // that one of them, if it is one
				for i, m := range replies {
					if i != lacks && owed.Follows(m.seq) && owed.Replayed(m.seq) {
						got = append(got, m)
					}
				}
				require.Equal(r, lacks == len(replies), owed.Answered(asked), "a page that lacks one is not whole")
				asked, replies = 0, nil
				settle()
			},
			"": func(r *rapid.T) {
				next := start
				for _, m := range got {
					for next++; next < m.seq; next++ {
						require.True(r, log[next-1].own, "a hole before %d", m.seq)
					}
					require.Equal(r, next, m.seq, "in order, none twice")
					require.False(r, m.own, "an echo")
				}
				if opened && owed == nil && heard == len(log) {
					want := 0
					for _, m := range log[min(start, uint64(len(log))):] {
						if !m.own {
							want++
						}
					}
					require.Len(r, got, want, "nothing lost")
				}
			},
		})
	})
}

func TestOwedIsStale(t *testing.T) {
	t.Parallel()
	o := Owe(3, 600, 50)
	o.Edited(5)
	o.Asking() // the page knows of it
	require.False(t, o.Stale(5))
	o.Edited(5)
	o.Edited(2) // was sent before
	require.True(t, o.Stale(5))
	require.False(t, o.Stale(4))
	require.False(t, o.Stale(2))
	for seq := range uint64(maxEdited + 1) {
		o.Edited(300 + seq)
	}
	require.True(t, o.Stale(4), "too many to tell")
	o.Asking()
	require.False(t, o.Stale(4))
}
