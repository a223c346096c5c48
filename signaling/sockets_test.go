package signaling

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
)

// leaves tells that a socket is gone.
func (s *Service) leaves(t testing.TB, p phone) {
	t.Helper()
	req := proto.CallSocketsReq{Left: []proto.CallSocketLeft{{UserID: p.user, SocketID: p.socket, At: proto.At(time.Now())}}}
	require.NoError(t, req.Validate())
	_, err := s.sockets(p.ctx(t), req)
	require.NoError(t, err)
}

// returns tells that a socket is there, and gives what it is to be told.
func (s *Service) returns(t testing.TB, p phone, was string) (names []string, events []proto.SocketEvent) {
	t.Helper()
	req := proto.CallSocketsReq{Returned: []proto.CallSocket{{UserID: p.user, DeviceID: p.device, SocketID: p.socket, Was: was}}}
	require.NoError(t, req.Validate())
	res, err := s.sockets(p.ctx(t), req)
	require.NoError(t, err)
	for _, e := range res.Events {
		require.Equal(t, p.socket, e.SocketID)
		var body struct{ Reason string }
		require.NoError(t, json.Unmarshal(e.Data, &body))
		names = append(names, strings.TrimSpace(e.Event+" "+body.Reason))
	}
	return names, res.Events
}

// after is a device on another socket.
func (p phone) after(socket string) phone { p.socket = p.user + "-" + socket; return p }

func TestADeviceComesWhileItRings(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	s, other := w.instance(), w.instance()
	ann, late := device("ann", 1), device("bob", 3)
	names, _ := s.returns(t, late, "")
	require.Empty(t, names)
	s.mustCall(t, ann, "c1", "bob")
	require.NoError(t, s.sends(t, ann, "c1", `{"candidate":"1"}`))
	require.NoError(t, s.sends(t, ann, "c1", `null`))
	for _, at := range []*Service{s, other, s} {
		names, events := at.returns(t, late, "")
		require.Equal(t, []string{"call:incoming"}, names)
		var in proto.IncomingCall
		require.NoError(t, json.Unmarshal(events[0].Data, &in))
		require.Equal(t, "c1", events[0].CallID)
		require.Len(t, in.Candidates, 2)
		require.JSONEq(t, `{"candidate":"1"}`, string(in.Candidates[0]))
		require.Equal(t, anOffer, in.Offer)
		require.Equal(t, "ANN", in.CallerName)
		require.Len(t, in.IceServers, 2)
		require.Greater(t, in.RingMs, int64(40_000))
		require.LessOrEqual(t, in.RingMs, int64(45_000))
	}
	names, _ = s.returns(t, device("eve", 1), "")
	require.Empty(t, names)
	s.mustAnswer(t, late, "c1")
	names, _ = s.returns(t, device("bob", 2), "")
	require.Empty(t, names)
	names, _ = s.returns(t, device("bob", 2), "bob-s2") // it may have rung there
	require.Equal(t, []string{"call:end answered_elsewhere"}, names)
	s.mustEnd(t, ann, "c1")
	names, _ = s.returns(t, late.after("s9"), "bob-s3")
	require.Equal(t, []string{"call:end hangup"}, names)
	names, _ = s.returns(t, device("bob", 2), "bob-s2")
	require.Empty(t, names)
}

// TestAnsweredOnArrival: a device that answers before it was told what has gone by,
// as one does that a push has woken, is told.
func TestAnsweredOnArrival(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	s, other := w.instance(), w.instance()
	ann, late := device("ann", 1), device("bob", 3)
	s.mustCall(t, ann, "c1", "bob")
	require.NoError(t, s.sends(t, ann, "c1", `{"candidate":"1"}`))
	require.NoError(t, s.sends(t, ann, "c1", `null`))
	other.mustAnswer(t, late, "c1")
	names, events := s.returns(t, late, "")
	require.Equal(t, []string{"call:ice-candidate", "call:ice-candidate"}, names)
	require.Contains(t, string(events[0].Data), `"candidate":{"candidate":"1"}`)
	names, _ = s.returns(t, late, late.socket)
	require.Empty(t, names, "once")
}

