package services

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

// TestSweep: every request falls due, never early and at most a tick after the
// sweep that follows, however far the times are apart and however late a sweep is.
func TestSweep(t *testing.T) {
	t.Parallel()
	const turn = wheelSlots * askTick
	for range 50 {
		h := &asks{base: time.Now(), shards: make([]askShard, askShards)}
		s := &h.shards[0]
		s.byID = map[uint64]*ask{}
		for i := range uint64(300) {
			a := &ask{id: i * askShards, deadline: rand.N(4 * turn)}
			s.byID[a.id] = a
			s.plan(a, a.deadline)
			h.pending.Add(1)
		}
		for range 100 { // some are answered before
			h.take(rand.Uint64N(300) * askShards)
		}
		left, fell := len(s.byID), 0
		for now := time.Duration(0); now < 5*turn; {
			now += rand.N(turn / 4)
			if rand.N(20) == 0 {
				now += 2 * turn // the sweeper slept
			}
			deadlines := map[uint64]time.Duration{}
			for id, a := range s.byID {
				deadlines[id] = a.deadline
			}
			var due dues
			h.sweepShard(s, now, &due)
			fell += len(due.over)
			require.Empty(t, due.repeat)
			for _, d := range due.over {
				require.Equal(t, proto.Timeout, d.err.Code)
			}
			for id, at := range deadlines {
				if s.byID[id] == nil {
					require.LessOrEqual(t, at, now, "early")
				} else {
					require.Greater(t, at, now-askTick, "left behind")
				}
			}
		}
		require.Equal(t, left, fell)
		require.Zero(t, h.pending.Load())
		for _, a := range s.wheel {
			require.Nil(t, a)
		}
	}
}
