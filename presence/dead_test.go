package presence

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

// beat renews a gateway's lease until stop, at whichever instance.
func (w *town) beat(gateway string, at ...*Service) (stop func()) {
	w.t.Helper()
	at[0].lives(w.t, gateway, true)
	ctx, cancel := context.WithCancel(w.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				_, _ = at[i%len(at)].lease(calledBy(w.t, proto.Actor{Gateway: gateway}), proto.LeaseReq{Gateway: gateway})
			}
		}
	})
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	w.t.Cleanup(stop)
	return stop
}

// each calls fn for 0 to n-1, several at once.
func each(n int, fn func(i int)) {
	var wg sync.WaitGroup
	for part := range 8 {
		wg.Go(func() {
			for i := part; i < n; i += 8 {
				fn(i)
			}
		})
	}
	wg.Wait()
}

func (w *town) pause(d time.Duration, reason string) {
	w.t.Helper()
	end := time.Now().Add(d)
	servicestest.Eventually(w.t, d+20*time.Second, reason, func() bool { return time.Now().After(end) })
}

// waitDead waits until a dead gateway has been swept.
func (w *town) waitDead(s *Service, left int) {
	w.t.Helper()
	servicestest.Eventually(w.t, 30*time.Second, "the gateway is taken for dead", func() bool {
		gateways, err := s.leases.Gateways(w.t.Context())
		require.NoError(w.t, err)
		return len(gateways) == left
	})
}

// A dead gateway's users are unknown, then offline at a bounded rate, but for those
// who return.
func TestDeadGateway(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		w := newTown(t, redis)
		w.grace, w.lease, w.rate = 6*time.Second, 2*time.Second, 250
		a, b := w.instance(), w.instance()
		stop := w.beat("g1", a)
		w.beat("g2", a, b)
		const users = 1000
		all := make([]*socket, users)
		each(users, func(i int) { all[i] = a.connect(t, "g1", fmt.Sprint("user ", i), "phone", fmt.Sprint("p", i), "") })
		servicestest.Eventually(t, 10*time.Second, "all are told", func() bool { return len(w.news()) == users })
		w.forget()
		stop()
		heard := time.Now()

		w.waitDead(b, 1)
		require.Equal(t, proto.StatusUnknown, b.state(t, "user 0").Status)
		require.Equal(t, proto.StatusOnline, b.state(t, "user 0").Effective, "frozen for others")
		require.Equal(t, proto.SessionUnknown, b.state(t, "user 0").Sessions[0].State)
		require.Empty(t, w.news())
		res := a.lives(t, "g1", false)
		require.False(t, res.Known)
		require.True(t, res.Swept)
		each(users/2, func(i int) {
			require.True(t, b.connect(t, "g2", all[2*i].user, "phone", fmt.Sprint("q", i), all[2*i].pid).Returned)
		})

		var first time.Time
		servicestest.Eventually(t, 30*time.Second, "the others are offline", func() bool {
			n := len(w.news())
			if n > 0 && first.IsZero() {
				first = time.Now()
			}
			return n >= users/2
		})
		require.Greater(t, time.Since(first), 500*time.Millisecond, "500 users of two instances that do 250 a second each")
		for _, told := range w.news() {
			var n int
			_, err := fmt.Sscanf(told, "presence:update user %d offline", &n)
			require.NoError(t, err, told)
			require.Equal(t, 1, n%2, told)
		}
		require.Len(t, w.news(), users/2)
		require.InDelta(t, heard.UnixMilli(), b.state(t, "user 1").LastSeen, 1000, "as of when its gateway was last heard of")
		require.Equal(t, proto.StatusOnline, a.state(t, "user 2").Status)
	})
}

// A gateway that was only unheard tells everything again, under another name:
// within the grace nobody sees anything, later they come back.
func TestGatewayWronglyTakenForDead(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	w.grace, w.lease = 5*time.Second, time.Second
	a := w.instance()
	stop := w.beat("g1", a)
	ann := a.connect(t, "g1", "ann", "phone", "p", "")
	bob := a.connect(t, "g1", "bob", "phone", "b", "")
	a.tellOf(t, proto.ReportReq{Gateway: "g1", Began: ann.viewing("room")})
	w.inAnyOrder("presence:update ann online", "presence:update bob online", "chat:member-joined ann room")
	w.forget()
	stop()
	w.waitDead(a, 0)
	w.beat("g1.1", a)
	a.tellOf(t, proto.ReportReq{Gateway: "g1.1", Opened: []proto.Opened{ann.opened()}, Began: ann.viewing("room")})
	require.Equal(t, proto.StatusOnline, a.state(t, "ann").Status)
	require.Equal(t, proto.StatusUnknown, a.state(t, "bob").Status)
	w.eventually("presence:update bob offline")

	res := a.tellOf(t, proto.ReportReq{Gateway: "g1.1", Opened: []proto.Opened{bob.opened()}})
	require.Empty(t, res.Superseded, "nobody else has it")
	w.eventually("presence:update bob offline", "presence:update bob online")

	w.forget()

	// And it says what became of the connections it was thought to have lost.
	bob.gateway = "g1.1"
	a.tellOf(t, bob.closing(true))
	w.eventually("presence:update bob offline")

}

