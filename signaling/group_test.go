package signaling

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

func statesOf(all []proto.CallParticipant) (out []string) {
	for _, p := range all {
		out = append(out, p.UserID+" "+p.State)
	}
	return out
}

func TestFourTalk(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	s, other := w.instance(), w.instance()
	ann, bob, cat, dan := device("ann", 1), device("bob", 1), device("cat", 1), device("dan", 1)
	res := s.mustCall(t, ann, "g1", "bob", "cat", "dan")
	require.Equal(t, []string{"ann joined", "bob ringing", "cat ringing", "dan ringing"}, statesOf(res.Participants))
	w.eventually("g1", "bob call:incoming incoming stored", "cat call:incoming incoming stored", "dan call:incoming incoming stored")

	w.forget("g1")
	answered := other.mustAnswer(t, cat, "g1")
	require.Equal(t, []string{"ann joined", "bob ringing", "cat joined", "dan ringing"}, statesOf(answered.Participants))
	w.eventually("g1", "ann call:answer answered to ann-s1", "cat call:end ended answered_elsewhere not cat-s1",
		"ann call:participants", "bob call:participants", "cat call:participants", "dan call:participants")

	s.mustAnswer(t, bob, "g1") // which rings on
	_, err := s.rejects(t, dan, "g1")
	require.NoError(t, err)
	require.Equal(t, []string{"ann joined", "bob joined", "cat joined", "dan rejected"}, statesOf(s.state(t, "g1").Participants))
	w.flushed(s)
	w.forget("g1")

	// Two who were called offer to each other.
	offer := anOffer
	_, err = s.renegotiate(bob.ctx(t), proto.RenegotiateReq{CallID: "g1", Offer: &offer, TargetUserID: "cat"})
	require.NoError(t, err)
	_, err = s.candidate(bob.ctx(t), proto.IceCandidateReq{CallID: "g1", Candidate: proto.Raw(`{}`), TargetUserID: "cat"})
	require.NoError(t, err)
	require.NoError(t, s.sends(t, cat, "g1", `{}`))
	w.eventually("g1", "cat call:renegotiate to cat-s1", "cat call:ice-candidate to cat-s1", "ann call:ice-candidate to ann-s1", "bob call:ice-candidate to bob-s1")

	w.forget("g1")
	require.Equal(t, proto.CallOver, other.mustEnd(t, ann, "g1").Status) // who called may leave: two go on
	require.Equal(t, proto.CallOver, other.mustEnd(t, ann, "g1").Status)
	require.Equal(t, proto.CallAnswered, s.state(t, "g1").Status)
	w.eventually("g1", "ann call:end ended hangup not ann-s1", "bob call:participants", "cat call:participants")
	s.mustCall(t, ann, "g2", "eve")
	w.forget("g1")
	s.mustEnd(t, cat, "g1")
	w.eventually("g1", "cat call:end ended hangup not cat-s1", "bob call:end ended hangup")
	require.Equal(t, proto.CallOver, s.state(t, "g1").Status)
	s.mustCall(t, bob, "g3", "cat", "dan")
}

func TestSomeMissIt(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	s := w.instance(rings(2 * time.Second))
	s.mustCall(t, device("ann", 1), "g1", "bob", "cat")
	s.mustAnswer(t, device("bob", 1), "g1")
	w.flushed(s)
	w.forget("g1")
	w.eventually("g1", "cat call:end missed no_answer stored", "cat notification:new call_missed stored", "ann call:participants", "bob call:participants")
	require.Equal(t, []string{"ann joined", "bob joined", "cat missed"}, statesOf(s.state(t, "g1").Participants))
	_, err := s.answers(t, device("cat", 1), "g1")
	requireFailure(t, proto.CallEnded, err)
	s.mustEnd(t, device("bob", 1), "g1")
	require.Equal(t, proto.CallOver, s.state(t, "g1").Status)
}

func TestNobodyWantsTo(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	s := w.instance()
	s.mustCall(t, device("ann", 1), "g1", "bob", "cat", "dan")
	for _, user := range []string{"bob", "cat", "dan"} {
		require.Equal(t, proto.CallRinging, s.state(t, "g1").Status)
		_, err := s.rejects(t, device(user, 1), "g1")
		require.NoError(t, err)
	}
	require.Equal(t, proto.CallRejected, s.state(t, "g1").Status)
	w.flushed(s)
	require.Len(t, w.events("g1", "ann call:reject"), 3)
	require.Empty(t, w.events("g1", "ann call:end"))
	s.mustCall(t, device("ann", 1), "g2", "bob", "cat", "dan")
	s.mustEnd(t, device("ann", 1), "g2")
	w.flushed(s)
	require.Len(t, w.events("g2", "bob notification:new"), 1)
	require.Len(t, w.events("g2", "dan notification:new"), 1)
}

// TestRefusedOnceTheCallerHasLeft: it is no call of theirs any more.
func TestRefusedOnceTheCallerHasLeft(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	s := w.instance()
	s.mustCall(t, device("ann", 1), "g1", "bob", "cat", "dan")
	s.mustAnswer(t, device("bob", 1), "g1")
	s.mustAnswer(t, device("cat", 1), "g1")
	s.mustEnd(t, device("ann", 1), "g1")
	w.flushed(s)
	w.forget("g1")
	_, err := s.rejects(t, device("dan", 1), "g1")
	require.NoError(t, err)
	w.eventually("g1", "dan call:end ended rejected_elsewhere not dan-s1", "bob call:participants", "cat call:participants")
}
