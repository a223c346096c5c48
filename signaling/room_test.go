package signaling

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

// Each list that signaling answers with, at its bounds, on a server with the smallest
// max_payload: nothing is refused, and every page gets further.

func TestLongHistory(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	s := w.instance()
	user := proto.Token("ann")
	const calls = 150
	for n := range calls {
		require.NoError(t, s.history.Note(t.Context(), user, proto.CallRecord{
			CallID: fmt.Sprintf("%s%04d", strings.Repeat("c", 60), n), CallType: proto.CallVideo, Direction: proto.CallFrom, CallerID: servicestest.LongID(n),
			CallerName: servicestest.LongName(), TargetIDs: []string{servicestest.LongID(1), servicestest.LongID(2), servicestest.LongID(3)},
			ChatID: servicestest.LongID(4), Status: proto.CallMissed, Reason: strings.Repeat("\x01", proto.MaxCallReason), EndedBy: servicestest.LongID(5),
			CreatedAt: proto.At(time.UnixMilli(1_700_000_000_000 + int64(n))),
		}, fmt.Sprint("k", n)))
	}
	seen, pages := map[string]bool{}, 0
	for req := (proto.CallHistoryReq{Limit: new(proto.CallHistoryLimit)}); ; {
		res := servicestest.AtBounds(t, s.host, proto.CallHistory, proto.Actor{User: "ann", Device: "d", Socket: "s"}, req)
		require.NotEmpty(t, res.Calls)
		pages++
		for _, c := range res.Calls {
			require.False(t, seen[c.CallID])
			seen[c.CallID] = true
		}
		if req.Cursor = res.NextCursor; req.Cursor == "" {
			break
		}
	}
	require.Len(t, seen, calls)
	require.Greater(t, pages, 2)
}

// TestLargeDescriptions: a caller that was away has every answer and all that waits, once,
// however large they are; one who rings has the largest offer with its candidates.
func TestLargeDescriptions(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	s := w.instance()
	sdp := func(kind string) proto.Sdp { return proto.Sdp{Type: kind, SDP: servicestest.LongText(proto.MaxSDP)} }
	ann := device("ann", 1)
	targets := []string{"bob", "cat", "dan"}
	offers := proto.OfferTable{}
	for _, id := range targets {
		offers[id] = anOffer
	}
	_, err := s.initiate(ann.ctx(t), proto.InitiateCallReq{CallID: "c1", TargetUserIDs: targets, CallType: proto.CallVideo, Offers: offers})
	require.NoError(t, err)
	w.tell(func() { w.sockets["ann"] = []proto.ReachSocket{} }) // presence says the same
	s.leaves(t, ann)
	for i, id := range targets {
		answer := proto.Sdp{Type: "answer", SDP: strings.Repeat("\n", 35<<10)} // 70 KiB as JSON; three of them are one entry of the log
		if i == 0 {
			answer.SDP = strings.Repeat("x", proto.MaxSDP)
		}
		_, err := s.answer(device(id, 1).ctx(t), proto.AnswerCallReq{CallID: "c1", Answer: answer})
		require.NoError(t, err)
	}
	for n := range 64 {
		require.NoError(t, s.sends(t, device("bob", 1), "c1", fmt.Sprintf(`{"candidate":"%d %s"}`, n, strings.Repeat("x", 1_300))))
	}
	req := proto.CallSocketsReq{Returned: []proto.CallSocket{{UserID: "ann", DeviceID: ann.device, SocketID: "ann-s2", Was: ann.socket}}}
	var events []string
	asked := 0
	for ; len(req.Returned) > 0; asked++ {
		require.Less(t, asked, 10)
		res := servicestest.AtBounds(t, s.host, proto.CallSockets, proto.Actor{Gateway: "g1"}, req)
		for _, e := range res.Events {
			events = append(events, e.Event)
		}
		req.Returned = req.Returned[len(req.Returned)-res.Rest:]
		if res.Again != nil {
			req.Returned[0].Again = res.Again
		}
	}
	require.Greater(t, asked, 1, "it takes more than one answer")
	require.Equal(t, 3, strings.Count(strings.Join(events, " "), proto.CallAnswerEvent.Name))
	require.Equal(t, 64, strings.Count(strings.Join(events, " "), proto.CallCandidateEvent.Name))

	eve, fay := device("eve", 1), device("fay", 1)
	offer := sdp("offer")
	_, err = s.initiate(eve.ctx(t), proto.InitiateCallReq{CallID: "c2", TargetUserID: "fay", CallType: proto.CallVideo, Offer: &offer})
	require.NoError(t, err)
	for range proto.MaxBufferedICE {
		require.NoError(t, s.sends(t, eve, "c2", `{"candidate":"`+strings.Repeat("x", 3_000)+`"}`))
	}
	var ringing proto.CallSocketsReq
	for n := range 5 {
		ringing.Returned = append(ringing.Returned, proto.CallSocket{UserID: "fay", DeviceID: fay.device, SocketID: fmt.Sprint("fay-s", n)})
	}
	got := 0
	for len(ringing.Returned) > 0 {
		res := servicestest.AtBounds(t, s.host, proto.CallSockets, proto.Actor{Gateway: "g1"}, ringing)
		require.NotEmpty(t, res.Events)
		for _, e := range res.Events {
			require.Equal(t, proto.IncomingCallEvent.Name, e.Event)
			got++
		}
		ringing.Returned = ringing.Returned[len(ringing.Returned)-res.Rest:]
	}
	require.Equal(t, 5, got)
}
