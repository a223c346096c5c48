package presence

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

// Who may not see somebody gets what of somebody who never was; who cannot be judged is
// unknown.
func TestSubscribe(t *testing.T) {
	t.Parallel()
	r := newRelated(t, servicestest.RunRedis(t))
	stop := r.chat()
	r.shares["eve"] = []string{"ann"}
	s := r.presence(VisibleShared)
	s.lives(t, "g1", true)
	text := "In a meeting"
	ann := s.connect(t, "g1", "ann", "phone", "p", "")
	s.set(t, ann, proto.UpdatePresenceReq{Status: proto.StatusBusy, CustomStatus: &text})
	servicestest.Eventually(t, 10*time.Second, "it is shown", func() bool { return s.state(t, "ann").Effective == proto.StatusBusy })
	bob := s.connect(t, "g1", "bob", "phone", "b", "")
	s.tellOf(t, bob.closing(true))
	s.setContacts(t, "bob", "eve", "foe")
	s.setBlocks(t, "ann", "foe")
	see := func(watcher string, ids ...string) (proto.SubscribePresenceRes, error) {
		return s.subscribe(calledBy(t, proto.Actor{User: watcher}), proto.SubscribePresenceReq{UserIDs: ids})
	}
	servicestest.Eventually(t, 10*time.Second, "bob is offline", func() bool { return s.state(t, "bob").Effective == proto.StatusOffline })

	res, err := see("eve", "ann", "bob", "nobody")
	require.NoError(t, err)
	require.Equal(t, []string{"nobody"}, res.Denied)
	require.Equal(t, 3, res.Total)
	require.Equal(t, proto.StatusBusy, res.Presences[0].Status)
	require.Equal(t, text, res.Presences[0].CustomStatus)
	require.Zero(t, res.Presences[0].LastSeen, "of those who are offline")
	require.NotZero(t, res.Presences[0].Version)
	require.Equal(t, proto.StatusOffline, res.Presences[1].Status)
	require.NotZero(t, res.Presences[1].LastSeen)

	nothing := func(id string) proto.Presence { return proto.Presence{UserID: id, Status: proto.StatusOffline} }
	res, err = see("foe", "ann", "nobody")
	require.NoError(t, err)
	require.Equal(t, []proto.Presence{nothing("ann"), nothing("nobody")}, res.Presences, "no last seen, no version")
	require.Equal(t, []string{"ann", "nobody"}, res.Denied)
	res, err = see("ann", "ann", "foe")
	require.NoError(t, err)
	require.Equal(t, proto.StatusBusy, res.Presences[0].Status, "oneself")
	require.Equal(t, []string{"foe"}, res.Denied, "a block hides both")

	require.NoError(t, stop())
	res, err = see("eve", "ann", "bob")
	require.NoError(t, err)
	require.Equal(t, proto.Presence{UserID: "ann", Status: proto.StatusUnknown}, res.Presences[0], "chat cannot say")
	require.Equal(t, proto.StatusOffline, res.Presences[1].Status)
	require.Empty(t, res.Denied)

	r.redis.Stop()
	_, err = see("eve", "bob")
	requireFailure(t, proto.ServiceUnavailable, err)
	_, err = see("")
	requireFailure(t, proto.AuthenticationRequired, err)
}

// One's own connections, and all that a backend may know.
// TestElsewhere: a gateway that opens a connection learns how many the user has on others. Those that
// have ended do not count, nor does the one that is continued.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	w.grace = time.Minute
	s := w.instance()
	phone := s.connect(t, "g1", "ann", "phone", "p", "")
	require.Zero(t, phone.Elsewhere)
	require.Zero(t, s.connect(t, "g1", "ann", "tablet", "q", "").Elsewhere)
	desk := s.connect(t, "g2", "ann", "desk", "d", "")
	require.Equal(t, 2, desk.Elsewhere)
	require.Zero(t, s.connect(t, "g2", "bob", "desk", "b", "").Elsewhere)
	require.Equal(t, 1, s.connect(t, "g2", "ann", "phone", "p2", "p").Elsewhere, "the phone has moved")
	require.Equal(t, 2, s.connect(t, "g1", "ann", "laptop", "l", "").Elsewhere)
	s.tellOf(t, desk.closing(false))
	require.Equal(t, 1, s.connect(t, "g1", "ann", "watch", "w", "").Elsewhere)
}

func TestSessions(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	w.grace = time.Minute
	s := w.instance()
	phone := s.connect(t, "gate.a1b2.0", "ann", "phone", "p", "")
	desk := s.connect(t, "g2", "ann", "desk", "d", "")
	s.set(t, phone, proto.UpdatePresenceReq{Status: proto.StatusAway})
	s.tellOf(t, desk.closing(false))
	list, err := s.listSessions(calledBy(t, phone.actor()), proto.ListSessionsReq{})
	require.NoError(t, err)
	require.Len(t, list.Sessions, 2)
	require.Equal(t, []string{"desk", "phone"}, []string{list.Sessions[0].DeviceID, list.Sessions[1].DeviceID}, "the newest first")
	require.Equal(t, proto.SessionLeaving, list.Sessions[0].State)
	require.False(t, list.Sessions[0].Current)
	mine := list.Sessions[1]
	require.Equal(t, proto.SessionConnected, mine.State)
	require.True(t, mine.Current)
	require.Equal(t, "gate", mine.Gateway, "the instance, not its lease")
	require.Equal(t, proto.StatusAway, mine.Status)
	require.NotContains(t, mine.ID, "p", "nobody returns as it by its name")

	all, err := s.userSessions(byBackend(t), proto.PresenceOf{UserID: "ann"})
	require.NoError(t, err)
	require.Len(t, all.Sessions, 2)
	require.False(t, all.Sessions[1].Current)
	for _, who := range []proto.Actor{{}, {User: "ann"}} {
		_, err = s.get(calledBy(t, who), proto.PresenceOf{UserID: "ann"})
		requireFailure(t, proto.PermissionDenied, err)
		_, err = s.userSessions(calledBy(t, who), proto.PresenceOf{UserID: "ann"})
		requireFailure(t, proto.PermissionDenied, err)
	}
	past := proto.At(time.Now().Add(-time.Second))
	// Called as the updates before: one with an earlier deadline would count as an older one.
	_, err = servicestest.Call(s.update, phone.actor(), proto.UpdatePresenceReq{Status: proto.StatusBusy, Until: &past})
	requireFailure(t, proto.InvalidPayload, err)
	require.Equal(t, "until", proto.AsError(err).Field)
	require.Nil(t, s.state(t, "nobody").Own)
}
