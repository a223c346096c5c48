package projection

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"supmesh.dev/chat/projection/pipeline"
	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

// open is a store of its own, as an instance of chat has one.
func open(t *testing.T, client redis.UniversalClient) *Store {
	s := New(client)
	ctx, cancel := context.WithCancel(context.Background())
	var lanes sync.WaitGroup
	for _, lane := range s.Lanes() {
		lanes.Go(func() {
			if err := lane(ctx); err != nil {
				t.Errorf("lane: %v", err)
			}
		})
	}
	t.Cleanup(func() { cancel(); lanes.Wait() })
	return s
}

// both runs a test on a plain Redis and on a cluster, which refuses what
// touches two slots.
func both(t *testing.T, test func(t *testing.T, client redis.UniversalClient)) {
	t.Run("plain", func(t *testing.T) { test(t, servicestest.RunRedis(t).Client()) })
	t.Run("cluster", func(t *testing.T) { test(t, servicestest.RunRedisCluster(t).Client()) })
}

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// message is message n of a chat, at position 100·n, by ann.
func message(keys *Keys, n uint64, key string) Stored {
	m := Stored{Keys: keys, Seq: n, Position: 100 * n, At: noon, User: "ann", Device: "phone", Key: key}
	if n > 1 {
		m.Before = Head{Seq: n - 1, Position: 100 * (n - 1)}
	}
	if key != "" {
		m.Content = "content-of-" + key
	}
	return m
}

func put(t *testing.T, s *Store, m Stored) {
	t.Helper()
	done := make(chan error, 1)
	s.Stored(m, func(_ uint64, _ bool, err error) { done <- err })
	require.NoError(t, <-done)
}

func ask(t *testing.T, s *Store, keys *Keys, key string, at time.Time) SendView {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	v, err := s.ForSend(ctx, keys, Ask{User: "ann", Key: key, At: at})
	require.NoError(t, err)
	return v
}

// indexed is where the index has a message; 0: nowhere.
func indexed(t *testing.T, s *Store, seq uint64) uint64 {
	t.Helper()
	at, err := s.Positions(context.Background(), []Span{{Chat: "c", From: seq, To: seq}})
	require.NoError(t, err)
	return at[0][0]
}

func cursors(t *testing.T, c redis.UniversalClient) map[string]string {
	t.Helper()
	return c.HGetAll(context.Background(), proto.CursorsKey("c")).Val()
}

func TestStored(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, client redis.UniversalClient) {
		s, keys := open(t, client), KeysOf("c")
		require.Equal(t, SendView{}, ask(t, s, keys, "k1", noon))
		put(t, s, message(keys, 1, "k1"))
		put(t, s, message(keys, 2, ""))
		v := ask(t, s, keys, "k1", noon)
		require.Equal(t, SendView{Head: Head{2, 200}, Sent: Sent{100, "content-of-k1"}}, v)
		require.EqualValues(t, 100, indexed(t, s, 1))
		require.Equal(t, SendView{Head: Head{2, 200}}, ask(t, s, keys, "k2", noon))
		require.EqualValues(t, 200, indexed(t, s, 2))
		require.Equal(t, Head{2, 200}, ask(t, s, keys, "", noon).Head, "nothing of an earlier question is left")
		require.Equal(t, map[string]string{".head": "2 200", "ann": "2", "ann/phone": "2"}, cursors(t, client))

		// From another device, which has not had them: only its user has read.
		m := message(keys, 3, "")
		m.Device = "desk"
		put(t, s, m)
		require.Equal(t, map[string]string{".head": "3 300", "ann": "3", "ann/phone": "2"}, cursors(t, client))
		// What has been read further is not taken back.
		require.NoError(t, s.Advance(t.Context(), "c", "ann", "", 0, 9))
		put(t, s, message(keys, 4, ""))
		require.Equal(t, map[string]string{".head": "4 400", "ann": "9", "ann/phone": "2"}, cursors(t, client))
	})
}