func TestTheCallerMissesTheAnswer(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	s, other := w.instance(), w.instance()
	ann, bob := device("ann", 1), device("bob", 1)
	s.mustCall(t, ann, "c1", "bob")
	s.leaves(t, ann)
	other.mustAnswer(t, bob, "c1")
	w.eventually("c1", "bob call:incoming incoming stored", "bob call:end ended answered_elsewhere not bob-s1") // nobody is there to hear it
	require.NoError(t, other.sends(t, bob, "c1", `{"candidate":"1"}`))
	names, _ := s.returns(t, ann.after("s2"), "ann-s1")
	require.Equal(t, []string{"call:answer", "call:ice-candidate"}, names)
	names, _ = s.returns(t, ann.after("s2"), "ann-s2") // it may have missed something just now
	require.Equal(t, []string{"call:answer"}, names)
	require.NoError(t, other.sends(t, bob, "c1", `null`))
	servicestest.Eventually(t, 5*time.Second, "it goes to the new socket", func() bool {
		return len(w.events("c1", "ann call:ice-candidate to ann-s2")) == 1
	})
	other.mustEnd(t, bob, "c1")
	names, _ = s.returns(t, ann.after("s3"), "ann-s2")
	require.Equal(t, []string{"call:end hangup"}, names)
	names, _ = s.returns(t, ann.after("s4"), "")
	require.Empty(t, names)
}

// TestTheAnswerToADeadSocket: nobody has said that the caller's socket was gone when
// the answer came, and the next one comes late.
func TestTheAnswerToADeadSocket(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	s := w.instance()
	past, _ := w.hosted(services.WithNow(func() time.Time { return time.Now().Add(-25 * time.Second) }))
	ann, bob := device("ann", 1), device("bob", 1)
	past.mustCall(t, ann, "c1", "bob")
	past.mustAnswer(t, bob, "c1")
	names, _ := s.returns(t, ann, ann.socket)
	require.Empty(t, names, "it has been there")
	names, _ = s.returns(t, ann.after("s2"), ann.socket)
	require.Equal(t, []string{"call:answer"}, names)
}

// TestALateWord: who is told of as gone for long may be told of as back in a moment.
func TestALateWord(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.tell(func() { w.sockets["bob"] = []proto.ReachSocket{} })
	s := w.instance()
	ann, bob := device("ann", 1), device("bob", 1)
	past, _ := w.hosted(services.WithNow(func() time.Time { return time.Now().Add(-time.Minute) }))
	past.mustCall(t, ann, "c1", "bob")
	past.mustAnswer(t, bob, "c1")
	told := time.Now()
	_, err := s.sockets(bob.ctx(t), proto.CallSocketsReq{Left: []proto.CallSocketLeft{{UserID: "bob", SocketID: bob.socket, At: proto.At(told.Add(-50 * time.Second))}}})
	require.NoError(t, err)
	e, err := s.calls.Newest(t.Context(), "c1")
	require.NoError(t, err)
	require.GreaterOrEqual(t, e.Due(s.grace.Milliseconds()), told.Add(lastWord).UnixMilli())
	w.eventually("c1", "bob call:incoming incoming stored", "ann call:answer answered to ann-s1", "bob call:end ended answered_elsewhere not bob-s1",
		"ann call:end ended disconnected", "bob call:end ended disconnected")
}

func TestTheCallerMissesTheRefusal(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	s := w.instance()
	ann := device("ann", 1)
	s.mustCall(t, ann, "c1", "bob")
	s.leaves(t, ann)
	_, err := s.rejects(t, device("bob", 1), "c1")
	require.NoError(t, err)
	names, _ := s.returns(t, ann.after("s2"), "ann-s1")
	require.Equal(t, []string{"call:reject declined"}, names)
	names, _ = s.returns(t, device("bob", 2), "bob-s2")
	require.Equal(t, []string{"call:end rejected_elsewhere"}, names)
}

// TestASideIsKnown: a gateway learns which of its sockets a side of a call is on,
// also where it has nothing to tell it.
func TestASideIsKnown(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	s := w.instance()
	ann, bob := device("ann", 1), device("bob", 1)
	sides := func(p phone, was string) []proto.CallSide {
		res, err := s.sockets(p.ctx(t), proto.CallSocketsReq{Returned: []proto.CallSocket{{UserID: p.user, DeviceID: p.device, SocketID: p.socket, Was: was}}})
		require.NoError(t, err)
		return res.Sides
	}
	s.mustCall(t, ann, "c1", "bob")
	require.Equal(t, []proto.CallSide{{SocketID: "ann-s2", CallID: "c1"}}, sides(ann.after("s2"), "ann-s1"))
	require.Empty(t, sides(bob, ""))
	s.mustAnswer(t, bob, "c1")
	require.Equal(t, []proto.CallSide{{SocketID: "bob-s2", CallID: "c1", Talks: true}}, sides(bob.after("s2"), "bob-s1"))
	require.Empty(t, sides(device("bob", 3), "bob-s9"))
	require.Empty(t, sides(ann, ""), "the old one")
	s.mustEnd(t, bob, "c1")
	require.Empty(t, sides(bob.after("s2"), "bob-s2"))
}

