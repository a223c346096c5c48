package chat

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

// crowd makes a chat of ann and n others.
func (i *instance) crowd(t testing.TB, chat string, n int) {
	t.Helper()
	i.chat(t, chat, "ann")
	for from := 0; from < n; from += proto.MaxMembersPerRequest {
		req := proto.AddMembersReq{ChatID: chat}
		for u := from; u < min(n, from+proto.MaxMembersPerRequest); u++ {
			req.Members = append(req.Members, proto.Member{UserID: name(u)})
		}
		_, err := i.addMembers(backend(t), req)
		require.NoError(t, err)
	}
}

// listings counts the commands that read more than what they name.
func listings(t testing.TB, r *servicestest.Redis) (calls int) {
	t.Helper()
	client, ok := r.Client().(*redis.Client)
	require.True(t, ok)
	stats, err := client.Info(context.Background(), "commandstats").Result()
	require.NoError(t, err)
	for _, m := range regexp.MustCompile(`cmdstat_(\w+):calls=(\d+)`).FindAllStringSubmatch(stats, -1) {
		if slices.Contains([]string{"hkeys", "hgetall", "hvals", "hscan", "zrange", "scan"}, m[1]) {
			var n int
			_, err := fmt.Sscan(m[2], &n)
			require.NoError(t, err)
			calls += n
		}
	}
	return calls
}

// TestReceiptStorm: in a chat of 2,000 everybody has the same message at once,
// on two instances. Each cursor is one append, and the author hears of all of
// them in one event a second.
func TestReceiptStorm(t *testing.T) {
	t.Parallel()
	const users = 2000
	w := newWorld(t, servicestest.RunRedis(t))
	instances := []*instance{w.instance(), w.instance()}
	instances[0].crowd(t, "c", users)
	m := instances[0].say(t, "ann", "c", "hello all")
	ann, appends := w.ear("ann"), w.listen("rc.chat.c.*")
	before := listings(t, w.redis)

	start := time.Now()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for u := next.Add(1) - 1; u < users && !t.Failed(); u = next.Add(1) - 1 {
				res, err := instances[u%2].delivered(as(t, name(int(u)), "phone"), proto.DeliveredReq{ChatID: "c", MessageID: m.ID})
				if err != nil || res.UpToSeq != 1 {
					t.Errorf("delivered: %v %v", res, err)
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	events, covered := 0, 0
	servicestest.Eventually(t, 15*time.Second, "the author hears of everybody", func() bool {
		for _, h := range ann.all(instances...) {
			require.Equal(t, "message:delivered", h.event)
			require.Equal(t, m.ID, h.MessageID)
			require.Contains(t, h.UserIDs, h.UserID)
			require.Len(t, h.UserIDs, min(h.Count, proto.MaxReceiptUsers))
			covered += h.Count
			events++
		}
		return covered >= users
	})
	all := time.Since(start)
	require.Equal(t, users, covered)
	require.LessOrEqual(t, events, int(all/tidingEvery)+1, "in %s", all)
	require.NoError(t, appends.nc.Flush())
	require.Len(t, appends.in, users, "one append a cursor")
	require.Less(t, listings(t, w.redis)-before, 50, "no listing a receipt")
	require.Nil(t, instances[0].joined(t, "ann", "c").Receipts, "nobody lists 2,000 cursors")
	t.Logf("%d receipts in %s, %d events in %s", users, took, events, all)

	// Afterwards the chat is as quiet as before, and the next is told soon.
	servicestest.Eventually(t, 5*time.Second, "authors with nothing to hear are forgotten", func() bool {
		return instances[0].tidings.idle() && instances[1].tidings.idle()
	})
	instances[0].reads(t, name(7), "phone", proto.ReadReq{ChatID: "c", UpToSeq: 1})
	var h heard
	servicestest.Eventually(t, 5*time.Second, "the author hears of one", func() bool {
		all := ann.all(instances...)
		if len(all) > 0 {
			h = all[0]
		}
		return len(all) == 1
	})
	require.Equal(t, "message:read", h.event)
	require.Equal(t, []string{name(7)}, h.UserIDs)
	require.Equal(t, 1, h.Count)
}

// TestAtOnceUpTo64: where a chat stops to be small.
func TestAtOnceUpTo64(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	a := w.instance()
	for chat, others := range map[string]int{"small": proto.SmallChat - 1, "large": proto.SmallChat} {
		a.crowd(t, chat, others)
		a.say(t, "ann", chat, "1")
		ann := w.ear("ann")
		a.deliver(t, name(0), "phone", proto.DeliveredReq{ChatID: chat, UpToSeq: 1})
		if chat == "small" {
			require.Zero(t, ann.one(a).Count)
			require.Len(t, a.joined(t, "ann", chat).Receipts, others)
			continue
		}
		require.True(t, a.tidings.holds("large"))
		require.Nil(t, a.joined(t, "ann", chat).Receipts)
	}
}

// TestStopTellsTheRest: what waits is sent when an instance stops. One who has
// left meanwhile is not told.
func TestStopTellsTheRest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	a, b := w.instance(), w.instance()
	a.crowd(t, "c", proto.SmallChat+1)
	a.say(t, "ann", "c", "1")
	a.say(t, name(1), "c", "2")
	m3 := a.say(t, "ann", "c", "3")
	ann, one := w.ear("ann"), w.ear(name(1))
	var told []heard
	deliveries := func(from *instance) []heard { // the authors have read each other by sending
		return slices.DeleteFunc(ann.all(from), func(h heard) bool { return h.event != proto.DeliveredEvent.Name })
	}
	hear := func() bool { told = append(told, deliveries(a)...); return len(told) > 0 }
	a.deliver(t, name(2), "phone", proto.DeliveredReq{ChatID: "c", UpToSeq: 3})
	servicestest.Eventually(t, 5*time.Second, "the first of the second", hear)
	require.Len(t, told, 1)
	servicestest.Eventually(t, 5*time.Second, "the other author too", func() bool { return len(one.all(a)) > 0 })
	for u := 3; u < 10; u++ {
		a.deliver(t, name(u), "phone", proto.DeliveredReq{ChatID: "c", UpToSeq: 3})
	}
	_, err := b.removeMember(backend(t), proto.RemoveMemberReq{ChatID: "c", UserID: name(1)})
	require.NoError(t, err)
	one.all(a)
	require.NoError(t, a.stop())
	told = append(told, deliveries(b)...)
	covered := 0
	for _, h := range told {
		require.Equal(t, m3.ID, h.MessageID)
		covered += h.Count
	}
	require.Equal(t, 8, covered)
	require.Empty(t, one.all(b), "who has left hears nothing more")
}
