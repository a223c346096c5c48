package chat

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
	"supmesh.dev/services/wire"
)

// A thousand messages, read in pages both ways, by sync and as a backlog.
func TestPaging(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	a, b := w.instance(), w.instance()
	a.chat(t, "c", "ann", "bob")
	const n = 520 // more than a page of a heal
	for i := range n {
		m := []*instance{a, b}[i%2].say(t, "ann", "c", fmt.Sprint(i))
		if i%50 == 10 {
			b.change(t, "ann", m, fmt.Sprint("edited ", i))
		}
	}
	for _, limit := range []int{3, 33, 100} {
		var back []string
		calls := 0
		for before := uint64(0); before != 1; calls++ {
			res, err := a.history(as(t, "bob"), proto.HistoryReq{ChatID: "c", BeforeSeq: before, Limit: new(limit)})
			require.NoError(t, err)
			page := messages(t, res.Messages)
			require.LessOrEqual(t, len(page), limit)
			require.Equal(t, page[0].Seq > 1, res.HasMore)
			require.EqualValues(t, n, res.LastSeq)
			for _, m := range slices.Backward(page) {
				back = append(back, m.EncryptedContent)
			}
			before = page[0].Seq
		}
		require.Equal(t, (n+limit-1)/limit, calls)
		slices.Reverse(back)
		for i, text := range back {
			if i%50 == 10 {
				require.Equal(t, fmt.Sprint("edited ", i), text)
			} else {
				require.Equal(t, fmt.Sprint(i), text)
			}
		}
		require.Len(t, back, n)
	}
	require.Len(t, b.seen(t, "bob", "c"), n)
	flush(t, w.redis)
	require.Len(t, b.seen(t, "bob", "c"), n)
}

func TestSync(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		w := newWorld(t, redis)
		a, b := w.instance(), w.instance()
		for _, chat := range []string{"c", "d", "e"} {
			a.chat(t, chat, "ann", "bob")
		}
		a.chat(t, "foreign", "ann")
		for n := range 150 {
			a.say(t, "ann", "c", fmt.Sprint(n))
		}
		d := a.say(t, "ann", "d", "one")
		a.change(t, "ann", d, "uno")
		res, err := b.sync(as(t, "bob"), proto.SyncReq{Chats: []proto.SyncFrom{{ChatID: "c", AfterSeq: 10}, {ChatID: "foreign"}, {ChatID: "d"}, {ChatID: "none"}, {ChatID: "e"}, {ChatID: "c", AfterSeq: 150}}})
		require.NoError(t, err)
		require.Equal(t, []proto.SyncFailed{{ChatID: "foreign", Code: proto.ChatNotFound}, {ChatID: "none", Code: proto.ChatNotFound}}, res.Failed)
		require.Len(t, res.Chats, 4)
		c := res.Chats[0]
		require.Len(t, c.Messages, 100)
		require.Equal(t, []any{"c", uint64(150), uint64(0), uint64(150), true}, []any{c.ChatID, c.LastSeq, c.ReadSeq, c.UnreadCount, c.More})
		require.Equal(t, uint64(11), decode(t, c.Messages[0]).Message.Seq)
		require.Equal(t, uint64(110), decode(t, c.Messages[99]).Message.Seq)
		require.Equal(t, "uno", decode(t, res.Chats[1].Messages[0]).Message.EncryptedContent)
		require.False(t, res.Chats[1].More)
		require.Equal(t, proto.SyncedChat{ChatID: "e", Messages: []proto.Raw{}, Receipts: []proto.MemberReceipt{{UserID: "ann"}}}, res.Chats[2])
		require.Equal(t, proto.SyncedChat{
			ChatID: "c", Messages: []proto.Raw{}, LastSeq: 150, UnreadCount: 150, Receipts: []proto.MemberReceipt{{UserID: "ann", DeliveredSeq: 150, ReadSeq: 150}},
		}, res.Chats[3])

		servicestest.Eventually(t, 10*time.Second, "what one said one has read", func() bool {
			mine, err := b.sync(as(t, "ann"), proto.SyncReq{Chats: []proto.SyncFrom{{ChatID: "d"}}})
			require.NoError(t, err)
			return mine.Chats[0].ReadSeq == 1 && mine.Chats[0].UnreadCount == 0
		})
		flush(t, redis)
		again, err := a.sync(as(t, "bob"), proto.SyncReq{Chats: []proto.SyncFrom{{ChatID: "c", AfterSeq: 10}, {ChatID: "foreign"}, {ChatID: "d"}}})
		require.NoError(t, err)
		require.Equal(t, res.Chats[:2], again.Chats)
		require.Equal(t, res.Failed[:1], again.Failed)
	})
}

// An answer fits into one NATS message, and each answer gets further.
func TestSyncIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	a := w.instance()
	big := strings.Repeat("x", proto.MaxContent)
	ask := proto.SyncReq{}
	for chat := range 3 {
		id := fmt.Sprint("c", chat)
		a.chat(t, id, "ann")
		for range 8 {
			a.say(t, "ann", id, big)
		}
		ask.Chats = append(ask.Chats, proto.SyncFrom{ChatID: id})
	}
	got, calls := 0, 0
	for more := true; more; calls++ {
		res, err := a.sync(as(t, "ann"), ask)
		require.NoError(t, err)
		body, err := wire.Marshal(res)
		require.NoError(t, err)
		require.Less(t, len(body), services.MinPayload)
		more = false
		moved := 0
		for i, c := range res.Chats {
			for _, m := range messages(t, c.Messages) {
				require.Equal(t, ask.Chats[i].AfterSeq+1, m.Seq)
				ask.Chats[i].AfterSeq = m.Seq
				moved++
			}
			more = more || c.More
			require.Equal(t, c.More, ask.Chats[i].AfterSeq < 8)
		}
		require.Positive(t, moved)
		got += moved
	}
	require.Equal(t, 24, got)
	require.LessOrEqual(t, calls, 9)
}
