package presence

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/presence/registry"
	"supmesh.dev/presence/viewing"
	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

// A repeat of rpc.presence.open has the fence of the first, and what has ended since
// stays so: in the grace, after it, after a goodbye, and once the session has gone on.
func TestRepeatedOpenChangesNothing(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		t.Parallel()
		w := newTown(t, redis)
		w.grace = 500 * time.Millisecond
		a, b := w.instance(), w.instance()
		a.lives(t, "g1", true)
		a.lives(t, "g2", true)

		ann := a.connect(t, "g1", "ann", "phone", "p", "")
		require.Equal(t, ann.OpenSessionRes, b.connect(t, "g1", "ann", "phone", "p", "").OpenSessionRes)
		a.tellOf(t, proto.ReportReq{Gateway: "g1", Seq: 1, Began: ann.viewing("room")})
		require.Equal(t, ann.Fence, b.connect(t, "g1", "ann", "phone", "p", "").Fence)
		require.Len(t, a.state(t, "ann").Sessions, 1)
		w.inAnyOrder("presence:update ann online", "chat:member-joined ann room")
		w.forget()

		a.tellOf(t, ann.closing(false))
		require.Equal(t, ann.Fence, b.connect(t, "g1", "ann", "phone", "p", "").Fence)
		require.Equal(t, proto.SessionLeaving, a.state(t, "ann").Sessions[0].State)
		w.inAnyOrder("presence:update ann offline", "chat:member-left ann room")
		require.Equal(t, ann.Fence, b.connect(t, "g1", "ann", "phone", "p", "").Fence)
		require.Empty(t, a.state(t, "ann").Sessions)
		require.Equal(t, proto.StatusOffline, a.state(t, "ann").Effective)

		bob := a.connect(t, "g1", "bob", "phone", "q", "")
		a.tellOf(t, bob.closing(true))
		require.Equal(t, bob.Fence, b.connect(t, "g1", "bob", "phone", "q", "").Fence)
		require.Empty(t, a.state(t, "bob").Sessions, "a goodbye is final")

		cat := a.connect(t, "g1", "cat", "phone", "r1", "")
		on := a.connect(t, "g2", "cat", "phone", "r2", "r1")
		require.Zero(t, b.connect(t, "g1", "cat", "phone", "r1", "").Fence, "the session has gone on")
		require.NotEqual(t, cat.Fence, on.Fence)
		require.Len(t, a.state(t, "cat").Sessions, 1)
		for _, of := range []registry.Of{{User: "ann", PID: "p"}, {User: "bob", PID: "q"}, {User: "cat", PID: "r1"}} {
			listed, err := a.leases.Sessions(t.Context(), "g1", 10)
			require.NoError(t, err)
			require.NotContains(t, listed, of, "nothing of it is left to be swept")
		}
	})
}

// A repeat brings nothing back of what the connection has ended since it was answered.
func TestRepeatedReturnBringsNothingBack(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	a, b := w.instance(), w.instance()
	a.lives(t, "g1", true)
	ann := a.connect(t, "g1", "ann", "phone", "p1", "")
	a.tellOf(t, proto.ReportReq{Gateway: "g1", Seq: 1, Began: ann.viewing("room")})
	had, err := b.records.Sessions(t.Context(), registry.Of{User: "ann", PID: "p1"})
	require.NoError(t, err)
	back := a.connect(t, "g1", "ann", "phone", "p2", "p1")
	require.Equal(t, []string{"room"}, back.Views)
	a.tellOf(t, proto.ReportReq{Gateway: "g1", Seq: 2, Ended: back.viewing("room")})

	// What is left of a repeat that was held up behind its reads.
	begun, err := b.records.BeginSessions(t.Context(), registry.Begin{
		Of: registry.Of{User: "ann", PID: "p2"}, Gateway: "g1", Fence: back.Fence, Device: "phone", Socket: back.sid,
		Session: registry.Session{Was: back.Was, Views: had[0].Views},
	})
	require.NoError(t, err)
	require.Equal(t, []registry.Begun{registry.BeginRepeated}, begun)
	require.NoError(t, b.move(t.Context(), registry.Of{User: "ann", PID: "p1"}, registry.Of{User: "ann", PID: "p2"}, had[0], back.Fence))
	active, err := a.views.Active(t.Context(), "room")
	require.NoError(t, err)
	require.Empty(t, active)
}