// TestAFullAnswer: what waits for many who return at once comes, though it is more
// than one answer can have.
func TestAFullAnswer(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	s := w.instance()
	var req proto.CallSocketsReq
	for n := range 10 {
		ann, bob, call := device(fmt.Sprint("ann", n), 1), device(fmt.Sprint("bob", n), 1), fmt.Sprint("c", n)
		s.mustCall(t, ann, call, bob.user)
		s.mustAnswer(t, bob, call)
		s.leaves(t, bob)
		for range 30 {
			require.NoError(t, s.sends(t, ann, call, `{"candidate":"`+strings.Repeat("x", 1500)+`"}`))
		}
		req.Returned = append(req.Returned, proto.CallSocket{UserID: bob.user, DeviceID: bob.device, SocketID: bob.after("s2").socket, Was: bob.socket})
	}
	events := map[string]int{}
	for asked := 0; len(req.Returned) > 0; asked++ {
		require.Less(t, asked, 10)
		res, err := s.sockets(device("ann", 1).ctx(t), req)
		require.NoError(t, err)
		body, err := json.Marshal(res)
		require.NoError(t, err)
		require.Less(t, len(body), 256<<10)
		require.Less(t, res.Rest, len(req.Returned))
		for _, e := range res.Events {
			events[e.SocketID]++
		}
		req.Returned = req.Returned[len(req.Returned)-res.Rest:]
	}
	require.Len(t, events, 10)
	for socket, n := range events {
		require.Equal(t, 30, n, socket)
	}
}

func TestGrace(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.grace = 600 * time.Millisecond
	w.tell(func() { w.sockets["bob"] = []proto.ReachSocket{} }) // it is gone for presence too
	s := w.instance()
	w.instance()
	ann, bob := device("ann", 1), device("bob", 1)
	s.mustCall(t, ann, "c1", "bob")
	s.mustAnswer(t, bob, "c1")
	s.leaves(t, bob)
	names, _ := s.returns(t, bob.after("s2"), "bob-s1")
	require.Empty(t, names)
	s.leaves(t, bob) // late: it has gone on
	require.NoError(t, pause(t.Context(), w.grace+300*time.Millisecond))
	require.Equal(t, proto.CallAnswered, s.state(t, "c1").Status)

	w.forget("c1")
	left := time.Now()
	s.leaves(t, bob.after("s2"))
	w.eventually("c1", "ann call:end ended disconnected", "bob call:end ended disconnected")
	require.Greater(t, time.Since(left), w.grace-50*time.Millisecond)
	require.Equal(t, "bob", s.state(t, "c1").EndedBy)
	s.mustCall(t, ann, "c2", "bob")
}

// TestPresenceKnowsBetter: a gateway that died said nothing, and one that spoke too
// soon was wrong.
func TestPresenceKnowsBetter(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.grace, w.look = 600*time.Millisecond, 300*time.Millisecond
	s := w.instance()
	ann, bob := device("ann", 1), device("bob", 1)
	s.mustCall(t, ann, "c1", "bob")
	s.mustAnswer(t, bob, "c1")
	s.leaves(t, bob) // but presence has it still
	require.NoError(t, s.sends(t, ann, "c1", `{"candidate":"1"}`))
	require.NoError(t, pause(t.Context(), w.grace+700*time.Millisecond))
	require.Len(t, w.events("c1", "bob call:ice-candidate to bob-s1"), 1, "what waited meanwhile")
	require.Equal(t, proto.CallAnswered, s.state(t, "c1").Status)
	w.tell(func() { w.sockets["bob"] = []proto.ReachSocket{{SocketID: "bob-s1", State: proto.SessionLeaving}} })
	servicestest.Eventually(t, fresh*time.Millisecond+3*time.Second, "the call ends", func() bool { return s.state(t, "c1").Status == proto.CallOver })
	require.Equal(t, proto.EndDisconnected, s.state(t, "c1").Reason)
}
