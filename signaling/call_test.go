package signaling

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

func quiet(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func TestACallIsAnsweredAndEnded(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	s := w.instance()
	ann, bob, other := device("ann", 1), device("bob", 1), device("bob", 2)
	res := s.mustCall(t, ann, "c1", "bob")
	require.Equal(t, proto.CallRinging, res.Status)
	require.Len(t, res.IceServers, 2)
	w.eventually("c1", "bob call:incoming incoming stored")

	again := s.mustCall(t, ann, "c1", "bob")
	require.Equal(t, res.RingExpiresAt, again.RingExpiresAt)

	answered := s.mustAnswer(t, bob, "c1")
	require.Equal(t, answered, s.mustAnswer(t, bob, "c1"))
	_, err := s.answers(t, other, "c1")
	requireFailure(t, proto.CallAlreadyAnswered, err)
	_, err = s.rejects(t, other, "c1")
	requireFailure(t, proto.CallAlreadyAnswered, err)
	w.eventually("c1", "bob call:incoming incoming stored", "ann call:answer answered to ann-s1", "bob call:end ended answered_elsewhere not bob-s1")
	for _, p := range []phone{ann, bob} {
		page, err := s.listHistory(p.ctx(t), proto.CallHistoryReq{})
		require.NoError(t, err)
		require.Len(t, page.Calls, 1)
		require.Equal(t, proto.CallAnswered, page.Calls[0].Status)
		require.Equal(t, answered.AnsweredAt, *page.Calls[0].AnsweredAt)
		require.Nil(t, page.Calls[0].EndedAt)
	}

	w.forget("c1")
	end := s.mustEnd(t, ann, "c1")
	require.Equal(t, proto.CallOver, end.Status)
	require.Equal(t, end, s.mustEnd(t, ann, "c1"))
	require.Equal(t, proto.CallOver, s.mustEnd(t, bob, "c1").Status)
	w.eventually("c1", "ann call:end ended hangup not ann-s1", "bob call:end ended hangup")
	_, err = s.answers(t, bob, "c1")
	requireFailure(t, proto.CallEnded, err)
	requireFailure(t, proto.CallEnded, s.sends(t, bob, "c1", `null`))
	require.Equal(t, proto.CallOver, s.state(t, "c1").Status)
	require.Equal(t, []proto.CallStatus{"ringing", "answered", "ended"}, w.log(s, "c1"))

	for _, p := range []phone{ann, bob} {
		page, err := s.listHistory(p.ctx(t), proto.CallHistoryReq{})
		require.NoError(t, err)
		require.Len(t, page.Calls, 1)
		require.Equal(t, proto.CallOver, page.Calls[0].Status)
		require.Equal(t, proto.EndHangup, page.Calls[0].Reason)
	}
	s.mustCall(t, ann, "c2", "bob") // both are free
}

func TestMissed(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	s := w.instance(rings(3 * time.Second))
	s.mustCall(t, device("ann", 1), "c1", "bob")
	w.eventually("c1", "bob call:incoming incoming stored", "bob call:end missed no_answer stored", "bob notification:new call_missed stored", "ann call:end missed no_answer")
	state := s.state(t, "c1")
	require.GreaterOrEqual(t, state.EndedAt.Sub(state.RingExpiresAt.Time), time.Duration(0))
}