// However late and from wherever a write comes, the head neither passes a hole
// nor goes back.
func TestHeadFollowsTheLog(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, client redis.UniversalClient) {
		a, b, keys := open(t, client), open(t, client), KeysOf("c")
		put(t, a, message(keys, 1, "k1"))
		put(t, a, message(keys, 3, "k3")) // b, who stored 2, has not told
		require.Equal(t, Head{1, 100}, ask(t, a, keys, "", noon).Head)
		put(t, b, message(keys, 2, "k2"))
		put(t, a, message(keys, 1, "k1")) // repeated
		put(t, b, message(keys, 2, "k2"))
		require.Equal(t, Head{2, 200}, ask(t, a, keys, "", noon).Head)
		head, err := a.Heal(t.Context(), "c", 2, []Healed{{Seq: 3, Position: 300, User: "ann", Key: "k3", Content: "content-of-k3", Time: noon}}, noon)
		require.NoError(t, err)
		require.Equal(t, uint64(3), head)
		put(t, a, message(keys, 3, "k3"))
		v := ask(t, b, keys, "k3", noon)
		require.Equal(t, SendView{Head: Head{3, 300}, Sent: Sent{300, "content-of-k3"}}, v)
		require.EqualValues(t, 300, indexed(t, b, 3))

		// The same seq of another log is another message.
		other := message(keys, 4, "")
		other.Before.Position++
		put(t, b, other)
		require.Equal(t, Head{3, 300}, ask(t, b, keys, "", noon).Head)

		// Redis loses everything, and a write is still under way.
		require.NoError(t, client.Del(t.Context(), proto.CursorsKey("c"), proto.IndexKey("c", 1), proto.SentKey("c", sentPeriodOf(noon))).Err())
		put(t, a, message(keys, 4, "k4"))
		require.Equal(t, SendView{}, ask(t, b, keys, "k4", noon))
		all := make([]Healed, 4)
		for i := range all {
			n := uint64(i + 1)
			all[i] = Healed{Seq: n, Position: 100 * n, User: "ann", Key: "k", Content: "c", Time: noon}
		}
		head, err = b.Heal(t.Context(), "c", 0, all, noon)
		require.NoError(t, err)
		require.Equal(t, uint64(4), head)
		at, err := b.Positions(t.Context(), []Span{{Chat: "c", From: 1, To: 5}})
		require.NoError(t, err)
		require.Equal(t, [][]uint64{{100, 200, 300, 400, 0}}, at)
	})
}

// A record is found for 24 hours from when it was made, whichever period that
// was in, and Redis forgets it on its own.
func TestSentPeriods(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, client redis.UniversalClient) {
		s, keys := open(t, client), KeysOf("c")
		end := time.Unix(int64((sentPeriodOf(noon)+1)*uint64(sentPeriod/time.Second)), 0)
		for i, at := range []time.Time{end.Add(-sentPeriod), noon, end.Add(-time.Second), end} {
			m := message(keys, uint64(i+1), "k"+at.String())
			m.At = at
			put(t, s, m)
			for _, later := range []time.Duration{0, time.Hour, SentFor / 2, SentFor} {
				require.Equal(t, m.Position, ask(t, s, keys, m.Key, at.Add(later)).Sent.Position, "%s + %s", at, later)
			}
		}
		require.Zero(t, ask(t, s, keys, "k"+end.String(), end.Add(2*sentPeriod)).Sent.Position)
		for _, period := range []uint64{sentPeriodOf(noon), sentPeriodOf(end)} {
			left := client.TTL(t.Context(), proto.SentKey("c", period)).Val()
			require.InDelta(t, sentLifetime.Seconds(), left.Seconds(), 60)
		}
		// Read back from the log, it lives as long; one older than a day is left out.
		healed := []Healed{
			{Seq: 1, Position: 100, Key: "old", Content: "c", Time: noon.Add(-SentFor - time.Second)},
			{Seq: 2, Position: 200, Key: "young", Content: "c", Time: noon.Add(-SentFor + time.Second)},
		}
		_, err := s.Heal(t.Context(), "d", 0, healed, noon)
		require.NoError(t, err)
		d := KeysOf("d")
		require.Zero(t, ask(t, s, d, "old", noon).Sent.Position)
		require.Equal(t, uint64(200), ask(t, s, d, "young", noon).Sent.Position)
		require.Positive(t, client.TTL(t.Context(), proto.SentKey("d", sentPeriodOf(healed[1].Time))).Val())
	})
}

// Whoever stops waiting leaves the question to its lane.
func TestForSendEnds(t *testing.T) {
	t.Parallel()
	r := servicestest.RunRedis(t)
	s, keys := New(r.Client()), KeysOf("c") // no lane runs
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err := s.ForSend(short, keys, Ask{User: "ann"})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.ForSend(gone, keys, Ask{User: "ann"})
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, pipeline.ErrDown)
}
