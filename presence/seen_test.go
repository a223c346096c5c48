package presence

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

// When a user was last seen survives the loss of Redis: of one who has left to the
// millisecond, of one who was there to within a minute, of the invisible as it was shown.
func TestLastSeenSurvivesTheLossOfRedis(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		t.Parallel()
		w := newTown(t, redis)
		a, b := w.instance(), w.instance()
		a.lives(t, "g1", true)
		ann := a.connect(t, "g1", "ann", "phone", "p", "")
		a.connect(t, "g1", "bob", "phone", "q", "")
		cat := a.connect(t, "g1", "cat", "phone", "r", "")
		a.tellOf(t, ann.closing(true))
		a.set(t, cat, proto.UpdatePresenceReq{Status: proto.StatusOffline})
		left, hid := a.state(t, "ann").LastSeen, a.state(t, "cat").LastSeen
		require.NotZero(t, left)
		require.NotZero(t, hid)
		servicestest.Eventually(t, 15*time.Second, "the registry lives", func() bool {
			return a.seen.Live(t.Context(), a.now()) == nil
		})

		for range 2 {
			w.flush()
			require.Equal(t, left, b.state(t, "ann").LastSeen)
			require.Equal(t, hid, b.state(t, "cat").LastSeen)
			require.InDelta(t, a.now(), b.state(t, "bob").LastSeen, 60_000)
		}
		require.Zero(t, b.state(t, "nobody").LastSeen)
	})
}

// Who comes and goes costs an entry a minute at most, and who returns within the grace none.
func TestReconnectsCostNoEntries(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	a := w.instance()
	a.lives(t, "g1", true)
	entries := func() uint64 {
		stream, err := a.host.JetStream().Stream(t.Context(), proto.Receipts.Name)
		require.NoError(t, err)
		return stream.CachedInfo().State.LastSeq
	}
	before := entries()
	c := a.connect(t, "g1", "ann", "phone", "p0", "")
	for i := range 10 {
		a.tellOf(t, c.closing(i%2 == 0))
		c = a.connect(t, "g1", "ann", "phone", fmt.Sprint("p", i+1), fmt.Sprint("p", i))
	}
	require.LessOrEqual(t, entries(), before+3, "there, gone; and the registry's life")
}
