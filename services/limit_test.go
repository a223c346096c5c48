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

func TestALimitIsExactOverTwoInstances(t *testing.T) {
	n, r := servicestest.RunNATS(t), servicestest.RunRedis(t)
	var limiters []*services.Limiter
	for range 2 {
		limiters = append(limiters, servicestest.NewHost(t, "test", n, r).NewLimiter("u", rules))
	}
	var allowed atomic.Int32
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			for range 10 {
				if ok, wait := limiters[i%2].Allow(t.Context(), "send", "ann"); ok {
					allowed.Add(1)
				} else {
					require.Greater(t, wait, time.Minute)
					require.LessOrEqual(t, wait, 2*time.Minute+time.Second)
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
	n, r := servicestest.RunNATS(t), servicestest.RunRedis(t)
	l := servicestest.NewHost(t, "test", n, r).NewLimiter("u", rules)
	other := servicestest.NewHost(t, "test", n, r).NewLimiter("u", rules)
	for range 10 {
		ok, _ := other.Allow(t.Context(), "fast", "ann")
		require.True(t, ok)
	}
	ok, wait := l.Allow(t.Context(), "fast", "ann")
	require.False(t, ok, "used up elsewhere")
	require.LessOrEqual(t, wait, 110*time.Millisecond)
	servicestest.Eventually(t, 2*time.Second, "one is allowed again", func() bool {
		ok, _ := l.Allow(t.Context(), "fast", "ann")
		return ok
	})
}

func TestWithoutRedisALimitIsLocalNeverOff(t *testing.T) {
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
	require.Less(t, time.Since(began), 450*time.Millisecond)
	r.Resume()
	r.Stop()
	count := func(l *services.Limiter, key string) (allowed int) {
		began := time.Now()
		for range 100 {
			if ok, _ := l.Allow(t.Context(), "send", key); ok {
				allowed++
			}
		}
		require.Less(t, time.Since(began), time.Second)
		return allowed
	}
	require.Equal(t, 30, count(alone, "ann"))
	require.Equal(t, 29, count(fallen, "ann"), "what was used before counts")
	require.Equal(t, 30, count(fallen, "carl"))
}
