package presence

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

// town is a NATS server and a Redis server with presence instances on them, and
// an ear for everything they tell.
type town struct {
	*related
	grace, lease time.Duration
	rate         int

	heardMu sync.Mutex
	heard   []string // "event subject: status user", in order
}

func newTown(t testing.TB, redis *servicestest.Redis) *town {
	t.Helper()
	w := &town{related: newRelated(t, redis), grace: 300 * time.Millisecond, lease: time.Minute, rate: 2000}
	nc := w.nats.Connect()
	for _, subject := range []string{"eph.>", "edge.>"} {
		_, err := nc.Subscribe(subject, func(m *nats.Msg) {
			var body struct {
				UserID, ChatID, SocketID string
				Status                   proto.Status
			}
			_ = json.Unmarshal(m.Data, &body)
			what := strings.TrimSpace(strings.Join([]string{m.Header.Get(proto.HeaderEvent), body.UserID, string(body.Status), body.ChatID, body.SocketID}, " "))
			w.heardMu.Lock()
			defer w.heardMu.Unlock()
			w.heard = append(w.heard, strings.Join(strings.Fields(what), " "))
		})
		require.NoError(t, err)
	}
	require.NoError(t, nc.Flush())
	return w
}

func (w *town) news() []string {
	w.heardMu.Lock()
	defer w.heardMu.Unlock()
	return append([]string{}, w.heard...)
}

func (w *town) forget() {
	w.heardMu.Lock()
	defer w.heardMu.Unlock()
	w.heard = nil
}

// eventually waits until exactly this has been told.
func (w *town) eventually(want ...string) {
	w.t.Helper()
	servicestest.Eventually(w.t, 15*time.Second, fmt.Sprintf("%q is told", want), func() bool {
		got := w.news()
		require.LessOrEqual(w.t, len(got), len(want), "%q", got)
		return len(got) == len(want)
	})
	require.Equal(w.t, want, w.news())
}

// inAnyOrder waits until this has been told; subjects are heard in no order.
func (w *town) inAnyOrder(want ...string) {
	w.t.Helper()
	servicestest.Eventually(w.t, 15*time.Second, fmt.Sprintf("%q is told", want), func() bool { return len(w.news()) >= len(want) })
	require.ElementsMatch(w.t, want, w.news())
}

func (w *town) instance() *Service {
	w.t.Helper()
	s, _ := w.stoppable()
	return s
}

// stoppable is an instance that can be ended before the test is.
func (w *town) stoppable() (*Service, func() error) {
	w.t.Helper()
	cfg := Config{Config: servicestest.Config(w.nats, w.redis), Grace: w.grace, Visibility: VisibleAll, Rate: w.rate}
	host := servicestest.NewHostWith(w.t, "presence", cfg.Config)
	s, err := New(cfg, host)
	require.NoError(w.t, err)
	s.leaseFor, s.keepEvery = w.lease, 50*time.Millisecond
	stop := servicestest.Run(w.t, host, s, proto.Events, proto.Receipts)
	return s, stop
}

// socket is one connection as its gateway knows it.
type socket struct {
	proto.OpenSessionRes
	user, device, pid, sid, gateway string
	since                           time.Time
}

func (c *socket) actor() proto.Actor {
	return proto.Actor{User: c.user, Device: c.device, Socket: c.sid, Gateway: c.gateway}
}

func (s *Service) connect(t testing.TB, gateway, user, device, pid, returns string) *socket {
	t.Helper()
	return s.connectAs(t, "sid-"+pid+"-"+gateway, gateway, user, device, pid, returns)
}

// connectAs is connect with the name of the socket: the same one again is a repeat.
func (s *Service) connectAs(t testing.TB, sid, gateway, user, device, pid, returns string) *socket {
	t.Helper()
	c := &socket{user: user, device: device, pid: pid, gateway: gateway, since: time.Now(), sid: sid}
	require.NoError(t, c.open(s, returns))
	return c
}

// open opens the socket's session. Any goroutine may call it.
func (c *socket) open(s *Service, returns string) (err error) {
	c.OpenSessionRes, err = servicestest.Call(s.open, c.actor(), proto.OpenSessionReq{Gateway: c.gateway, Inbox: "box." + c.gateway, PID: c.pid, Returns: returns})
	return err
}

func (s *Service) tellOf(t testing.TB, req proto.ReportReq) proto.ReportRes {
	t.Helper()
	if req.Inbox == "" {
		req.Inbox = "box." + req.Gateway
	}
	require.NoError(t, req.Validate())
	res, err := servicestest.Call(s.report, proto.Actor{Gateway: req.Gateway}, req)
	require.NoError(t, err)
	return res
}

