package presence

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

func (s *Service) reaches(t testing.TB, from string, ids ...string) []proto.Reach {
	t.Helper()
	req := proto.ReachReq{From: from, UserIDs: ids}
	require.NoError(t, req.Validate())
	res, err := servicestest.Call(s.reach, proto.Actor{}, req)
	require.NoError(t, err)
	require.Len(t, res.Users, len(ids))
	for i, id := range ids {
		require.Equal(t, id, res.Users[i].UserID)
		require.NotNil(t, res.Users[i].Sockets)
	}
	return res.Users
}

func socket1(c *socket, state string) []proto.ReachSocket {
	return []proto.ReachSocket{{SocketID: c.sid, DeviceID: c.device, State: state}}
}

// timed is what is known of users without when there was a last sign of their sockets,
// which must be known.
func timed(t *testing.T, all []proto.Reach) []proto.Reach {
	t.Helper()
	for i := range all {
		for k := range all[i].Sockets {
			s := &all[i].Sockets[k]
			require.InDelta(t, time.Now().UnixMilli(), s.Seen, 60_000, s.SocketID)
			s.Seen = 0
		}
	}
	return all
}

// Which sockets there are, and how: what a user's own list of sessions says.
func TestReachSockets(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		w := newTown(t, redis)
		w.grace, w.lease = time.Minute, 2*time.Second
		a := w.instance()
		stop := w.beat("g1", a)
		w.beat("g2", a)
		phone := a.connect(t, "g1", "ann", "phone", "p", "")
		desk := a.connect(t, "g2", "ann", "desk", "d", "")
		eve := a.connect(t, "g1", "eve", "phone", "e", "")
		got := a.reaches(t, "bob", "ann", "nobody", "eve")
		require.True(t, got[0].Reachable)
		require.ElementsMatch(t, append(socket1(phone, proto.SessionConnected), socket1(desk, proto.SessionConnected)...), got[0].Sockets)
		require.Equal(t, proto.Reach{UserID: "nobody", Related: true, Sockets: []proto.ReachSocket{}}, got[1])
		require.Equal(t, proto.Reach{UserID: "eve", Reachable: true, Related: true, Sockets: socket1(eve, proto.SessionConnected)}, got[2])

		a.tellOf(t, desk.closing(false))
		got = timed(t, a.reaches(t, "", "ann"))
		require.True(t, got[0].Reachable, "by the phone")
		require.ElementsMatch(t, append(socket1(phone, proto.SessionConnected), socket1(desk, proto.SessionLeaving)...), got[0].Sockets)
		a.tellOf(t, phone.closing(true))
		require.Equal(t, []proto.Reach{{UserID: "ann", Related: true, Sockets: socket1(desk, proto.SessionLeaving)}}, timed(t, a.reaches(t, "", "ann")))

		stop()
		w.waitDead(a, 1)
		require.Equal(t, []proto.Reach{{UserID: "eve", Related: true, Sockets: socket1(eve, proto.SessionUnknown)}}, timed(t, a.reaches(t, "ann", "eve")))
	})
}

// Who is busy is so until then, with or without a connection.
func TestReachBusy(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	a := w.instance()
	a.lives(t, "g1", true)
	ann := a.connect(t, "g1", "ann", "phone", "p", "")
	require.False(t, a.reaches(t, "", "ann")[0].Busy)
	soon := proto.At(time.Now().Add(500 * time.Millisecond))
	a.set(t, ann, proto.UpdatePresenceReq{Status: proto.StatusBusy, Until: &soon})
	a.tellOf(t, ann.closing(true))
	if is := a.reaches(t, "bob", "ann")[0].Busy; time.Now().Before(soon.Time) {
		require.True(t, is)
	}
	servicestest.Eventually(t, 10*time.Second, "its time is over", func() bool { return !a.reaches(t, "", "ann")[0].Busy })
}

// Who has set offline is there for nobody else.
func TestReachInvisible(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	a := w.instance()
	a.lives(t, "g1", true)
	ann := a.connect(t, "g1", "ann", "phone", "p", "")
	soon := proto.At(time.Now().Add(time.Second))
	a.set(t, ann, proto.UpdatePresenceReq{Status: proto.StatusOffline, Until: &soon})
	if got := a.reaches(t, "bob", "ann")[0]; time.Now().Before(soon.Time) {
		require.Equal(t, proto.Reach{UserID: "ann", Related: true, Sockets: socket1(ann, proto.SessionConnected)}, got)
	}
	require.True(t, a.reaches(t, "ann", "ann")[0].Reachable, "but for themselves")
	require.True(t, a.reaches(t, "", "ann")[0].Reachable, "and as it is")
	servicestest.Eventually(t, 10*time.Second, "it is over", func() bool { return a.reaches(t, "bob", "ann")[0].Reachable })
	a.set(t, ann, proto.UpdatePresenceReq{Status: proto.StatusBusy})
	require.True(t, a.reaches(t, "bob", "ann")[0].Reachable)
}

