package chat

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/chat/roster"
	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

// TestLostRosterIsNotBelieved: Redis has lost the roster, and what comes live has brought a
// part of it back: members and messages, but no cursors. No answer is made from that part.
func TestLostRosterIsNotBelieved(t *testing.T) {
	t.Parallel()
	for name, unread := range map[string]func(t *testing.T, i *instance) uint64{
		"join": func(t *testing.T, i *instance) uint64 {
			res, err := i.join(as(t, "ann", "phone"), proto.JoinChatReq{ChatID: "c"})
			require.NoError(t, err)
			require.Equal(t, []proto.MemberReceipt{{UserID: "bob", DeliveredSeq: 5, ReadSeq: 5}}, res.Receipts)
			return res.UnreadCount
		},
		"sync": func(t *testing.T, i *instance) uint64 {
			res, err := i.sync(as(t, "ann", "phone"), proto.SyncReq{Chats: []proto.SyncFrom{{ChatID: "c", AfterSeq: 5}}})
			require.NoError(t, err)
			return res.Chats[0].UnreadCount
		},
		"read": func(t *testing.T, i *instance) uint64 {
			res, err := i.read(as(t, "ann", "phone"), proto.ReadReq{ChatID: "c", UpToSeq: 1})
			require.NoError(t, err)
			return res.UnreadCount
		},
		"open": func(t *testing.T, i *instance) uint64 {
			res, err := i.open(as(t, "ann", "phone"), proto.OpenReq{})
			require.NoError(t, err)
			return res.Chats[0].LastSeq - res.Chats[0].Delivered
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, servicestest.RunRedis(t))
			i := w.instance()
			i.chat(t, "c", "ann", "bob")
			_, err := i.open(as(t, "ann", "phone"), proto.OpenReq{})
			require.NoError(t, err)
			i.say(t, "ann", "c", "1")
			for range 4 {
				i.say(t, "bob", "c", "more")
			}
			_, err = i.read(as(t, "ann", "phone"), proto.ReadReq{ChatID: "c", UpToSeq: 3})
			require.NoError(t, err)
			require.EqualValues(t, 2, unread(t, i))

			flush(t, w.redis)
			c, err := i.chatOf("c")
			require.NoError(t, err)
			require.NoError(t, i.healMeta(t.Context(), c.token, 0))
			require.NoError(t, i.heal(t.Context(), c.token, 5))
			require.EqualValues(t, 2, unread(t, i))
		})
	}
}

// TestRebuildNoticesALossMeanwhile: the mark is not set over what Redis lost during the rebuild.
func TestRebuildNoticesALossMeanwhile(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		r := roster.New(redis.Client(), "epoch")
		ctx := t.Context()
		yes := func(ok bool, err error) { t.Helper(); require.NoError(t, err); require.True(t, ok) }
		no := func(ok bool, err error) { t.Helper(); require.NoError(t, err); require.False(t, ok) }
		yes(r.Lock(ctx, "a", time.Minute))
		no(r.Lock(ctx, "b", time.Minute))
		no(r.Extend(ctx, "b", time.Minute))
		no(r.SetMark(ctx, "b", 7))
		yes(r.Lock(ctx, "a", time.Minute))
		yes(r.Extend(ctx, "a", time.Minute))

		flush(t, redis)
		no(r.Extend(ctx, "a", time.Minute))
		no(r.SetMark(ctx, "a", 7))
		_, whole, err := r.Mark(ctx)
		no(whole, err)

		yes(r.Lock(ctx, "a", time.Minute))
		yes(r.SetMark(ctx, "a", 7))
		_, whole, err = r.Mark(ctx)
		yes(whole, err)
		require.NoError(t, r.Unlock(ctx, "a"))
		yes(r.Lock(ctx, "b", time.Minute))
	})
}