// A late word of a gateway that is thought to be dead, on a connection that is lost.
func TestLateCloseOfALostConnection(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	w.grace, w.lease = time.Minute, time.Second
	a := w.instance()
	stop := w.beat("g1", a)
	ann := a.connect(t, "g1", "ann", "phone", "p", "")
	w.eventually("presence:update ann online")

	w.forget()
	stop()
	w.waitDead(a, 0)
	a.tellOf(t, ann.closing(true))
	w.eventually("presence:update ann offline")

}

// A gateway that stops has closed its connections, and what it could not tell is swept
// at once.
func TestGatewayThatStops(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	a := w.instance()
	a.lives(t, "g1", true)
	ann := a.connect(t, "g1", "ann", "phone", "p", "")
	a.tellOf(t, proto.ReportReq{Gateway: "g1", Began: ann.viewing("room")})
	w.inAnyOrder("presence:update ann online", "chat:member-joined ann room")
	w.forget()
	_, err := a.lease(calledBy(t, proto.Actor{}), proto.LeaseReq{Gateway: "g1", End: true})
	require.NoError(t, err)
	w.inAnyOrder("presence:update ann offline", "chat:member-left ann room")
}

// Silence counts only where somebody listens: while Redis, NATS or presence itself is
// away for longer than a lease, nobody is dead for that.
func TestSilence(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]func(w *town, a *Service, stop func() error) *Service{
		"redis": func(w *town, a *Service, _ func() error) *Service {
			w.redis.Pause()
			w.pause(w.lease+w.grace+time.Second, "Redis was away for longer than a lease")
			w.redis.Resume()
			return a
		},
		"nats": func(w *town, a *Service, _ func() error) *Service {
			w.nats.Stop()
			w.pause(w.lease+w.grace+time.Second, "NATS was away for longer than a lease")
			require.Equal(w.t, proto.StatusOnline, a.state(w.t, "ann").Status)
			w.nats.Start()
			servicestest.Eventually(w.t, 20*time.Second, "NATS is back", a.host.NATS().IsConnected)
			return a
		},
		"presence": func(w *town, _ *Service, stop func() error) *Service {
			require.NoError(w.t, stop())
			w.pause(w.lease+w.grace+time.Second, "presence was away for longer than a lease")
			return w.instance()
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTown(t, servicestest.RunRedis(t))
			w.lease = 2 * time.Second
			a, stop := w.stoppable()
			a.lives(t, "g1", true)
			a.connect(t, "g1", "ann", "phone", "p", "")
			w.eventually("presence:update ann online")

			w.forget()
			b := away(w, a, stop)
			servicestest.Eventually(t, 20*time.Second, "the gateway is heard again", func() bool {
				res, err := b.lease(calledBy(t, proto.Actor{}), proto.LeaseReq{Gateway: "g1"})
				return err == nil && res.Known
			})
			require.Empty(t, w.news())
			require.Equal(t, proto.StatusOnline, b.state(t, "ann").Status)
			w.waitDead(b, 0) // and who is silent from then on is
			w.eventually("presence:update ann offline")

		})
	}
}

// An instance dies after it has stored that a connection is over: what the session had
// open is ended with its gateway.
func TestOrphans(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	a := w.instance()
	a.lives(t, "g1", true)
	ann := a.connect(t, "g1", "ann", "phone", "p", "")
	a.tellOf(t, proto.ReportReq{Gateway: "g1", Began: ann.viewing("room")})
	w.inAnyOrder("presence:update ann online", "chat:member-joined ann room")
	w.forget()
	entries, err := a.records.Load(t.Context(), "ann")
	require.NoError(t, err)
	entries[0].Take("p")
	entries[0].Publish(a.now() + time.Minute.Milliseconds())
	swapped, err := a.records.Swap(t.Context(), []int64{0}, &entries[0])
	require.NoError(t, err)
	require.Equal(t, []bool{true}, swapped)
	_, err = a.lease(calledBy(t, proto.Actor{}), proto.LeaseReq{Gateway: "g1", End: true})
	require.NoError(t, err)
	w.inAnyOrder("chat:member-left ann room")
	servicestest.Eventually(t, 10*time.Second, "the session is forgotten in time", func() bool {
		ttl, err := w.redis.Client().TTL(t.Context(), proto.SessionKey("ann", "p")).Result()
		require.NoError(t, err)
		return ttl > 0
	})
}
