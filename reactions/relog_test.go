package reactions

import (
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

// TestTheLogIsLost: Redis has what the log has not any more; the log counts.
func TestTheLogIsLost(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	for _, user := range []string{"alice", "bob"} {
		_, err := w.add(user, "👍")
		require.NoError(t, err)
	}
	stream, err := w.host.JetStream().Stream(t.Context(), proto.Events.Name)
	require.NoError(t, err)
	info, err := stream.Info(t.Context())
	require.NoError(t, err)
	require.NoError(t, stream.DeleteMsg(t.Context(), info.State.LastSeq))
	require.Equal(t, proto.ReactionCounts{"👍": 1}, w.get("bob", proto.GetReactionsReq{MessageID: message}).Counts)
	added, err := w.add("bob", "👍")
	require.NoError(t, err)
	require.Equal(t, 2, added.Counts["👍"])
	require.Len(t, w.logged(), 2)
}

// TestAnotherLog: the log is made anew, and Redis is as of the old one, which was
// further. Nothing of it counts, and who reacts is not held up by it.
func TestAnotherLog(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	for _, shown := range []string{"👍", "❤️", "😀"} {
		_, err := w.add("bob", shown)
		require.NoError(t, err)
	}
	require.NoError(t, w.host.JetStream().DeleteStream(t.Context(), proto.Events.Name))
	require.NoError(t, w.host.EnsureStreams(t.Context(), true, proto.Events))
	require.Empty(t, w.get("bob", proto.GetReactionsReq{MessageID: message}).Counts)
	for range 2 { // the same again changes nothing
		added, err := w.add("bob", "👍")
		require.NoError(t, err)
		require.Equal(t, proto.ReactionCounts{"👍": 1}, added.Counts)
	}
	require.Len(t, w.logged(), 1)
}

// TestLateReplica: reactions that the replica which answers does not have are counted when Redis
// has lost them.
func TestLateReplica(t *testing.T) {
	t.Parallel()
	redis := servicestest.RunRedis(t)
	w := newTown(t, redis)
	_, err := w.add("alice", "👍")
	require.NoError(t, err)
	w.nats.Replica(proto.Events.Name).Hold()
	_, err = w.add("bob", "👍")
	require.NoError(t, err)
	require.NoError(t, redis.Client().FlushAll(t.Context()).Err())
	require.Equal(t, 2, w.get("bob", proto.GetReactionsReq{MessageID: message, ChatID: chatID}).Counts["👍"])
	require.Len(t, w.logged(), 2)
}
