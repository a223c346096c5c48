package services_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
)

func TestRedisAwayFailsFastAndComesBack(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB) *servicestest.Redis{"plain": servicestest.RunRedis, "cluster": servicestest.RunRedisCluster} {
		t.Run(name, func(t *testing.T) {
			n, r := servicestest.RunNATS(t), start(t)
			h := servicestest.NewHost(t, "test", n, r)
			servicestest.Run(t, h, servicestest.Service{})
			ctx := t.Context()
			require.NoError(t, h.Redis().Set(ctx, "a", "1", 0).Err())
			require.ErrorIs(t, h.Redis().Get(ctx, "none").Err(), redis.Nil)
			require.Error(t, h.Redis().LPush(ctx, "a", 1).Err(), "a wrong command is no outage")
			require.Equal(t, services.OK, h.Ready(ctx).Parts["redis"].State)

			r.Stop()
			require.Error(t, h.Redis().Get(ctx, "a").Err())
			servicestest.Eventually(t, 5*time.Second, "the breaker is open", func() bool {
				return h.Ready(ctx).Parts["redis"].State == services.Degraded
			})
			require.Equal(t, services.Degraded, h.Ready(ctx).State, "still ready")
			began := time.Now()
			for range 1000 {
				err := h.Redis().Get(ctx, "a").Err()
				require.ErrorIs(t, err, &proto.Error{Code: proto.ServiceUnavailable})
			}
			_, err := h.Redis().Pipelined(ctx, func(p redis.Pipeliner) error { p.Get(ctx, "a"); p.Get(ctx, "b"); return nil })
			require.ErrorIs(t, err, services.ErrRedisDown)
			require.Less(t, time.Since(began), 20*time.Second, "1,001 commands do not wait for a connection")

			r.Start()
			servicestest.Eventually(t, 10*time.Second, "the breaker closes", func() bool {
				return h.Ready(ctx).Parts["redis"].State == services.OK
			})
			require.NoError(t, h.Redis().Set(ctx, "a", "1", 0).Err())
		})
	}
}

func TestRedisThatHangsCostsOneTimeout(t *testing.T) {
	t.Parallel()
	n, r := servicestest.RunNATS(t), servicestest.RunRedis(t)
	h := servicestest.NewHost(t, "test", n, r)
	servicestest.Run(t, h, servicestest.Service{})
	ctx := t.Context()
	require.NoError(t, h.Redis().Ping(ctx).Err())

	// A caller without time left is not Redis's fault.
	brief, cancel := context.WithTimeout(ctx, time.Nanosecond)
	defer cancel()
	require.Error(t, h.Redis().Ping(brief).Err())
	require.NoError(t, h.Redis().Ping(ctx).Err())

	r.Pause()
	began := time.Now()
	require.Error(t, h.Redis().Ping(ctx).Err())
	for range 100 { // none waits for a timeout of its own
		require.ErrorIs(t, h.Redis().Ping(ctx).Err(), services.ErrRedisDown)
	}
	require.Less(t, time.Since(began), 20*time.Second)
	r.Resume()
	servicestest.Eventually(t, 10*time.Second, "redis is back", func() bool { return h.Redis().Ping(ctx).Err() == nil })
}

func TestAnInjectedRedisStaysOpen(t *testing.T) {
	t.Parallel()
	n, r := servicestest.RunNATS(t), servicestest.RunRedis(t)
	client := r.Client()
	h := servicestest.NewHost(t, "test", n, nil, services.WithRedis(client))
	require.NoError(t, h.Redis().Ping(t.Context()).Err())
	h.Close()
	require.NoError(t, client.Ping(t.Context()).Err())
	none := servicestest.NewHost(t, "test", n, nil)
	require.Nil(t, none.Redis())
}