func (c *socket) closing(final bool) proto.ReportReq {
	return proto.ReportReq{Gateway: c.gateway, Inbox: "box." + c.gateway, Closed: []proto.Closed{{UserID: c.user, PID: c.pid, Fence: c.Fence, At: proto.At(time.Now()), Final: final}}}
}

func (c *socket) opened() proto.Opened {
	return proto.Opened{
		UserID: c.user, DeviceID: c.device, PID: c.pid, SocketID: c.sid, Fence: c.Fence, Status: proto.StatusOnline, Since: proto.At(c.since),
	}
}

func (c *socket) viewing(chats ...string) (out []proto.View) {
	for _, chat := range chats {
		out = append(out, proto.View{ChatID: chat, UserID: c.user, PID: c.pid, Fence: c.Fence})
	}
	return out
}

func (s *Service) set(t testing.TB, c *socket, req proto.UpdatePresenceReq) proto.UpdatePresenceRes {
	t.Helper()
	res, err := servicestest.Call(s.update, c.actor(), req)
	require.NoError(t, err)
	return res
}

func (s *Service) state(t testing.TB, user string) proto.PresenceState {
	t.Helper()
	res, err := servicestest.Call(s.get, proto.Actor{Backend: true}, proto.PresenceOf{UserID: user})
	require.NoError(t, err)
	return res
}

func (s *Service) lives(t testing.TB, gateway string, begin bool) proto.LeaseRes {
	t.Helper()
	res, err := servicestest.Call(s.lease, proto.Actor{Gateway: gateway}, proto.LeaseReq{Gateway: gateway, Begin: begin})
	require.NoError(t, err)
	return res
}

// quietFor fails if anything is told before a time is over.
func (w *town) quietFor(d time.Duration) {
	w.t.Helper()
	end := time.Now().Add(d)
	servicestest.Eventually(w.t, d+5*time.Second, "the time is over", func() bool {
		require.Empty(w.t, w.news())
		return time.Now().After(end)
	})
}

func onBoth(t *testing.T, test func(t *testing.T, redis *servicestest.Redis)) {
	t.Run("redis", func(t *testing.T) { test(t, servicestest.RunRedis(t)) })
	t.Run("cluster", func(t *testing.T) { test(t, servicestest.RunRedisCluster(t)) })
}

func TestReturnWithinTheGraceShowsNothing(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		w := newTown(t, redis)
		w.grace = time.Second
		a, b := w.instance(), w.instance()
		a.lives(t, "g1", true)
		b.lives(t, "g2", true)
		bob := a.connect(t, "g2", "bob", "phone", "pid-b", "")
		ann := a.connect(t, "g1", "a n.n*", "phone", "pid-1", "")
		a.tellOf(t, proto.ReportReq{Gateway: "g2", Began: bob.viewing("room")})
		a.tellOf(t, proto.ReportReq{Gateway: "g1", Began: ann.viewing("room", "other"), Watched: []proto.Watch{{UserID: ann.user, PID: ann.pid, Fence: ann.Fence, UserIDs: []string{"bob"}}}})
		w.inAnyOrder("presence:update bob online", "presence:update a n.n* online", "chat:member-joined bob room", "chat:member-joined a n.n* room", "chat:member-joined a n.n* other")
		w.forget()

		b.tellOf(t, ann.closing(false))
		require.Equal(t, proto.SessionLeaving, a.state(t, ann.user).Sessions[0].State)
		back := b.connect(t, "g2", ann.user, "phone", "pid-2", "pid-1")
		require.True(t, back.Returned)
		require.ElementsMatch(t, []string{"room", "other"}, back.Views)
		require.Equal(t, []string{"bob"}, back.Watches)
		require.Greater(t, back.Fence, ann.Fence)
		b.lives(t, "g1", false)
		w.quietFor(w.grace + 300*time.Millisecond)
		res, err := a.viewers(byBackend(t), proto.ViewersReq{ChatID: "room"})
		require.NoError(t, err)
		require.ElementsMatch(t, []string{ann.user, "bob"}, res.UserIDs)

		// And what the old connection's gateway says late is of no use.
		a.tellOf(t, ann.closing(true))
		a.tellOf(t, proto.ReportReq{Gateway: "g1", Ended: ann.viewing("room")})
		w.quietFor(100 * time.Millisecond)

		before := time.Now()
		a.tellOf(t, back.closing(true))
		w.inAnyOrder("presence:update a n.n* offline", "chat:member-left a n.n* other", "chat:member-left a n.n* room")
		require.InDelta(t, before.UnixMilli(), a.state(t, ann.user).LastSeen, 1000)
		again := b.connect(t, "g2", ann.user, "phone", "pid-3", "pid-2")
		require.True(t, again.Returned, "for a day")
		require.False(t, b.connect(t, "g2", ann.user, "desk", "pid-4", "pid-3").Returned, "another device is another session")
		require.False(t, b.connect(t, "g2", "mallory", "phone", "pid-5", "pid-3").Returned, "another user's")
	})
}

