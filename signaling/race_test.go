package signaling

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
	"supmesh.dev/services/servicestest/long"
)

// atOnce runs functions in the same moment and waits for all.
func atOnce(fns ...func()) {
	var all sync.WaitGroup
	start := make(chan struct{})
	for _, fn := range fns {
		all.Go(func() { <-start; fn() })
	}
	close(start)
	all.Wait()
}

func codeOf(err error) proto.Code {
	if err == nil {
		return ""
	}
	return proto.AsError(err).Code
}

// TestStormOfAnswers lets two devices answer in the same moment, at two instances.
func TestStormOfAnswers(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	a, b := w.instance(), w.instance()
	one, two := device("bob", 1), device("bob", 2)
	first := 0
	all := long.Count(t, 50, 1000)
	for n := range all {
		call := fmt.Sprintf("c%d", n)
		a.mustCall(t, device("ann", 1), call, "bob")
		var errs [2]error
		atOnce(
			func() { _, errs[0] = a.answers(t, one, call) },
			func() { _, errs[1] = b.answers(t, two, call) },
		)
		codes := []proto.Code{codeOf(errs[0]), codeOf(errs[1])}
		require.ElementsMatch(t, []proto.Code{"", proto.CallAlreadyAnswered}, codes, "%v", errs)
		winner := one
		if errs[0] != nil {
			winner = two
			first++
		}
		state := b.state(t, call)
		require.Equal(t, winner.device, state.Participants[1].DeviceID)
		require.Equal(t, []proto.CallStatus{"ringing", "answered"}, w.log(a, call))
		if n == 0 {
			w.eventually(call, "bob call:incoming incoming stored", "ann call:answer answered to ann-s1", "bob call:end ended answered_elsewhere not "+winner.socket)
		}
		b.mustEnd(t, winner, call)
	}
	for n := range all {
		call := fmt.Sprintf("c%d", n)
		servicestest.Eventually(t, 30*time.Second, "the end is told", func() bool { return len(w.events(call, "ann call:end")) == 1 })
		require.Len(t, w.events(call, "ann call:answer"), 1)
		require.Len(t, w.events(call, "bob call:end ended answered_elsewhere"), 1)
	}
	if all >= 1000 { // both win
		require.Greater(t, first, 20)
		require.Less(t, first, 980)
	}
}

// TestStormOfGlare has two users call each other in the same moment: one call survives, and
// the other's caller is told which.
func TestStormOfGlare(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	a, b := w.instance(), w.instance()
	for n := range long.Count(t, 30, 200) {
		one, two := fmt.Sprintf("a%d", n), fmt.Sprintf("b%d", n)
		ann, bob := device("ann", 1), device("bob", 1)
		var errs [2]error
		atOnce(
			func() { _, errs[0] = a.callsOne(t, ann, one, "bob") },
			func() { _, errs[1] = b.callsOne(t, bob, two, "ann") },
		)
		require.ElementsMatch(t, []proto.Code{"", proto.CallGlare}, []proto.Code{codeOf(errs[0]), codeOf(errs[1])}, "%v", errs)
		call, err, caller := one, errs[1], ann
		if errs[0] != nil {
			call, err, caller = two, errs[0], bob
		}
		require.Equal(t, call, proto.AsError(err).CallID)
		require.Equal(t, proto.CallRinging, a.state(t, call).Status)
		b.mustEnd(t, caller, call)
	}
	// Later, it is glare too.
	a.mustCall(t, device("ann", 1), "late", "bob")
	_, err := b.callsOne(t, device("bob", 2), "later", "ann")
	requireFailure(t, proto.CallGlare, err)
	require.Equal(t, "late", proto.AsError(err).CallID)
}

// TestGlareOfSeveral: who is rung by a call of several is told of it when they call
// its caller, also once others have answered; who is blocked from it is not.
func TestGlareOfSeveral(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	a, b := w.instance(), w.instance()
	ann, bob, cat, dan := device("ann", 1), device("bob", 1), device("cat", 1), device("dan", 1)
	w.tell(func() { w.blocked["ann dan"], w.blocked["dan ann"] = true, true })
	a.mustCall(t, ann, "c1", "bob", "cat", "dan")
	b.mustAnswer(t, cat, "c1")
	_, err := b.callsOne(t, bob, "c2", "ann")
	requireFailure(t, proto.CallGlare, err)
	require.Equal(t, "c1", proto.AsError(err).CallID)
	_, err = b.callsOne(t, bob, "c3", "cat") // who does not call bob
	requireFailure(t, proto.CallBusy, err)

	offers := proto.OfferTable{"ann": anOffer, "cat": anOffer}
	res, err := b.initiate(dan.ctx(t), proto.InitiateCallReq{CallID: "c4", TargetUserIDs: []string{"ann", "cat"}, CallType: proto.CallAudio, Offers: offers})
	require.NoError(t, err, "cat is busy, and ann is not there for dan")
	require.Equal(t, "busy", res.Participants[2].State)
	require.Empty(t, w.events("c4", "ann"))
	b.mustEnd(t, dan, "c4")

	// Who called has left: nobody calls bob any more.
	a.mustCall(t, device("eve", 1), "c5", "fay", "gil", "hal")
	a.mustAnswer(t, device("fay", 1), "c5")
	a.mustAnswer(t, device("gil", 1), "c5")
	b.mustEnd(t, device("eve", 1), "c5")
	_, err = b.callsOne(t, device("hal", 1), "c6", "eve")
	requireFailure(t, proto.CallBusy, err)
}

