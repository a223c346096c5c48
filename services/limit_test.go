package services_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
)

var rules = map[string]services.Rule{"send": {N: 30, Per: time.Hour}, "fast": {N: 10, Per: time.Second}, "off": {}}

// patient is a limiter that waits seconds for Redis where services wait limitTimeout: on a
// busy machine the local bucket would decide in between.
func patient(t testing.TB, n *servicestest.NATS, r *servicestest.Redis) *services.Limiter {
	t.Helper()
	return servicestest.NewHost(t, "test", n, nil, services.WithRedis(r.Client())).NewLimiter("u", rules)
}

func TestALimitIsExactOverTwoInstances(t *testing.T) {
	t.Parallel()
	n, r := servicestest.RunNATS(t), servicestest.RunRedis(t)
	var limiters []*services.Limiter
	for range 2 {
		limiters = append(limiters, patient(t, n, r))
	}
	var allowed atomic.Int32
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			for range 10 {
				if ok, wait := limiters[i%2].Allow(t.Context(), "send", "ann"); ok {
					allowed.Add(1)
				} else if wait <= time.Minute || wait > 2*time.Minute+time.Second {
					t.Errorf("wait %s", wait)
				}
			}
		})
	}
	all.Wait()
	require.Equal(t, int32(30), allowed.Load())

	ok, _ := limiters[0].Allow(t.Context(), "send", "bob")
	require.True(t, ok, "keys do not share")
	ok, _ = limiters[0].Allow(t.Context(), "fast", "ann")
	require.True(t, ok, "rules do not share")
	for range 100 {
		ok, _ = limiters[0].Allow(t.Context(), "off", "ann")
		require.True(t, ok)
		ok, _ = limiters[0].Allow(t.Context(), "unknown", "ann")
		require.True(t, ok)
	}
	keys, err := r.Client().Keys(t.Context(), "*").Result()
	require.NoError(t, err)
	require.Contains(t, keys, "rate:"+proto.LimitKey("ann", "send"))
}

func TestALimitRefills(t *testing.T) {
	t.Parallel()
	n, r := servicestest.RunNATS(t), servicestest.RunRedis(t)
	l, other := patient(t, n, r), patient(t, n, r)
	rule := rules["fast"]
	each := rule.Per / time.Duration(rule.N)
	began := time.Now()
	for range rule.N {
		ok, _ := other.Allow(t.Context(), "fast", "ann")
		require.True(t, ok)
	}
	// It is used up elsewhere: only what has been refilled since is allowed.
	var wait time.Duration
	for more := 0; ; more++ {
		var ok bool
		if ok, wait = l.Allow(t.Context(), "fast", "ann"); !ok {
			break
		}
		require.Less(t, more, int(time.Since(began)/each), "used up elsewhere")
	}
	require.Positive(t, wait)
	require.LessOrEqual(t, wait, each+10*time.Millisecond)
	servicestest.Eventually(t, 2*time.Second, "one is allowed again", func() bool {
		ok, _ := l.Allow(t.Context(), "fast", "ann")
		return ok
	})
}

func TestWithoutRedisALimitIsLocalNeverOff(t *testing.T) {
	t.Parallel()
	n, r := servicestest.RunNATS(t), servicestest.RunRedis(t)
	alone := servicestest.NewHost(t, "test", n, nil).NewLimiter("u", rules)
	host := servicestest.NewHost(t, "test", n, r)
	fallen := host.NewLimiter("u", rules)
	hung := servicestest.NewHost(t, "test", n, r).NewLimiter("u", rules)
	ok, _ := fallen.Allow(t.Context(), "send", "ann")
	require.True(t, ok)
	r.Pause()
	began := time.Now()
	ok, _ = hung.Allow(t.Context(), "send", "bob")
	require.True(t, ok)
	require.Less(t, time.Since(began), 5*time.Second)
	r.Resume()
	r.Stop()
	count := func(l *services.Limiter, key string) (allowed int) {
		began := time.Now()
		for range 100 {
			if ok, _ := l.Allow(t.Context(), "send", key); ok {
				allowed++
			}
		}
		require.Less(t, time.Since(began), 20*time.Second) // without Redis a command costs nothing
		return allowed
	}
	require.Equal(t, 30, count(alone, "ann"))
	require.Equal(t, 29, count(fallen, "ann"), "what was used before counts")
	require.Equal(t, 30, count(fallen, "carl"))
}