func TestTakeover(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	a := w.instance()
	a.lives(t, "g1", true)
	a.lives(t, "g2", true)
	old := a.connect(t, "g1", "ann", "phone", "pid-1", "")
	w.eventually("presence:update ann online")

	w.forget()
	next := a.connect(t, "g2", "ann", "phone", "pid-1", "pid-1")
	require.True(t, next.Returned)
	w.eventually("takeover ann sid-pid-1-g1")

	require.Len(t, a.state(t, "ann").Sessions, 1, "one presence throughout")
	w.forget()

	a.tellOf(t, old.closing(true)) // late
	require.Equal(t, []string{"pid-1"}, a.tellOf(t, proto.ReportReq{Gateway: "g1", Opened: []proto.Opened{old.opened()}}).Superseded)
	require.Equal(t, proto.SessionConnected, a.state(t, "ann").Sessions[0].State)
	w.quietFor(w.grace + 100*time.Millisecond)
}

func TestDevicesAndWhatTheUserSays(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	a := w.instance()
	a.lives(t, "g1", true)
	phone := a.connect(t, "g1", "ann", "phone", "p", "")
	desk := a.connect(t, "g1", "ann", "desk", "d", "")
	text := "In a meeting"
	res := a.set(t, desk, proto.UpdatePresenceReq{Status: proto.StatusBusy, CustomStatus: &text})
	require.Equal(t, proto.StatusBusy, res.EffectiveStatus)
	require.Equal(t, proto.StatusBusy, a.set(t, phone, proto.UpdatePresenceReq{Status: proto.StatusAway}).EffectiveStatus)
	w.eventually("presence:update ann online", "presence:update ann busy")

	w.forget()

	a.tellOf(t, phone.closing(true))
	a.tellOf(t, desk.closing(false))
	w.eventually("presence:update ann offline")

	require.NotZero(t, a.state(t, "ann").LastSeen)
	a.connect(t, "g1", "ann", "desk", "d2", "d")
	w.eventually("presence:update ann offline", "presence:update ann busy")

	w.forget()

	soon := proto.At(time.Now().Add(700 * time.Millisecond))
	other := a.connect(t, "g1", "ann", "phone", "p2", "")
	require.Equal(t, proto.StatusBusy, a.set(t, other, proto.UpdatePresenceReq{Status: proto.StatusBusy, Until: &soon}).EffectiveStatus)
	w.eventually("presence:update ann online")

	require.Equal(t, proto.StatusOnline, a.state(t, "ann").Effective)
}

func TestInvisible(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	a := w.instance()
	a.lives(t, "g1", true)
	ann := a.connect(t, "g1", "ann", "phone", "p", "")
	a.tellOf(t, proto.ReportReq{Gateway: "g1", Began: ann.viewing("room")})
	w.inAnyOrder("presence:update ann online", "chat:member-joined ann room")
	w.forget()
	a.set(t, ann, proto.UpdatePresenceReq{Status: proto.StatusOffline})
	w.inAnyOrder("presence:update ann offline", "chat:member-left ann room")
	res, err := a.viewers(byBackend(t), proto.ViewersReq{ChatID: "room"})
	require.NoError(t, err)
	require.Zero(t, res.Count)
	require.Equal(t, proto.StatusOnline, a.state(t, "ann").Status, "backends know")
	w.forget()
	a.tellOf(t, proto.ReportReq{Gateway: "g1", Began: ann.viewing("other"), Ended: ann.viewing("room")})
	a.tellOf(t, ann.closing(false))
	w.quietFor(w.grace + 200*time.Millisecond)
	seen := a.state(t, "ann").LastSeen
	back := a.connect(t, "g1", "ann", "phone", "p2", "p")
	require.Equal(t, proto.StatusOffline, back.Own.Status)
	w.quietFor(100 * time.Millisecond)
	require.Equal(t, seen, a.state(t, "ann").LastSeen)
	a.set(t, back, proto.UpdatePresenceReq{Status: proto.StatusOnline})
	w.inAnyOrder("presence:update ann online", "chat:member-joined ann other")
}

