package presence

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/presence/registry"
	"supmesh.dev/presence/state"
	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

// What was said before a connection ended, and comes after, changes nothing.
func TestLateAnnouncement(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	w.grace = 500 * time.Millisecond
	a := w.instance()
	a.lives(t, "g1", true)
	ann := a.connect(t, "g1", "ann", "phone", "p", "")
	w.eventually("presence:update ann online")

	w.forget()
	late := proto.ReportReq{Gateway: "g1", Opened: []proto.Opened{ann.opened()}}
	early := proto.ReportReq{Gateway: "g1", Opened: []proto.Opened{ann.opened()}}
	early.Opened[0].Fence = 0
	a.tellOf(t, ann.closing(false))
	for range 2 {
		require.Equal(t, []string{"p"}, a.tellOf(t, early).Superseded, "in the grace, and after it")
		require.Equal(t, []string{"p"}, a.tellOf(t, late).Superseded)
		w.eventually("presence:update ann offline")
	}
	a.tellOf(t, proto.ReportReq{Gateway: "g1", Began: ann.viewing("room")})
	active, err := a.views.Active(t.Context(), "room")
	require.NoError(t, err)
	require.Empty(t, active, "nothing would end it")
	w.forget()

	back := a.connectAs(t, "sid-back", "g1", "ann", "phone", "p", "p")
	require.True(t, back.Returned, "a return does")
	w.eventually("presence:update ann online")

	require.Equal(t, []string{"p"}, a.tellOf(t, late).Superseded)
	back.since = time.Now()
	require.Empty(t, a.tellOf(t, proto.ReportReq{Gateway: "g1", Opened: []proto.Opened{back.opened()}}).Superseded)
}

// A session that went on under a name its client has never heard of is found by the old one.
func TestMovedSession(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		w := newTown(t, redis)
		a := w.instance()
		for _, g := range []string{"g1", "g2", "g3"} {
			a.lives(t, g, true)
		}
		ann := a.connect(t, "g1", "ann", "phone", "p1", "")
		a.tellOf(t, proto.ReportReq{Gateway: "g1", Began: ann.viewing("room")})
		w.inAnyOrder("presence:update ann online", "chat:member-joined ann room")
		w.forget()
		second := a.connect(t, "g2", "ann", "phone", "p2", "p1")
		require.Equal(t, []string{"room"}, second.Views)
		again := a.connect(t, "g2", "ann", "phone", "p2", "p1")
		require.Equal(t, []string{"room"}, again.Views, "the answer was lost, the gateway asks again")
		w.eventually("takeover ann sid-p1-g1")

		w.forget()
		third := a.connect(t, "g3", "ann", "phone", "p3", "p1")
		require.True(t, third.Returned)
		require.Equal(t, []string{"room"}, third.Views)
		w.eventually("takeover ann sid-p2-g2")

		w.forget()

		require.Len(t, a.state(t, "ann").Sessions, 1)
		require.Equal(t, []string{"p1"}, a.tellOf(t, proto.ReportReq{Gateway: "g1", Opened: []proto.Opened{ann.opened()}}).Superseded, "nobody revives it")
		require.False(t, a.connect(t, "g1", "ann", "desk", "p4", "p1").Returned)
		for _, g := range []string{"g1", "g2"} {
			n, err := a.leases.Sessions(t.Context(), proto.Token(g), 10)
			require.NoError(t, err)
			require.NotContains(t, n, registry.Of{User: "ann", PID: "p2"})
		}
		a.tellOf(t, third.closing(true))
		servicestest.Eventually(t, 10*time.Second, "its view is over", func() bool { return len(w.news()) == 1 })
		require.Equal(t, []string{"chat:member-left ann room"}, w.news(), "the desk is still there")
	})
}