func TestBusy(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	a, b := w.instance(), w.instance()
	ann, bob, cat := device("ann", 1), device("bob", 1), device("cat", 1)
	a.mustCall(t, ann, "c1", "bob")
	for _, s := range []*Service{a, b} {
		_, err := s.callsOne(t, cat, "c2", "bob")
		requireFailure(t, proto.CallBusy, err)
		_, err = s.callsOne(t, cat, "c3", "ann")
		requireFailure(t, proto.CallBusy, err)
	}
	b.mustAnswer(t, bob, "c1")
	_, err := b.callsOne(t, cat, "c2", "bob")
	requireFailure(t, proto.CallBusy, err)
	_, err = b.callsOne(t, device("bob", 2), "c4", "cat") // from another device
	requireFailure(t, proto.CallBusy, err)
	require.Empty(t, w.told("c2"))
	require.Empty(t, w.told("c4"))

	b.mustCall(t, bob, "c5", "cat") // from the one that is in the call: that is over
	require.Equal(t, proto.CallOver, a.state(t, "c1").Status)
	require.Equal(t, proto.CallRinging, a.state(t, "c5").Status)
	a.mustCall(t, ann, "c6", "dan")

	// Of several, one may be busy.
	res := a.mustCall(t, device("eve", 1), "c7", "cat", "fay")
	require.Equal(t, []proto.CallParticipant{
		{UserID: "eve", State: "joined", DeviceID: "eve-d1"}, {UserID: "cat", State: "busy"}, {UserID: "fay", State: "ringing"},
	}, res.Participants)
	w.eventually("c7", "fay call:incoming incoming stored")
	page, err := a.listHistory(cat.ctx(t), proto.CallHistoryReq{})
	require.NoError(t, err)
	require.Equal(t, "c7", page.Calls[0].CallID)
	require.Equal(t, proto.EndBusy, page.Calls[0].Reason)
	b.mustAnswer(t, cat, "c5") // which it is not busy with
}

// TestSlotsOfNoCall are taken over once whoever made them has had its time.
func TestSlotsOfNoCall(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	s := w.instance()
	user := proto.Token("bob")
	for _, age := range []int64{making - 3000, making + 1} {
		slots, err := s.calls.Slots(t.Context(), user)
		require.NoError(t, err)
		won, err := s.calls.Swap(t.Context(), user, &slots[0], slotAt("ghost", s.now()-age))
		require.NoError(t, err)
		require.True(t, won)
		_, err = s.callsOne(t, device("ann", 1), fmt.Sprint("c", age), "bob")
		if age < making {
			requireFailure(t, proto.CallBusy, err)
		} else {
			require.NoError(t, err)
		}
	}
}

// TestTheSameRequestTwice at two instances at once is one call.
func TestTheSameRequestTwice(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	a, b := w.instance(), w.instance()
	for n := range 100 {
		call := fmt.Sprintf("c%d", n)
		ann := device(fmt.Sprintf("ann%d", n), 1)
		bob := fmt.Sprintf("bob%d", n)
		var res [2]proto.InitiateCallRes
		var errs [2]error
		atOnce(
			func() { res[0], errs[0] = a.callsOne(t, ann, call, bob) },
			func() { res[1], errs[1] = b.callsOne(t, ann, call, bob) },
		)
		require.NoError(t, errs[0])
		require.NoError(t, errs[1])
		require.Equal(t, res[0].RingExpiresAt, res[1].RingExpiresAt)
		require.Len(t, w.log(a, call), 1)
		servicestest.Eventually(t, 5*time.Second, "it rings once", func() bool { return len(w.told(call)) == 1 })
	}
	// Somebody else's, or something else, under the same id.
	_, err := a.callsOne(t, device("eve", 1), "c1", "bob1")
	requireFailure(t, proto.Conflict, err)
	_, err = a.callsOne(t, device("ann1", 1), "c1", "cat")
	requireFailure(t, proto.Conflict, err)
	_, err = a.callsOne(t, device("eve", 1), "c-eve", "fay") // neither is in a call
	require.NoError(t, err)
	_, err = a.callsOne(t, device("gil", 1), "c-gil", "gil")
	requireFailure(t, proto.InvalidPayload, err)
}

// TestTwoUsersOneID: of two calls under one id, made at once, one is.
func TestTwoUsersOneID(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	a, b := w.instance(), w.instance()
	for n := range 50 {
		call := fmt.Sprintf("c%d", n)
		name := func(who string) string { return fmt.Sprintf("%s%d", who, n) }
		var errs [2]error
		atOnce(
			func() { _, errs[0] = a.callsOne(t, device(name("ann"), 1), call, name("bob")) },
			func() { _, errs[1] = b.callsOne(t, device(name("cat"), 1), call, name("dan")) },
		)
		require.ElementsMatch(t, []proto.Code{"", proto.Conflict}, []proto.Code{codeOf(errs[0]), codeOf(errs[1])}, "%v", errs)
		loser, target := name("cat"), name("dan")
		if errs[0] != nil {
			loser, target = name("ann"), name("bob")
		}
		a.mustCall(t, device(loser, 2), call+"-again", target)
	}
}
