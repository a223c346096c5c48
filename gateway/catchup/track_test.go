package catchup

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTrack(t *testing.T) {
	t.Parallel()
	var k Track
	require.False(t, k.Suspect(9), "nothing is known yet, so nothing can be missing")
	k.Begin(10)
	k.Begin(5)
	require.EqualValues(t, 10, k.Last())
	require.Equal(t, Drop, k.Live(10, 8))
	require.Equal(t, Deliver, k.Live(12, 8), "the one before it is not wanted")
	require.Equal(t, Drop, k.Live(12, 8), "doubled")
	require.Equal(t, Read, k.Live(20, 15), "15 never came")
	require.Equal(t, Hold, k.Live(22, 20))
	require.True(t, k.Replayed(15))
	require.False(t, k.Replayed(15))
	require.False(t, k.Ended(20), "22 came meanwhile")
	require.True(t, k.Replayed(20))
	require.True(t, k.Replayed(22))
	require.True(t, k.Ended(22))
	require.Equal(t, Drop, k.Live(15, 12), "late")
	require.Equal(t, Deliver, k.Live(23, 22))

	require.True(t, k.Suspect(0))
	require.False(t, k.Suspect(25), "one read at a time")
	require.EqualValues(t, 25, k.Known())
	require.False(t, k.Ended(24))
	require.True(t, k.Ended(25), "25 has been deleted from the log")
	require.Equal(t, Deliver, k.Live(26, 25))
}

// TestTrackModel plays a log whose live copies are lost, doubled and delayed, and
// looks at what came out. A page may end anywhere; only the log's own end counts.
func TestTrackModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		var (
			k         Track
			log       = []uint64{} // positions of this subject
			position  = rapid.Uint64Range(0, 5).Draw(r, "head")
			begin     = position
			pending   []int // indexes of live copies under way
			delivered = []uint64{}
			reads     bool
		)
		k.Begin(begin)
		previous := func(i int) uint64 {
			if i == 0 {
				return 0
			}
			return log[i-1]
		}
		hear := func(i int) {
			switch k.Live(log[i], previous(i)) {
			case Deliver:
				delivered = append(delivered, log[i])
			case Read:
				require.False(r, reads, "one read at a time")
				reads = true
			case Drop, Hold:
			}
		}
		read := func(limit, visible int) {
			n := 0
			for _, p := range log[:visible] {
				if p <= k.Last() {
					continue
				}
				if n == limit {
					return
				}
				n++
				if k.Replayed(p) {
					delivered = append(delivered, p)
				}
			}
			if visible == len(log) && k.Ended(position) {
				reads = false
			}
		}
		r.Repeat(map[string]func(*rapid.T){
			"append": func(r *rapid.T) {
				position += rapid.Uint64Range(1, 3).Draw(r, "step")
				log = append(log, position)
				for range rapid.IntRange(0, 2).Draw(r, "copies") {
					pending = append(pending, len(log)-1)
				}
			},
			"hear": func(r *rapid.T) {
				if len(pending) == 0 {
					r.Skip("nothing under way")
				}
				at := rapid.IntRange(0, min(2, len(pending)-1)).Draw(r, "which")
				i := pending[at]
				pending = append(pending[:at:at], pending[at+1:]...)
				hear(i)
			},
			"read": func(r *rapid.T) {
				if !reads {
					r.Skip("no hole is known")
				}
				read(rapid.IntRange(1, 4).Draw(r, "limit"), rapid.IntRange(0, len(log)).Draw(r, "visible"))
			},
			"suspect": func(*rapid.T) { reads = k.Suspect(0) || reads },
			"": func(r *rapid.T) {
				require.Equal(r, reads, k.Reading())
				require.Equal(r, log[:len(delivered)], delivered, "in order, none twice, no hole")
			},
		})
		for len(pending) > 0 {
			hear(pending[0])
			pending = pending[1:]
		}
		reads = k.Suspect(position) || reads
		for i := 0; reads && i <= len(log); i++ {
			read(2, len(log))
		}
		require.False(r, reads)
		require.Len(r, delivered, len(log), "nothing lost")
	})
}
