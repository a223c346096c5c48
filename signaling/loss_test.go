package signaling

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

func TestRedisIsLostWhileItRings(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	a, b := w.instance(rings(3*time.Second)), w.instance(rings(3*time.Second))
	ann, bob, cat := device("ann", 1), device("bob", 1), device("cat", 1)
	a.mustCall(t, ann, "c1", "bob")
	w.flush()
	for _, target := range []string{"ann", "bob"} {
		_, err := b.callsOne(t, cat, "x-"+target, target)
		requireFailure(t, proto.CallBusy, err)
	}
	_, err := b.callsOne(t, device("bob", 2), "x-glare", "ann")
	requireFailure(t, proto.CallGlare, err)
	w.flush()
	names, _ := b.returns(t, device("bob", 3), "")
	require.Equal(t, []string{"call:incoming"}, names)
	w.flush()
	b.mustAnswer(t, bob, "c1")
	_, err = a.answers(t, device("bob", 2), "c1")
	requireFailure(t, proto.CallAlreadyAnswered, err)

	// Another rings out.
	b.mustCall(t, cat, "c2", "dan")
	w.flush()
	servicestest.Eventually(t, 5*time.Second, "it is missed", func() bool { return len(w.events("c2", "dan notification:new")) == 1 })
	require.NoError(t, pause(t.Context(), secondLook+300*time.Millisecond))
	require.Len(t, w.events("c2", "dan notification:new"), 1)
	require.Len(t, w.events("c2", "dan call:end"), 1)
}

func TestRedisIsLostWhileTheyTalk(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.look = 500 * time.Millisecond
	a, b := w.instance(), w.instance()
	ann, bob, cat := device("ann", 1), device("bob", 1), device("cat", 1)
	a.mustCall(t, ann, "c1", "bob")
	a.mustAnswer(t, bob, "c1")
	w.flush()
	_, err := b.callsOne(t, cat, "x", "bob")
	requireFailure(t, proto.CallBusy, err)
	w.flush()
	b.leaves(t, ann)
	names, _ := b.returns(t, ann.after("s2"), "ann-s1")
	require.Equal(t, []string{"call:answer"}, names)
	w.flush()
	servicestest.Eventually(t, 5*time.Second, "a look gives them their slots", func() bool {
		slots, err := a.calls.Slots(t.Context(), "ann", "bob")
		return err == nil && slots[0].CallID == "c1" && slots[1].CallID == "c1"
	})
	w.flush()
	a.mustEnd(t, bob, "c1")
	w.flush()
	names, _ = b.returns(t, ann.after("s3"), "ann-s2")
	require.Equal(t, []string{"call:end hangup"}, names)
	w.flush()
	b.mustCall(t, cat, "c2", "bob")
	require.Equal(t, []proto.CallStatus{"ringing", "answered", "answered", "answered", "ended"}, w.log(a, "c1"))
}

// TestRedisIsLostWhileOneIsBusy: the newest that the log has of them is a call that
// they were too busy for, not the one that they are in.
func TestRedisIsLostWhileOneIsBusy(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	s := w.instance()
	s.mustCall(t, device("ann", 1), "c1", "bob")
	s.mustAnswer(t, device("bob", 1), "c1")
	s.mustCall(t, device("eve", 1), "c2", "bob", "fay")
	w.flush()
	_, err := s.callsOne(t, device("cat", 1), "c3", "bob")
	requireFailure(t, proto.CallBusy, err)
	w.flush()
	s.leaves(t, device("bob", 1))
	e, err := s.calls.Newest(t.Context(), "c1")
	require.NoError(t, err)
	require.NotZero(t, e.Party("bob").LostAt)
}

func TestRedisIsAway(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	a, b := w.instance(), w.instance()
	ann, bob := device("ann", 1), device("bob", 1)
	a.mustCall(t, ann, "c1", "bob")
	a.mustCall(t, device("cat", 1), "c2", "dan")
	w.redis.Stop()
	b.mustAnswer(t, bob, "c1")
	require.NoError(t, a.sends(t, ann, "c1", `{}`))
	_, err := a.answers(t, device("bob", 2), "c1")
	requireFailure(t, proto.CallAlreadyAnswered, err)
	a.leaves(t, bob)
	require.NoError(t, a.sends(t, ann, "c1", `{}`))
	require.NoError(t, b.sends(t, bob.after("s2"), "c1", `{}`))
	a.mustEnd(t, ann, "c1")
	_, err = b.rejects(t, device("dan", 1), "c2")
	require.NoError(t, err)
	_, err = a.callsOne(t, ann, "c3", "bob")
	requireFailure(t, proto.ServiceUnavailable, err)
	names, _ := a.returns(t, ann.after("s2"), "ann-s1")
	require.Equal(t, []string{"call:end hangup"}, names)

	w.redis.Start()
	servicestest.Eventually(t, 10*time.Second, "calls begin again", func() bool {
		_, err := b.callsOne(t, ann, "c4", "bob")
		return err == nil
	})
	require.Equal(t, proto.CallOver, a.state(t, "c1").Status)
	require.Equal(t, []proto.CallStatus{"ringing", "answered", "answered", "answered", "ended"}, w.log(a, "c1"))
}

func TestTheLogIsAwayForAMoment(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	s := w.instance(rings(1500 * time.Millisecond))
	s.mustCall(t, device("ann", 1), "c1", "bob")
	w.nats.Stop()
	_, err := s.callsOne(t, device("cat", 1), "c2", "dan")
	requireFailure(t, proto.ServiceUnavailable, err)
	require.NoError(t, pause(t.Context(), 2*time.Second))
	w.nats.Start()
	servicestest.Eventually(t, 10*time.Second, "it is missed", func() bool {
		res, err := s.calls.Load(t.Context(), "c1")
		return err == nil && res.Status == proto.CallMissed
	})
	servicestest.Eventually(t, 10*time.Second, "there is one notification", func() bool {
		n := 0
		for _, m := range w.entries(s, proto.UserRing("bob")) {
			if m.Header.Get(proto.HeaderEvent) == proto.NotificationEvent.Name {
				n++
			}
		}
		return n == 1
	})
}

// TestRedisHasNewerThanTheLog: a log that was made anew.
func TestRedisHasNewerThanTheLog(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	s := w.instance()
	s.mustCall(t, device("ann", 1), "c1", "bob")
	stream, err := s.host.JetStream().Stream(t.Context(), proto.Events.Name)
	require.NoError(t, err)
	require.NoError(t, stream.Purge(t.Context()))
	_, err = s.answers(t, device("bob", 1), "c1")
	requireFailure(t, proto.CallNotFound, err)
	for n := range 2 {
		s.mustCall(t, device(fmt.Sprint("cat", n), 1), fmt.Sprint("d", n), fmt.Sprint("dan", n))
	}
}
