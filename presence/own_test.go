package presence

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/presence/registry"
	"supmesh.dev/presence/state"
	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/journal"
	"supmesh.dev/services/servicestest"
)

// What a user has set survives the loss of Redis, for every instance, before and after
// the user's gateway has told of them again; who hides is shown to nobody meanwhile.
func TestStatusSurvivesTheLossOfRedis(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		t.Parallel()
		w := newTown(t, redis)
		a, b := w.instance(), w.instance()
		a.lives(t, "g1", true)
		ann := a.connect(t, "g1", "ann", "phone", "p", "")
		bob := a.connect(t, "g1", "bob", "phone", "q", "")
		text, until := "on a hike", proto.At(time.Now().Add(time.Hour))
		a.set(t, ann, proto.UpdatePresenceReq{Status: proto.StatusOffline})
		set := a.set(t, bob, proto.UpdatePresenceReq{Status: proto.StatusBusy, CustomStatus: &text, Until: &until}).Own
		require.NotNil(t, set)
		hidden := a.state(t, "ann").Own

		anew := func() { redis.Stop(); redis.Start() }
		if redis.Cluster { // a node keeps its slots
			anew = w.flush
		}
		for round, lose := range []func(){w.flush, anew} {
			lose()
			servicestest.Eventually(t, 15*time.Second, "redis is back", func() bool {
				_, ofA := a.records.Now(t.Context())
				_, ofB := b.records.Now(t.Context())
				return ofA == nil && ofB == nil
			})
			w.forget()
			require.Equal(t, set, b.state(t, "bob").Own)
			require.Equal(t, hidden, a.state(t, "ann").Own)
			reach, err := b.reach(calledBy(t, proto.Actor{}), proto.ReachReq{UserIDs: []string{"bob"}})
			require.NoError(t, err)
			require.True(t, reach.Users[0].Busy)

			a.lives(t, "g1", true)
			a.tellOf(t, proto.ReportReq{
				Gateway: "g1", Seq: uint64(round + 1), Quiet: true, Opened: []proto.Opened{ann.opened(), bob.opened()},
				Began: append(ann.viewing("room"), bob.viewing("room")...),
			})
			require.Equal(t, proto.StatusOffline, b.state(t, "ann").Effective)
			require.Equal(t, proto.StatusOnline, b.state(t, "ann").Status, "backends know")
			require.Equal(t, proto.StatusBusy, b.state(t, "bob").Effective)
			res, err := a.viewers(byBackend(t), proto.ViewersReq{ChatID: "room"})
			require.NoError(t, err)
			require.Equal(t, []string{"bob"}, res.UserIDs)
			require.NotContains(t, w.news(), "presence:update ann online")
		}
		a.set(t, ann, proto.UpdatePresenceReq{Status: proto.StatusOnline})
		w.flush()
		require.Empty(t, b.state(t, "ann").Own.Status, "it is seen again, by the log too")
		require.Equal(t, proto.StatusOffline, b.state(t, "ann").Effective, "until the gateway tells of the connection")
	})
}

// An entry that was stored by an instance which died before Redis had it counts once the
// append can have no other outcome, and for the next change at once.
func TestStatusThatOnlyTheLogHas(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	a, b := w.instance(), w.instance()
	a.lives(t, "g1", true)
	ann := a.connect(t, "g1", "ann", "phone", "p", "")
	w.eventually("presence:update ann online")
	store := func(own string, doubtFor int64) {
		records, err := a.load(t.Context(), "ann")
		require.NoError(t, err)
		_, err = a.change(t.Context(), []proto.Token{"ann"}, func(e *registry.Entry, now int64) error {
			e.DoubtFrom(now + doubtFor)
			return nil
		})
		require.NoError(t, err)
		_, _, err = a.log.Append(t.Context(), journal.Append{Subject: proto.UserStatus("ann"), After: records[0].Position, Body: []byte(own)})
		require.NoError(t, err)
	}
	store(`{"status":"offline","by":"phone","at":1}`, 1)
	servicestest.Eventually(t, 15*time.Second, "the doubt ends", func() bool { return b.state(t, "ann").Effective == proto.StatusOffline })
	require.Equal(t, proto.StatusOffline, b.state(t, "ann").Own.Status)

	store(`{"status":"busy","by":"phone","at":2}`, ownDoubt.Milliseconds())
	text := "brb"
	res := b.set(t, ann, proto.UpdatePresenceReq{Status: proto.StatusAway, CustomStatus: &text})
	require.Equal(t, "brb", res.CustomStatus)
	require.Empty(t, res.Own.Status, "away of the device that set it ends busy, which it has read")
	last, ok, err := a.log.Last(t.Context(), proto.UserStatus("ann"))
	require.NoError(t, err)
	require.True(t, ok)
	require.Contains(t, string(last.Body), "brb")
}

