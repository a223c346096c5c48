package notify

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
	"supmesh.dev/services/wire"
)

// TestBacklog: services ask on while no instance is there. All of it comes, once
// each, in each user's order.
func TestBacklog(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		w := newTown(t, redis)
		const users, each = 20, 60
		var want [users][]string
		ask := func(i int) {
			for u := range users {
				user := fmt.Sprintf("user-%d", u)
				req := system(fmt.Sprintf("%s.%d", user, i), user)
				body, err := wire.Marshal(req)
				require.NoError(t, err)
				require.NoError(t, w.host.Enqueue(t.Context(), proto.NotifyRequests, req.Key, body))
				want[u] = append(want[u], req.Title)
			}
		}
		for i := range each {
			switch i {
			case 15:
				w.stop()
			case 45:
				w.instance()
				w.instance()
			}
			ask(i)
		}
		stream, err := w.host.JetStream().Stream(t.Context(), proto.Work.Name)
		require.NoError(t, err)
		servicestest.Eventually(t, 30*time.Second, "the queue is empty", func() bool {
			info, err := stream.Info(t.Context())
			return err == nil && info.State.Msgs == 0
		})
		for u := range users {
			var got []string
			for i, n := range w.notes(fmt.Sprintf("user-%d", u)) {
				require.Equal(t, i+1, *n.Badge)
				got = append(got, n.Title)
			}
			require.Equal(t, want[u], got)
		}
	})
}

// TestMalformedRequests: what no try can mend is given up, and holds nobody up.
func TestMalformedRequests(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	for i, body := range []string{`{`, `{"userIds":["ann"],"type":"system","title":"no key"}`, `{"userIds":[],"type":"system","title":"t","key":"k"}`, `{"userIds":["ann"],"type":"x","title":"t","key":"k"}`} {
		require.NoError(t, w.host.Enqueue(t.Context(), proto.NotifyRequests, key(i), []byte(body)))
	}
	body, err := wire.Marshal(system("good", "ann", "bob"))
	require.NoError(t, err)
	for i := range 2 { // of a service that does not know whether the first was stored, later than the queue knows
		require.NoError(t, w.host.Enqueue(t.Context(), proto.NotifyRequests, fmt.Sprintf("good%d", i), body))
	}
	stream, err := w.host.JetStream().Stream(t.Context(), proto.Work.Name)
	require.NoError(t, err)
	servicestest.Eventually(t, 10*time.Second, "the queue is empty", func() bool {
		info, err := stream.Info(t.Context())
		return err == nil && info.State.Msgs == 0
	})
	require.Len(t, w.notes("ann"), 1)
	require.Len(t, w.notes("bob"), 1)
}

// TestRequestsOutliveRedis: what is asked for while Redis is away comes when it is back.
func TestRequestsOutliveRedis(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	w.redis.Stop()
	for i := range 20 {
		body, err := wire.Marshal(system(key(i), "ann"))
		require.NoError(t, err)
		require.NoError(t, w.host.Enqueue(t.Context(), proto.NotifyRequests, key(i), body))
	}
	stream, err := w.host.JetStream().Stream(t.Context(), proto.Work.Name)
	require.NoError(t, err)
	servicestest.Eventually(t, 10*time.Second, "all were tried again", func() bool {
		consumer, err := stream.Consumer(t.Context(), proto.NotifyRequests.Name)
		return err == nil && consumer.CachedInfo().NumRedelivered == 20
	})
	w.redis.Start()
	servicestest.Eventually(t, 30*time.Second, "the queue is empty", func() bool {
		info, err := stream.Info(t.Context())
		return err == nil && info.State.Msgs == 0
	})
	notes := w.notes("ann")
	require.Len(t, notes, 20)
	for i, n := range notes {
		require.Equal(t, i+1, *n.Badge)
	}
}