// TestAllowThenIsAllow: the same decisions, whichever way is asked, over two
// instances and without Redis; nobody waits.
func TestAllowThenIsAllow(t *testing.T) {
	t.Parallel()
	n, r := servicestest.RunNATS(t), servicestest.RunRedis(t)
	var limiters []*services.Limiter
	for range 2 {
		limiters = append(limiters, patient(t, n, r))
	}
	count := func(l func(i int) *services.Limiter, rule, key string) (allowed int) {
		const actions = 100
		var ended, passed atomic.Int32
		var waits sync.Map
		began := time.Now()
		for i := range actions {
			l(i).AllowThen(rule, key, func(ok bool, retryAfter time.Duration) {
				if ok {
					passed.Add(1)
				} else {
					waits.Store(i, retryAfter)
				}
				ended.Add(1)
			})
		}
		require.Less(t, time.Since(began), 20*time.Second) // without Redis a command costs nothing
		servicestest.Eventually(t, 5*time.Second, "all are decided", func() bool { return ended.Load() == actions })
		waits.Range(func(_, wait any) bool {
			require.Greater(t, wait.(time.Duration), time.Minute)
			require.LessOrEqual(t, wait.(time.Duration), 2*time.Minute+time.Second)
			return true
		})
		require.EqualValues(t, actions, ended.Load(), "each once")
		return int(passed.Load())
	}
	either := func(i int) *services.Limiter { return limiters[i%2] }
	for i := range 5 { // both ways count together
		ok, _ := limiters[i%2].Allow(t.Context(), "send", "ann")
		require.True(t, ok)
	}
	require.Equal(t, 25, count(either, "send", "ann"))
	ok, wait := limiters[0].Allow(t.Context(), "send", "ann")
	require.False(t, ok)
	require.Greater(t, wait, time.Minute)
	for _, rule := range []string{"off", "unknown"} {
		at := 0
		limiters[0].AllowThen(rule, "ann", func(ok bool, _ time.Duration) { require.True(t, ok); at++ })
		require.Equal(t, 1, at, "at once")
	}

	// Refused by Redis, a token goes back to the local bucket, as with Allow.
	require.Equal(t, 30, count(func(int) *services.Limiter { return limiters[1] }, "send", "bob"))
	require.Zero(t, count(func(int) *services.Limiter { return limiters[0] }, "send", "bob"))

	alone := servicestest.NewHost(t, "test", n, nil).NewLimiter("u", rules)
	require.Equal(t, 30, count(func(int) *services.Limiter { return alone }, "send", "ann"))
	hung := servicestest.NewHost(t, "test", n, r).NewLimiter("u", rules)
	r.Pause()
	require.Equal(t, 30, count(func(int) *services.Limiter { return hung }, "send", "carl"))
	r.Resume()
	r.Stop()
	require.Equal(t, 30, count(func(int) *services.Limiter { return limiters[0] }, "send", "dan"), "local, never off")
}

// TestAStopEndsEveryCheck: what has been accepted is decided.
func TestAStopEndsEveryCheck(t *testing.T) {
	t.Parallel()
	n, r := servicestest.RunNATS(t), servicestest.RunRedis(t)
	h := servicestest.NewHost(t, "test", n, r)
	l := h.NewLimiter("u", map[string]services.Rule{"many": {N: 1000, Per: time.Hour}})
	var ended, asked atomic.Int32
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 200 {
				asked.Add(1)
				l.AllowThen("many", "ann", func(ok bool, _ time.Duration) {
					if ok {
						ended.Add(1)
					}
				})
			}
		})
	}
	h.Close()
	all.Wait()
	require.Equal(t, int32(800), asked.Load())
	servicestest.Eventually(t, 5*time.Second, "all are allowed", func() bool { return ended.Load() == 800 })
	after := false
	l.AllowThen("many", "bob", func(ok bool, _ time.Duration) { after = ok })
	require.True(t, after)
}
