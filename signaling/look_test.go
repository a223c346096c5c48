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