// A report that comes again after a later one changes nothing, whichever part of it was
// held up.
func TestRepeatedReportChangesNothing(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	a, b := w.instance(), w.instance()
	a.lives(t, "g1", true)
	ann := a.connect(t, "g1", "ann", "phone", "p", "")
	active := func() []proto.Token {
		all, err := a.views.Active(t.Context(), "room")
		require.NoError(t, err)
		return all
	}
	began := proto.ReportReq{Gateway: "g1", Seq: 1, Began: ann.viewing("room")}
	ended := proto.ReportReq{Gateway: "g1", Seq: 2, Ended: ann.viewing("room")}
	again := proto.ReportReq{Gateway: "g1", Seq: 3, Began: ann.viewing("room")}
	one := []viewing.Viewer{{Chat: "room", User: "ann", PID: "p"}}
	a.tellOf(t, began)
	a.tellOf(t, ended)
	b.tellOf(t, began)
	require.Empty(t, active())
	_, err := b.views.Began(t.Context(), one...) // held up between its two writes
	require.NoError(t, err)
	require.NoError(t, b.confirmViews(t.Context(), one, true, false))
	require.Empty(t, active())

	a.tellOf(t, again)
	b.tellOf(t, ended)
	require.Equal(t, []proto.Token{"ann"}, active())
	_, err = b.views.Ended(t.Context(), one...)
	require.NoError(t, err)
	require.NoError(t, b.confirmViews(t.Context(), one, false, false))
	require.Equal(t, []proto.Token{"ann"}, active())

	a.tellOf(t, ann.closing(true))
	b.tellOf(t, again)
	_, err = b.views.Began(t.Context(), one...)
	require.NoError(t, err)
	require.NoError(t, b.confirmViews(t.Context(), one, true, false))
	require.Empty(t, active(), "the session has ended")
}

// An announcement that comes again after a later one leaves the connection where that
// has put it: an old name of the gateway is swept without it.
func TestRepeatedAnnouncementChangesNothing(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	a, b := w.instance(), w.instance()
	a.lives(t, "g1.0", true)
	ann := a.connect(t, "g1.0", "ann", "phone", "p", "")
	first := proto.ReportReq{Gateway: "g1.0", Seq: 1, Opened: []proto.Opened{ann.opened()}}
	a.tellOf(t, first)
	a.lives(t, "g1.1", true)
	ann.gateway = "g1.1"
	a.tellOf(t, proto.ReportReq{Gateway: "g1.1", Seq: 2, Opened: []proto.Opened{ann.opened()}})
	require.Empty(t, b.tellOf(t, first).Superseded)
	r, err := a.records.Load(t.Context(), "ann")
	require.NoError(t, err)
	name, err := r[0].Conns[0].Gateway.ID()
	require.NoError(t, err)
	require.Equal(t, "g1.1", name)

	late := ann.opened()
	late.Fence, late.PID, late.SocketID = 0, "q", "sid-q"
	opened := proto.ReportReq{Gateway: "g1.1", Seq: 3, Opened: []proto.Opened{late}}
	fenced := a.tellOf(t, opened).Fences
	require.Equal(t, fenced, b.tellOf(t, opened).Fences, "a repeat has the fence of the first")
	a.tellOf(t, proto.ReportReq{Gateway: "g1.1", Seq: 4, Closed: []proto.Closed{{UserID: "ann", PID: "q", Fence: fenced[0].Fence, At: proto.At(time.Now()), Final: true}}})
	require.Equal(t, []string{"q"}, b.tellOf(t, opened).Superseded)
	require.Len(t, a.state(t, "ann").Sessions, 1)
}
