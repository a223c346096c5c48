package signaling

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
	"supmesh.dev/signaling/calls"
	"supmesh.dev/signaling/state"
)

// TestALookThatCannotBe is made again soon, however often: what it needed was away.
// What is wrong with the call itself is a failed try.
func TestALookThatCannotBe(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	var fails error
	s := w.instance(func(s *Service) {
		s.at = func(string) error { return fails }
	})
	now := s.now()
	c := state.Begin(state.Call{
		ID: "c1", Type: proto.CallAudio, CreatedAt: now, RingUntil: now + 45_000,
		Parties: []state.Party{{User: "ann"}, {User: "bob", State: proto.ParticipantRinging, Offer: &anOffer}},
	}, device("ann", 1).actor())
	require.NoError(t, c.End(device("ann", 1).actor(), "", now))
	require.NoError(t, s.calls.Append(t.Context(), &calls.Entry{Token: "c1", Call: c}, "")) // and nobody is to look

	look := func(late time.Duration) error {
		body, err := json.Marshal(job{Call: "c1", Due: s.now() - late.Milliseconds()})
		require.NoError(t, err)
		return s.look(t.Context(), body)
	}
	var later *services.Later
	for _, away := range []error{calls.ErrUnavailable, services.ErrRedisDown} {
		fails = away
		require.ErrorAs(t, look(time.Second), &later)
		require.Equal(t, services.Later{After: lookSoon, Free: true}, *later)
		require.ErrorAs(t, look(time.Hour), &later)
		require.Equal(t, services.Later{After: lookSeldom, Free: true}, *later)
	}
	fails = errors.New("another")
	require.ErrorIs(t, look(time.Second), fails)
	fails = nil
	require.NoError(t, look(time.Second))
	servicestest.Eventually(t, 5*time.Second, "it is told", func() bool { return len(w.events("c1", "bob call:end missed cancelled")) == 1 })
}

// answered is a call that ann and bob are in, and what presence says of their sockets.
func answered(t *testing.T, w *town, s *Service, call string) {
	t.Helper()
	s.mustCall(t, device("ann", 1), call, "bob")
	_, err := s.answers(t, device("bob", 1), call)
	require.NoError(t, err)
}

func (w *town) socketIs(user, state string, seen int64) {
	w.tell(func() {
		w.sockets[user] = []proto.ReachSocket{{SocketID: user + "-s1", DeviceID: user + "-d1", State: state, Seen: seen}}
	})
}

// A call ends a grace after the last sign of a gateway that presence takes for dead: what
// presence has waited for it counts.
func TestTheLeaseOfADeadGatewayCounts(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	s := w.instance(func(s *Service) { s.at = func(string) error { return nil } })
	answered(t, w, s, "c1")
	heard := s.now() - s.lease.Milliseconds()
	for _, user := range []string{"ann", "bob"} {
		w.socketIs(user, proto.SessionUnknown, heard)
	}
	e, err := s.calls.Confirmed(t.Context(), "c1")
	require.NoError(t, err)
	e.Moves[len(e.Moves)-1].At -= fresh // it has talked for a while
	e, _, err = s.lookAtSockets(t.Context(), &e, heard)
	require.NoError(t, err)
	for i := range e.Parties {
		require.Equal(t, max(heard, e.Parties[i].JoinedAt), e.Parties[i].LostAt)
	}
	require.LessOrEqual(t, e.Due(s.grace.Milliseconds()), s.now()+s.grace.Milliseconds())
}

// A look comes when presence will have decided on a gateway that it has not heard of.
func TestALookComesWhenPresenceHasDecided(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	s := w.instance()
	answered(t, w, s, "c1")
	e, err := s.calls.Confirmed(t.Context(), "c1")
	require.NoError(t, err)
	now := s.now()
	w.socketIs("ann", proto.SessionConnected, now-1000)
	w.socketIs("bob", proto.SessionConnected, now-25_000)
	e.Moves[len(e.Moves)-1].At -= fresh
	_, decided, err := s.lookAtSockets(t.Context(), &e, now)
	require.NoError(t, err)
	require.Equal(t, now-25_000+(s.lease+leaseLate).Milliseconds(), decided)
}

// What presence knows nothing of went between two looks; gateways have time to tell.
func TestLostAt(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	s := w.instance(func(s *Service) { s.lookEvery, s.grace, s.announceTime = lookEvery, proto.SignalingGrace, announceTime })
	now := s.now()
	require.Equal(t, now-77, s.lostAt(now-77, now-9))
	require.InDelta(t, now-5000, s.lostAt(0, now-10_000), 2000)
	require.InDelta(t, now-10_000, s.lostAt(0, now-60_000), 2000, "the time in which gateways tell is left")
	require.InDelta(t, now, s.lostAt(0, now), 2000)
}

// TestSlotsAreFreedOnceRedisIsBack: it was away when the call ended.
func TestSlotsAreFreedOnceRedisIsBack(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	s := w.instance()
	s.mustCall(t, device("ann", 1), "c1", "bob")
	w.redis.Stop()
	s.mustEnd(t, device("ann", 1), "c1")
	body, err := json.Marshal(job{Call: "c1", Due: s.now()})
	require.NoError(t, err)
	var later *services.Later
	require.ErrorAs(t, s.look(t.Context(), body), &later)
	require.Equal(t, services.Later{After: lookSeldom, Free: true}, *later)
	body, err = json.Marshal(job{Call: "c1", Due: s.now() - freeWithin})
	require.NoError(t, err)
	require.NoError(t, s.look(t.Context(), body))
}