// A session keeps a bounded number of things, and those that it does not keep count
// as not begun: nothing would end them.
func TestFullSession(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	a := w.instance()
	a.lives(t, "g1", true)
	ann := a.connect(t, "g1", "ann", "phone", "p", "")
	watch := proto.Watch{UserID: "ann", PID: "p", Fence: ann.Fence}
	for i := range proto.MaxSubscriptions {
		watch.UserIDs = append(watch.UserIDs, fmt.Sprint("u", i))
	}
	a.tellOf(t, proto.ReportReq{Gateway: "g1", Watched: []proto.Watch{watch}})
	for page := range 3 {
		var chats []string
		for i := range 200 {
			chats = append(chats, fmt.Sprint("c", page*200+i))
		}
		for range 2 {
			a.tellOf(t, proto.ReportReq{Gateway: "g1", Quiet: true, Began: ann.viewing(chats...)})
		}
	}
	back := a.connect(t, "g1", "ann", "phone", "p2", "p")
	require.Len(t, back.Watches, proto.MaxSubscriptions)
	require.InDelta(t, 500, len(back.Views), 4)
	a.tellOf(t, back.closing(true))
	for i := range 600 {
		active, err := a.views.Active(t.Context(), proto.Token(fmt.Sprint("c", i)))
		require.NoError(t, err)
		require.Empty(t, active)
	}
}

// The mark that hides a user follows the record, whoever writes first, and outlives
// nothing.
func TestHiddenMark(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	a, b := w.instance(), w.instance()
	a.lives(t, "g1", true)
	ann := a.connect(t, "g1", "ann", "phone", "p", "")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			s, status := a, proto.StatusOffline
			if i%2 == 1 {
				s, status = b, proto.StatusOnline
			}
			for range 5 {
				s.set(t, ann, proto.UpdatePresenceReq{Status: status})
			}
		})
	}
	wg.Wait()
	records, err := a.records.Load(t.Context(), "ann")
	require.NoError(t, err)
	hidden, err := a.records.Hidden(t.Context(), []proto.Token{"ann", "bob"})
	require.NoError(t, err)
	require.Equal(t, records[0].Hides(), hidden[0])

	require.NoError(t, a.records.Hide(t.Context(), true, "bob")) // the record is gone since
	a.connect(t, "g1", "bob", "phone", "b", "")
	hidden, err = a.records.Hidden(t.Context(), []proto.Token{"bob"})
	require.NoError(t, err)
	require.Equal(t, []bool{false}, hidden)
}

// Of two who replace a record at once one does; and who is due is on the list before.
func TestSwap(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	a := registry.New(w.redis.Client())
	read := func() registry.Entry {
		t.Helper()
		e, err := a.Load(t.Context(), "ann")
		require.NoError(t, err)
		return e[0]
	}
	one, two := read(), read()
	require.True(t, one.Unknown())
	one.Open(state.Conn{PID: "1"}, 1)
	two.Open(state.Conn{PID: "2"}, 1)
	swap := func(e *registry.Entry, due int64) bool {
		t.Helper()
		swapped, err := a.Swap(t.Context(), []int64{due}, e)
		require.NoError(t, err)
		return swapped[0]
	}
	require.True(t, swap(&one, 0))
	require.False(t, swap(&two, 500))
	now := read()
	require.Equal(t, one.Record, now.Record)

	claimed, err := a.Claim(t.Context(), 499, 1000, 10)
	require.NoError(t, err)
	require.Empty(t, claimed)
	claimed, err = a.Claim(t.Context(), 500, 1000, 10)
	require.NoError(t, err)
	require.Equal(t, []proto.Token{"ann"}, claimed)
	claimed, err = a.Claim(t.Context(), 999, 2000, 10)
	require.NoError(t, err)
	require.Empty(t, claimed, "another has it")
	require.True(t, swap(&now, 700))
	require.NoError(t, a.Settled(t.Context(), []proto.Token{"ann"}, 1000, []int64{0}))
	claimed, err = a.Claim(t.Context(), 700, 3000, 10)
	require.NoError(t, err)
	require.Equal(t, []proto.Token{"ann"}, claimed, "who became due meanwhile stays on the list")
	require.NoError(t, a.Settled(t.Context(), []proto.Token{"ann"}, 3000, []int64{0}))
	all, due, err := a.Waiting(t.Context(), 1<<40)
	require.NoError(t, err)
	require.Zero(t, all+due)
}