// A repeat of presence:update changes nothing, also after a later update of the same
// device, of another, and of a change that was the device's alone.
func TestRepeatedStatusChangesNothing(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	a, b := w.instance(), w.instance()
	a.lives(t, "g1", true)
	phone := a.connect(t, "g1", "ann", "phone", "p", "")
	desk := a.connect(t, "g1", "ann", "desk", "d", "")
	ask := func(c *socket) context.Context {
		ctx := calledBy(t, c.actor())
		call, _ := services.CallFrom(ctx)
		require.NotEmpty(t, call.RequestID)
		return ctx
	}
	entries := func() uint64 {
		last, _, err := a.log.Last(t.Context(), proto.UserStatus("ann"))
		require.NoError(t, err)
		return last.Position
	}
	update := func(s *Service, ctx context.Context, status proto.Status) proto.UpdatePresenceRes {
		res, err := s.update(ctx, proto.UpdatePresenceReq{Status: status})
		require.NoError(t, err)
		return res
	}
	busy, own := ask(phone), new(proto.OwnPresence)
	*own = *update(a, busy, proto.StatusBusy).Own
	at := entries()
	again := update(b, busy, proto.StatusBusy)
	require.Equal(t, own, again.Own)
	require.Equal(t, proto.StatusBusy, again.EffectiveStatus)
	require.Equal(t, at, entries(), "a repeat stores nothing")

	update(a, ask(desk), proto.StatusOnline)
	update(b, busy, proto.StatusBusy)
	require.Empty(t, a.state(t, "ann").Own.Status)

	away := ask(phone)
	update(a, away, proto.StatusAway)
	online := ask(phone)
	update(a, online, proto.StatusOnline)
	update(b, away, proto.StatusAway)
	for _, s := range a.state(t, "ann").Sessions {
		require.Equal(t, proto.StatusOnline, s.Status)
	}
	gone := ask(desk)
	update(a, gone, proto.StatusOffline)
	a.tellOf(t, desk.closing(true))
	update(a, ask(phone), proto.StatusOnline)
	update(b, gone, proto.StatusOffline)
	require.Empty(t, a.state(t, "ann").Own.Status, "also of a device that has left: the log knows its key")
	var none state.Own
	r, err := a.records.Load(t.Context(), "ann")
	require.NoError(t, err)
	require.True(t, r[0].Own.Same(none))
}

// What follows from a change and fails is done later: views end, marks are right.
func TestUnfinishedIsDoneLater(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	a := w.instance()
	a.lives(t, "g1", true)
	ann := a.connect(t, "g1", "ann", "phone", "p", "")
	a.tellOf(t, proto.ReportReq{Gateway: "g1", Seq: 1, Began: ann.viewing("room")})
	ended, cancel := context.WithCancel(t.Context())
	c := &changed{Entry: &registry.Entry{User: "ann"}, gone: []state.Conn{{PID: "p", Gateway: "g1", Fence: ann.Fence}}}
	cancel()
	a.follow(ended, []*changed{c}, "")
	servicestest.Eventually(t, 15*time.Second, "the view ends", func() bool {
		active, err := a.views.Active(t.Context(), "room")
		return err == nil && len(active) == 0
	})
}
