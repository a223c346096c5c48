package chat

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

// lacking is unreached over all pages: user → unread.
func (i *instance) lacking(t testing.TB, chat string, seq uint64, limit int) map[string]uint64 {
	t.Helper()
	out := map[string]uint64{}
	for after := ""; ; {
		req := proto.UnreachedReq{ChatID: chat, Seq: seq, After: after, Limit: limit}
		require.NoError(t, req.Validate())
		// A cold page of a thousand users may take longer than one request has: like notify, it asks again.
		res, err := servicestest.Persist(func() (proto.UnreachedRes, error) { return i.unreached(by(t, proto.Actor{}), req) })
		require.NoError(t, err)
		require.Len(t, res.Unread, len(res.UserIDs))
		for k, user := range res.UserIDs {
			require.NotContains(t, out, user, "in one page only")
			out[user] = res.Unread[k]
		}
		if after = res.Next; after == "" {
			return out
		}
	}
}

func TestUnreached(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		w := newWorld(t, redis)
		a, b := w.instance(), w.instance()
		const chat = "a chat: with.odd * characters"
		a.chat(t, chat, "ann", "bob", "cat", "dan")
		for _, user := range []string{"bob", "cat", "dan"} {
			a.opened(t, user, "phone")
			a.opened(t, user, "tablet")
		}
		for k := range 3 {
			a.say(t, "ann", chat, fmt.Sprint(k))
		}
		are := func(want map[string]uint64, seq uint64) {
			t.Helper()
			for _, i := range []*instance{a, b} {
				for _, limit := range []int{1, 2, 1000} {
					require.Equal(t, want, i.lacking(t, chat, seq, limit))
				}
			}
		}
		are(map[string]uint64{"bob": 3, "cat": 3, "dan": 3}, 2)

		_, err := b.delivered(as(t, "bob", "tablet"), proto.DeliveredReq{ChatID: chat, UpToSeq: 2})
		require.NoError(t, err)
		are(map[string]uint64{"cat": 3, "dan": 3}, 2)
		are(map[string]uint64{"bob": 3, "cat": 3, "dan": 3}, 3)
		_, err = a.read(as(t, "cat", "phone"), proto.ReadReq{ChatID: chat, UpToSeq: 2})
		require.NoError(t, err)
		are(map[string]uint64{"dan": 3}, 2)
		are(map[string]uint64{"bob": 3, "cat": 1, "dan": 3}, 3)

		// What one says is read by them.
		a.say(t, "dan", chat, "4")
		are(map[string]uint64{"bob": 4, "cat": 2}, 3)

		// Who joins later lacks nothing of what was said before.
		_, err = a.addMembers(backend(t), proto.AddMembersReq{ChatID: chat, UserID: "eve"})
		require.NoError(t, err)
		a.say(t, "ann", chat, "5")
		are(map[string]uint64{"bob": 5, "cat": 3}, 3)
		are(map[string]uint64{"bob": 5, "cat": 3, "dan": 1, "eve": 1}, 5)
		_, err = a.removeMember(backend(t), proto.RemoveMemberReq{ChatID: chat, UserID: "cat"})
		require.NoError(t, err)
		are(map[string]uint64{"bob": 5}, 3)
		are(map[string]uint64{}, 6)

		// Nobody is forgotten, nor taken for one who has nothing, with Redis.
		for range 3 {
			flush(t, redis)
			require.Equal(t, map[string]uint64{"bob": 5, "dan": 1, "eve": 1}, a.lacking(t, chat, 5, 2))
			flush(t, redis)
			require.Equal(t, map[string]uint64{"bob": 5}, b.lacking(t, chat, 3, 1000))
		}
	})
}

func TestUnreachedSaysTheName(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	a := w.instance()
	_, err := a.putChat(backend(t), proto.PutChatReq{ChatID: "one", Name: new("Family"), Members: []proto.Member{{UserID: "ann"}}})
	require.NoError(t, err)
	a.say(t, "ann", "one", "x")
	res, err := a.unreached(by(t, proto.Actor{}), proto.UnreachedReq{ChatID: "one", Seq: 1, Limit: 10})
	require.NoError(t, err)
	require.Equal(t, proto.UnreachedRes{UserIDs: []string{}, Unread: []uint64{}, Name: "Family"}, res, "its author has it")

	_, err = a.unreached(by(t, proto.Actor{}), proto.UnreachedReq{ChatID: "none", Seq: 1, Limit: 10})
	requireCode(t, proto.ChatNotFound, err)
	for _, who := range []proto.Actor{{User: "ann"}, {Backend: true}} {
		_, err := a.unreached(by(t, who), proto.UnreachedReq{ChatID: "one", Seq: 1, Limit: 10})
		requireCode(t, proto.PermissionDenied, err)
	}
	w.redis.Stop()
	_, err = a.unreached(by(t, proto.Actor{}), proto.UnreachedReq{ChatID: "one", Seq: 1, Limit: 10})
	requireCode(t, proto.ServiceUnavailable, err)
}

// Pages of a large chat have everybody once.
func TestUnreachedOfThousands(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		w := newWorld(t, redis)
		a := w.instance()
		users := make([]string, 1100) // more than a page of 1000
		for k := range users {
			users[k] = name(k)
		}
		for part := range slices.Chunk(users, 1000) {
			a.chat(t, "large", part...)
		}
		a.say(t, "user-7", "large", "x")
		for k := 0; k < len(users); k += 10 {
			a.opened(t, users[k], "phone")
			_, err := a.delivered(as(t, users[k], "phone"), proto.DeliveredReq{ChatID: "large", UpToSeq: 1})
			require.NoError(t, err)
		}
		for _, limit := range []int{250, 1000} {
			got := a.lacking(t, "large", 1, limit)
			require.Len(t, got, len(users)-len(users)/10-1)
			require.NotContains(t, got, "user-7")
			require.NotContains(t, got, "user-1090")
			require.Equal(t, uint64(1), got["user-1099"])
		}
		flush(t, redis)
		require.Len(t, a.lacking(t, "large", 1, 1000), len(users)-len(users)/10-1)
	})
}