func TestReachRelated(t *testing.T) {
	t.Parallel()
	onBothRedis(t, func(t *testing.T, redis *servicestest.Redis) {
		r := newRelated(t, redis)
		stop := r.chat()
		r.shares["ann"] = []string{"bob", "foe"}
		shared, listed, all := r.presence(VisibleShared), r.presence(VisibleContacts), r.presence(VisibleAll)
		shared.lives(t, "g1", true)
		for _, user := range []string{"bob", "friend", "stranger", "foe", "victim"} {
			shared.connect(t, "g1", user, "phone", "pid-"+user, "")
		}
		shared.setContacts(t, "friend", "ann")
		shared.setContacts(t, "ann", "stranger")
		shared.setBlocks(t, "foe", "ann")
		shared.setBlocks(t, "ann", "victim")
		users := []string{"bob", "friend", "stranger", "foe", "victim", "ann"}
		is := func(s *Service, from string, of func(proto.Reach) bool) (out []string) {
			t.Helper()
			for _, one := range s.reaches(t, from, users...) {
				if of(one) {
					out = append(out, one.UserID)
				}
			}
			return out
		}
		related := func(one proto.Reach) bool { return one.Related }
		blocked := func(one proto.Reach) bool { return one.Blocked }
		reachable := func(one proto.Reach) bool { return one.Reachable }
		for _, s := range []*Service{shared, listed} {
			require.Equal(t, []string{"bob", "friend", "foe", "ann"}, is(s, "ann", related), "a chat relates, whoever may see whom, and who has blocked whom")
			require.Equal(t, [][]string{{"bob", "stranger", "foe", "victim"}}, r.questions(), "once, for those who need it")
		}
		require.Equal(t, users, is(all, "ann", related))
		require.Empty(t, r.questions())
		require.Equal(t, []string{"foe", "victim"}, is(shared, "ann", blocked), "either way")
		require.Equal(t, []string{"bob", "friend", "stranger"}, is(shared, "ann", reachable), "strangers too")
		require.Equal(t, []string{"ann"}, is(shared, "foe", blocked))
		require.Equal(t, users, is(shared, "", related))
		require.Equal(t, users[:5], is(shared, "", reachable), "as it is")
		require.Empty(t, is(shared, "", blocked))

		require.NoError(t, stop())
		require.Equal(t, users, is(shared, "ann", related), "chat must not keep people apart")
	})
}

func TestReachIsForServices(t *testing.T) {
	t.Parallel()
	r := newRelated(t, servicestest.RunRedis(t))
	s := r.presence(VisibleShared)
	for _, who := range []proto.Actor{{User: "ann"}, {Backend: true}, {User: "ann", Backend: true}} {
		_, err := s.reach(calledBy(t, who), proto.ReachReq{UserIDs: []string{"bob"}})
		requireFailure(t, proto.PermissionDenied, err)
	}
	r.redis.Stop()
	for _, from := range []string{"", "ann"} {
		_, err := s.reach(calledBy(t, proto.Actor{}), proto.ReachReq{From: from, UserIDs: []string{"bob"}})
		requireFailure(t, proto.ServiceUnavailable, err)
	}
}

// A session says which socket it continues: long after that has ended, and again when
// the answer was lost.
func TestSocketThatIsContinued(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		w := newTown(t, redis)
		a := w.instance()
		for _, g := range []string{"g1", "g2", "g3"} {
			a.lives(t, g, true)
		}
		first := a.connect(t, "g1", "ann", "phone", "p1", "")
		require.Empty(t, first.Was)
		for range 2 {
			require.Equal(t, first.sid, a.connect(t, "g2", "ann", "phone", "p2", "p1").Was)
		}
		second := a.connect(t, "g2", "ann", "phone", "p2", "p1")
		third := a.connect(t, "g3", "ann", "phone", "p2", "p2")
		require.Equal(t, second.sid, third.Was, "under the same name")
		third = a.connect(t, "g3", "ann", "phone", "p2", "p2")
		require.Equal(t, second.sid, third.Was)

		a.tellOf(t, third.closing(false))
		servicestest.Eventually(t, 10*time.Second, "its grace is over", func() bool { return len(a.reaches(t, "", "ann")[0].Sockets) == 0 })
		fourth := a.connect(t, "g1", "ann", "phone", "p4", "p1")
		require.True(t, fourth.Returned)
		require.Equal(t, third.sid, fourth.Was)
		require.Empty(t, a.connect(t, "g1", "ann", "desk", "p5", "p4").Was, "another device's")

		// Redis was lost, and its gateway has told of it again.
		w.flush()
		a.lives(t, "g1", true)
		a.tellOf(t, proto.ReportReq{Gateway: "g1", Opened: []proto.Opened{fourth.opened()}})
		require.Equal(t, fourth.sid, a.connect(t, "g2", "ann", "phone", "p6", "p4").Was)
	})
}
