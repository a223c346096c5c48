package signaling

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
)

// candidates are those that were sent to a user, in order.
func (w *town) candidates(call, prefix string) (out []string) {
	for _, h := range w.events(call, prefix+" call:ice-candidate") {
		out = append(out, fmt.Sprint(h.body["candidate"]))
	}
	return out
}

func (w *town) flushed(s *Service) {
	w.t.Helper()
	require.NoError(w.t, s.host.Flush())
	// What an instance has sent is heard once something sent after it is.
	mark := w.newCall()
	require.NoError(w.t, services.EmitTo(s.host, proto.CallEndEvent, "mark", "", proto.CallEnd{CallID: mark}))
	w.eventually(mark, "mark call:end")
}

func TestCandidates(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	s := w.instance()
	ann, bob, other := device("ann", 1), device("bob", 1), device("bob", 2)
	s.mustCall(t, ann, "c1", "bob")
	for _, n := range []string{"1", "2"} {
		require.NoError(t, s.sends(t, ann, "c1", `{"candidate":"`+n+`"}`)) // while it rings: to all devices
	}
	require.NoError(t, s.sends(t, other, "c1", `{"candidate":"b"}`)) // before the answer: at once
	require.NoError(t, s.sends(t, ann, "c1", `null`))
	w.flushed(s)
	require.Equal(t, []string{"map[candidate:1]", "map[candidate:2]", "<nil>"}, w.candidates("c1", "bob"))
	require.Equal(t, []string{"map[candidate:b]"}, w.candidates("c1", "ann"))
	require.Equal(t, "ann-s1", w.events("c1", "ann call:ice-candidate")[0].to)
	require.Empty(t, w.events("c1", "bob call:ice-candidate")[0].to)

	s.mustAnswer(t, bob, "c1")
	w.flushed(s)
	w.forget("c1")
	require.NoError(t, s.sends(t, ann, "c1", `{"candidate":"3"}`))
	require.NoError(t, s.sends(t, bob, "c1", `{"candidate":"c"}`))
	requireFailure(t, proto.CallAlreadyAnswered, s.sends(t, other, "c1", `{"candidate":"x"}`))
	requireFailure(t, proto.CallNotFound, s.sends(t, device("eve", 1), "c1", `{"candidate":"x"}`))
	requireFailure(t, proto.CallNotFound, s.sends(t, ann, "none", `{"candidate":"x"}`))
	w.flushed(s)
	require.Equal(t, []string{"bob call:ice-candidate to bob-s1", "ann call:ice-candidate to ann-s1"}, w.told("c1"))

	s.mustEnd(t, ann, "c1")
	requireFailure(t, proto.CallEnded, s.sends(t, ann, "c1", `{"candidate":"3"}`))
	requireFailure(t, proto.CallEnded, s.sends(t, bob, "c1", `null`))
}

func TestRenegotiation(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	s := w.instance()
	ann, bob := device("ann", 1), device("bob", 1)
	says := func(p phone, call, target string) error {
		offer := anOffer
		_, err := s.renegotiate(p.ctx(t), proto.RenegotiateReq{CallID: call, Offer: &offer, TargetUserID: target})
		return err
	}
	s.mustCall(t, ann, "c1", "bob")
	requireFailure(t, proto.CallNotFound, says(ann, "c1", ""))
	s.mustAnswer(t, bob, "c1")
	w.flushed(s)
	w.forget("c1")
	require.NoError(t, says(ann, "c1", ""))
	w.eventually("c1", "bob call:renegotiate to bob-s1")

	// bob's socket is gone: it waits, with what follows, and comes when he is back.
	left := proto.CallSocketsReq{Left: []proto.CallSocketLeft{{UserID: "bob", SocketID: "bob-s1", At: proto.At(time.Now())}}}
	_, err := s.sockets(ann.ctx(t), left)
	require.NoError(t, err)
	require.NoError(t, says(ann, "c1", "bob"))
	for n := range 70 {
		require.NoError(t, s.sends(t, ann, "c1", fmt.Sprintf(`{"candidate":"%d"}`, n)))
	}
	w.flushed(s)
	require.Len(t, w.told("c1"), 1)
	res, err := s.sockets(ann.ctx(t), proto.CallSocketsReq{Returned: []proto.CallSocket{{UserID: "bob", DeviceID: "bob-d1", SocketID: "bob-s9", Was: "bob-s1"}}})
	require.NoError(t, err)
	require.Len(t, res.Events, proto.MaxBufferedICE)
	require.Contains(t, string(res.Events[len(res.Events)-1].Data), `"69"`)
	require.Equal(t, "bob-s9", res.Events[0].SocketID)
	require.NoError(t, says(ann, "c1", ""))
	w.eventually("c1", "bob call:renegotiate to bob-s1", "bob call:renegotiate to bob-s9")

	// From the new socket of a device that nobody has heard of yet, it is there.
	require.NoError(t, says(phone{"bob", "bob-d1", "bob-s10"}, "c1", ""))
	require.NoError(t, says(ann, "c1", ""))
	w.eventually("c1", "bob call:renegotiate to bob-s1", "bob call:renegotiate to bob-s9", "ann call:renegotiate to ann-s1", "bob call:renegotiate to bob-s10")
	requireFailure(t, proto.CallAlreadyAnswered, says(device("bob", 2), "c1", ""))
	requireFailure(t, proto.CallNotFound, says(device("eve", 1), "c1", ""))
	requireFailure(t, proto.CallNotFound, says(ann, "c1", "eve"))
	s.mustEnd(t, ann, "c1")
	requireFailure(t, proto.CallEnded, says(ann, "c1", ""))
}

// TestWhatWaitsIsNotLeftBehind: what comes for a side while it is away reaches it
// when it acts from its next socket, without a word from a gateway.
func TestWhatWaitsIsNotLeftBehind(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	s := w.instance()
	ann, bob := device("ann", 1), device("bob", 1)
	s.mustCall(t, ann, "c1", "bob")
	s.mustAnswer(t, bob, "c1")
	_, err := s.sockets(ann.ctx(t), proto.CallSocketsReq{Left: []proto.CallSocketLeft{{UserID: "ann", SocketID: "ann-s1", At: proto.At(time.Now())}}})
	require.NoError(t, err)
	require.NoError(t, s.sends(t, bob, "c1", `{"candidate":"1"}`))
	w.flushed(s)
	w.forget("c1")
	require.NoError(t, s.sends(t, phone{"ann", "ann-d1", "ann-s2"}, "c1", `{"candidate":"a"}`))
	w.eventually("c1", "ann call:ice-candidate to ann-s2", "bob call:ice-candidate to bob-s1")
}

func TestIceServers(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	s := w.instance()
	ann, bob := device("ann", 1), device("bob", 1)
	s.mustCall(t, ann, "c1", "bob")
	for _, p := range []phone{ann, bob, device("bob", 2)} {
		res, err := s.iceServers(p.ctx(t), proto.IceServersReq{CallID: "c1"})
		require.NoError(t, err)
		require.Len(t, res.IceServers, 2)
		require.NotEmpty(t, res.IceServers[1].Credential)
	}
	_, err := s.iceServers(device("eve", 1).ctx(t), proto.IceServersReq{CallID: "c1"})
	requireFailure(t, proto.CallNotFound, err)
	s.mustEnd(t, ann, "c1")
	_, err = s.iceServers(ann.ctx(t), proto.IceServersReq{CallID: "c1"})
	requireFailure(t, proto.CallEnded, err)
}
