package presence

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

// Each list that presence answers with, at its bounds, on a server with the smallest
// max_payload: nothing is refused, and every page gets further.

func TestManySessions(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	s := w.instance()
	s.lives(t, "g1", true)
	const sessions = 500
	user := servicestest.LongID(0)
	for n := range sessions {
		s.connect(t, "g1", user, servicestest.LongID(n), fmt.Sprint("p", n), "")
	}
	me, backend := proto.Actor{User: user, Device: "d", Socket: "sid-p7-g1"}, proto.Actor{Backend: true}
	for name, page := range map[string]func(string) ([]proto.Session, string){
		"own": func(cursor string) ([]proto.Session, string) {
			res := servicestest.AtBounds(t, s.host, proto.ListSessions, me, proto.ListSessionsReq{Cursor: cursor})
			return res.Sessions, res.NextCursor
		},
		"sessions": func(cursor string) ([]proto.Session, string) {
			res := servicestest.AtBounds(t, s.host, proto.GetSessions, backend, proto.PresenceOf{UserID: user, Cursor: cursor})
			return res.Sessions, res.NextCursor
		},
		"presence": func(cursor string) ([]proto.Session, string) {
			res := servicestest.AtBounds(t, s.host, proto.GetPresence, backend, proto.PresenceOf{UserID: user, Cursor: cursor})
			return res.Sessions, res.NextCursor
		},
	} {
		seen, pages, current := map[string]bool{}, 0, 0
		for cursor, more := "", true; more; pages++ {
			var list []proto.Session
			list, cursor = page(cursor)
			require.NotEmpty(t, list, name)
			for _, one := range list {
				require.False(t, seen[one.ID], name)
				seen[one.ID] = true
				if one.Current {
					current++
				}
			}
			more = cursor != ""
		}
		require.Len(t, seen, sessions, name)
		require.Greater(t, pages, 1, name)
		require.Equal(t, name == "own", current == 1, name)
	}
	_, err := s.listSessions(calledBy(t, me), proto.ListSessionsReq{Cursor: "x"})
	require.Equal(t, "cursor", proto.AsError(err).Field)

	reach := proto.ReachReq{UserIDs: []string{user}}
	for n := range proto.MaxReach - 1 {
		reach.UserIDs = append(reach.UserIDs, servicestest.LongID(n+1))
	}
	res := servicestest.AtBounds(t, s.host, proto.ReachUsers, proto.Actor{}, reach)
	require.Len(t, res.Users, proto.MaxReach)
	require.True(t, res.Users[0].Reachable)
	require.Greater(t, len(res.Users[0].Sockets), 20)
	require.Equal(t, fmt.Sprintf("sid-p%d-g1", sessions-1), res.Users[0].Sockets[0].SocketID, "the newest first")
}

func TestManyViewersAndSubscriptions(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	s := w.instance()
	s.lives(t, "g1", true)
	chat := servicestest.LongID(0)
	const users = 600
	var began []proto.View
	for n := range users {
		c := s.connect(t, "g1", servicestest.LongID(n), "phone", fmt.Sprint("p", n), "")
		began = append(began, c.viewing(chat)...)
	}
	for len(began) > 0 {
		n := min(len(began), proto.MaxReport)
		s.tellOf(t, proto.ReportReq{Gateway: "g1", Began: began[:n], Quiet: true})
		began = began[n:]
	}
	viewers := servicestest.AtBounds(t, s.host, proto.Viewers, proto.Actor{}, proto.ViewersReq{ChatID: chat})
	require.Equal(t, users, viewers.Count)
	require.Greater(t, len(viewers.UserIDs), 400)

	// The longest presence of the longest ids.
	text := ""
	for range proto.MaxCustomStatus {
		text += "\x01"
	}
	req := proto.SubscribePresenceReq{}
	for n := range proto.MaxSubscribe {
		user := servicestest.LongID(n)
		_, err := s.update(calledBy(t, proto.Actor{User: user, Device: "phone", Socket: fmt.Sprintf("sid-p%d-g1", n), Gateway: "g1"}),
			proto.UpdatePresenceReq{Status: proto.StatusBusy, CustomStatus: &text})
		require.NoError(t, err)
		req.UserIDs = append(req.UserIDs, user)
	}
	res := servicestest.AtBounds(t, s.host, proto.SubscribePresence, proto.Actor{User: "ann", Device: "d", Socket: "s"}, req)
	require.Len(t, res.Presences, proto.MaxSubscribe)

	// A session that returns had as much open and subscribed as it may.
	c := s.connect(t, "g1", "ann", "d", "old", "")
	report := proto.ReportReq{Gateway: "g1", Quiet: true}
	watch := proto.Watch{UserID: "ann", PID: "old", Fence: c.Fence}
	for n := range 400 {
		watch.UserIDs = append(watch.UserIDs, servicestest.LongID(n))
	}
	report.Watched = append(report.Watched, watch)
	for n := range proto.MaxReport {
		report.Began = append(report.Began, c.viewing(servicestest.LongID(n))...)
	}
	s.tellOf(t, report)
	back := servicestest.AtBounds(t, s.host, proto.OpenSession, c.actor(), proto.OpenSessionReq{Gateway: "g1", Inbox: "box.g1", PID: "new", Returns: "old"})
	require.True(t, back.Returned)
	require.Len(t, back.Watches, 400)
	require.NotEmpty(t, back.Views)

	opened := proto.ReportReq{Gateway: "g1", Inbox: "box.g1"}
	for n := range proto.MaxReport / 2 {
		o := (&socket{user: fmt.Sprint("u", n), device: "d", pid: servicestest.LongID(n), sid: fmt.Sprint("s", n), since: c.since}).opened()
		opened.Opened = append(opened.Opened, o)
	}
	require.Len(t, servicestest.AtBounds(t, s.host, proto.ReportSessions, proto.Actor{Gateway: "g1"}, opened).Fences, proto.MaxReport/2)
}