// A gateway that was only away tells everything again and nobody stays offline.
func TestLostRegistryIsToldAgain(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	a := w.instance()
	a.lives(t, "g1", true)
	ann := a.connect(t, "g1", "ann", "phone", "p", "")
	ann.Own = a.set(t, ann, proto.UpdatePresenceReq{Status: proto.StatusOffline}).Own
	bob := a.connect(t, "g1", "bob", "phone", "b", "")
	servicestest.Eventually(t, 10*time.Second, "all is told", func() bool { return len(w.news()) == 3 })
	w.flush()
	require.False(t, a.lives(t, "g1", false).Known)
	require.Empty(t, a.state(t, "bob").Sessions)
	w.forget()
	a.lives(t, "g1.1", true)
	late := *bob
	late.pid, late.sid, late.Fence = "late", "late", 0
	res := a.tellOf(t, proto.ReportReq{
		Gateway: "g1.1", Quiet: true, Opened: []proto.Opened{ann.opened(), bob.opened(), late.opened()}, Began: bob.viewing("room"),
	})
	require.Empty(t, res.Superseded)
	require.Len(t, res.Fences, 1)
	require.Equal(t, "late", res.Fences[0].PID)
	w.eventually("presence:update bob online")

	require.Equal(t, proto.StatusOnline, a.state(t, "ann").Status)
	require.Equal(t, proto.StatusOffline, a.state(t, "ann").Effective, "still invisible")
	require.Len(t, a.state(t, "bob").Sessions, 2)
	a.tellOf(t, bob.closing(true))
	require.Len(t, a.state(t, "bob").Sessions, 1, "under the fence it had")
}

// Many changes of one user over two instances: each told once, in order, at most one
// in half a second.
func TestOnceAndNotTooOften(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	w.grace = 0
	a, b := w.instance(), w.instance()
	a.lives(t, "g1", true)
	began := time.Now()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			s := a
			if i%2 == 1 {
				s = b
			}
			for j := range 10 {
				pid := fmt.Sprint("p", i, j)
				c := &socket{user: "ann", device: "d", pid: pid, gateway: "g1", sid: "sid-" + pid}
				if err := c.open(s, ""); err != nil {
					t.Errorf("open: %v", err)
					return
				}
				if _, err := servicestest.Call(s.report, proto.Actor{Gateway: "g1"}, c.closing(true)); err != nil {
					t.Errorf("report: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	servicestest.Eventually(t, 10*time.Second, "it ends offline", func() bool {
		n := w.news()
		return len(n) > 0 && n[len(n)-1] == "presence:update ann offline" && a.state(t, "ann").Effective == proto.StatusOffline
	})
	news := w.news()
	for i := 1; i < len(news); i++ {
		require.NotEqual(t, news[i-1], news[i], "%q", news)
	}
	require.LessOrEqual(t, len(news), 3+int(took/proto.PresenceEvery))
}

// At rest a gateway costs Redis one write for each heartbeat, whatever it holds.
func TestRestCostsNothing(t *testing.T) {
	t.Parallel()
	redis := servicestest.RunRedis(t)
	w := newTown(t, redis)
	a := w.instance()
	a.lives(t, "g1", true)
	for i := range 50 {
		a.connect(t, "g1", fmt.Sprint("u", i), "phone", fmt.Sprint("p", i), "")
	}
	servicestest.Eventually(t, 10*time.Second, "all are told", func() bool { return len(w.news()) == 50 })
	writes := func() (n int) {
		info, err := redis.Client().Info(context.Background(), "commandstats").Result()
		require.NoError(t, err)
		for line := range strings.Lines(info) {
			var calls int
			name, rest, _ := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":")
			if _, err := fmt.Sscanf(rest, "calls=%d", &calls); err == nil {
				switch name {
				case "set", "hset", "hdel", "sadd", "srem", "zadd", "zrem", "del", "expire", "persist":
					n += calls
				}
			}
		}
		return n
	}
	before, end := writes(), time.Now().Add(time.Second)
	servicestest.Eventually(t, 10*time.Second, "a second is over", func() bool { return time.Now().After(end) })
	looks := int(time.Second/a.keepEvery) + 2
	require.LessOrEqual(t, writes()-before, looks, "the keeper's own lock")
}
