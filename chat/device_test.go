package chat

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

func (i *instance) opened(t testing.TB, user, device string) proto.OpenRes {
	t.Helper()
	res, err := i.open(as(t, user, device), proto.OpenReq{})
	require.NoError(t, err)
	return res
}

// drain reads a device's whole backlog as a gateway does, page by page.
func (i *instance) drain(t testing.TB, user, device string, limit int) (out []proto.LogItem) {
	t.Helper()
	var chats []proto.BacklogChat
	var missed uint64
	at := map[string]int{}
	for _, c := range i.opened(t, user, device).Chats {
		missed += c.Missed
		if c.Delivered < c.LastSeq {
			at[c.ChatID] = len(chats)
			chats = append(chats, proto.BacklogChat{ChatID: c.ChatID, AfterSeq: c.Delivered, UpToSeq: c.LastSeq})
		}
	}
	for more := len(chats) > 0; more; {
		page, err := i.backlog(as(t, user, device), proto.BacklogReq{Chats: chats, Limit: limit})
		require.NoError(t, err)
		require.LessOrEqual(t, len(page.Items), limit)
		require.True(t, len(page.Items) > 0 || !page.More, "a page with more to come is not empty")
		for _, it := range page.Items {
			c := &chats[at[it.ChatID]]
			require.Greater(t, it.Seq, c.AfterSeq)
			require.Equal(t, it.Seq, decode(t, it.Body).Message.Seq)
			require.True(t, len(out) == 0 || it.Position > out[len(out)-1].Position, "oldest first over all chats")
			c.AfterSeq = it.Seq
			out = append(out, it)
		}
		more = page.More
	}
	require.Len(t, out, int(missed), "what is announced comes")
	return out
}

func (i *instance) deliver(t testing.TB, user, device string, req proto.DeliveredReq) proto.DeliveredRes {
	t.Helper()
	res, err := i.delivered(as(t, user, device), req)
	require.NoError(t, err)
	return res
}

func TestOfflineQueue(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		w := newWorld(t, redis)
		a, b := w.instance(), w.instance()
		a.chat(t, "c", "ann", "bob")
		a.chat(t, "d", "ann", "bob")
		a.say(t, "ann", "c", "before bob's phone was ever seen")

		first := a.opened(t, "bob", "phone")
		require.True(t, first.NewDevice)
		require.NotEmpty(t, first.Epoch)
		require.Len(t, first.Chats, 2)
		for _, c := range first.Chats {
			require.Equal(t, c.LastSeq, c.Delivered, "a new device starts at the head")
			require.NotZero(t, c.Joined)
			require.Equal(t, uint64(1), c.Version)
			require.LessOrEqual(t, c.LastPosition, first.Position)
		}
		require.False(t, b.opened(t, "bob", "phone").NewDevice)

		for n := range 6 {
			[]*instance{a, b}[n%2].say(t, "ann", []string{"c", "d"}[n/2%2], fmt.Sprint(n))
		}
		for _, i := range []*instance{a, b} {
			items := i.drain(t, "bob", "phone", 4)
			require.Len(t, items, 6)
			for n, it := range items {
				require.Equal(t, fmt.Sprint(n), decode(t, it.Body).Message.EncryptedContent)
			}
		}
		require.Empty(t, a.drain(t, "bob", "tablet", 4), "another device has a queue of its own")

		res := a.deliver(t, "bob", "phone", proto.DeliveredReq{ChatID: "c", UpToSeq: 3})
		require.Equal(t, uint64(3), res.UpToSeq)
		require.Equal(t, uint64(3), b.deliver(t, "bob", "phone", proto.DeliveredReq{ChatID: "c", UpToSeq: 2}).UpToSeq, "never back")
		require.Equal(t, uint64(5), b.deliver(t, "bob", "phone", proto.DeliveredReq{ChatID: "c", UpToSeq: 99}).UpToSeq, "never past the last message")
		require.Len(t, a.drain(t, "bob", "phone", 4), 2)

		// Everything acked outlives Redis.
		flush(t, redis)
		require.Len(t, b.drain(t, "bob", "phone", 4), 2)
		require.False(t, a.opened(t, "bob", "tablet").NewDevice)
		items := b.drain(t, "bob", "phone", 1)
		ids := []string{decode(t, items[1].Body).Message.ID, decode(t, items[0].Body).Message.ID}
		require.Equal(t, uint64(2), a.deliver(t, "bob", "phone", proto.DeliveredReq{ChatID: "d", MessageIDs: ids}).UpToSeq)
		require.Empty(t, a.drain(t, "bob", "phone", 4))
	})
}

func TestOwnMessagesAreNotOwed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	a := w.instance()
	a.chat(t, "c", "ann", "bob")
	a.opened(t, "ann", "phone")
	a.opened(t, "ann", "desk")
	for n := range 3 {
		_, err := a.send(as(t, "ann", "phone"), proto.SendMessageReq{ChatID: "c", EncryptedContent: fmt.Sprint(n)})
		require.NoError(t, err)
	}
	// The sender's cursor is written behind the ack.
	servicestest.Eventually(t, 10*time.Second, "the device that sent them has them", func() bool { return len(a.drain(t, "ann", "phone", 10)) == 0 })
	require.Len(t, a.drain(t, "ann", "desk", 10), 3)
	a.say(t, "bob", "c", "3")
	_, err := a.send(as(t, "ann", "phone"), proto.SendMessageReq{ChatID: "c", EncryptedContent: "4"})
	require.NoError(t, err)
	require.Len(t, a.drain(t, "ann", "phone", 10), 2, "never past a message of somebody else")

	servicestest.Eventually(t, 10*time.Second, "who writes has read", func() bool {
		joined, err := a.join(as(t, "ann"), proto.JoinChatReq{ChatID: "c"})
		require.NoError(t, err)
		return joined.LastSeq == 5 && joined.ReadSeq == 5 && joined.UnreadCount == 0
	})
	joined, err := a.join(as(t, "bob"), proto.JoinChatReq{ChatID: "c"})
	require.NoError(t, err)
	require.Equal(t, uint64(1), joined.UnreadCount)
	flush(t, w.redis)
	joined, err = a.join(as(t, "bob"), proto.JoinChatReq{ChatID: "c"})
	require.NoError(t, err)
	require.Equal(t, uint64(1), joined.UnreadCount, "what bob said is read, whatever Redis has forgotten")
	a.say(t, "bob", "c", "6")
	joined, err = a.join(as(t, "bob"), proto.JoinChatReq{ChatID: "c"})
	require.NoError(t, err)
	require.Zero(t, joined.UnreadCount)
}

func TestDeliveredNamesMessages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	a := w.instance()
	a.chat(t, "c", "ann", "bob")
	a.chat(t, "d", "ann", "bob")
	m := a.say(t, "ann", "c", "one")
	foreign := a.say(t, "ann", "d", "two")
	for what, req := range map[string]proto.DeliveredReq{
		"foreign": {MessageID: foreign.ID}, "unknown": {MessageID: "msg_x"}, "one of two": {MessageIDs: []string{m.ID, foreign.ID}},
		"made up": {MessageID: messageID(m.CreatedAt.Time, 1, [5]byte{1})},
	} {
		req.ChatID = "c"
		_, err := a.delivered(as(t, "bob"), req)
		requireCode(t, proto.MessageNotFound, err)
		require.NotEmpty(t, what)
	}
	_, err := a.delivered(as(t, "eve"), proto.DeliveredReq{ChatID: "c", MessageID: m.ID})
	requireCode(t, proto.ChatNotFound, err)

	at := func(d time.Duration) *proto.Timestamp { v := proto.At(m.CreatedAt.Add(d)); return &v }
	past := a.deliver(t, "bob", "x", proto.DeliveredReq{ChatID: "c", MessageID: m.ID, DeliveredAt: at(-time.Hour)})
	require.Equal(t, m.CreatedAt, past.DeliveredAt, "not before the message")
	future := a.deliver(t, "bob", "x", proto.DeliveredReq{ChatID: "c", UpToSeq: 1, DeliveredAt: at(time.Hour)})
	require.WithinDuration(t, time.Now(), future.DeliveredAt.Time, time.Minute, "not after now")
}

func TestLongBacklog(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	a := w.instance()
	a.chat(t, "c", "ann", "bob")
	a.chat(t, "d", "ann", "bob")
	a.opened(t, "bob", "phone")
	for n := range 1000 {
		a.say(t, "ann", []string{"c", "d"}[n%2], fmt.Sprint(n))
	}
	flush(t, w.redis) // the index is read back from the log on the way
	items := a.drain(t, "bob", "phone", 100)
	require.Len(t, items, 1000)
	for n, it := range items {
		require.Equal(t, fmt.Sprint(n), decode(t, it.Body).Message.EncryptedContent)
	}
}

// Pages of the largest messages stay under what NATS carries.
func TestLargePages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	a := w.instance()
	a.chat(t, "c", "ann", "bob")
	a.opened(t, "bob", "phone")
	large := make([]byte, proto.MaxContent)
	for i := range large {
		large[i] = 'x'
	}
	for range 25 {
		a.say(t, "ann", "c", string(large))
	}
	page, err := a.backlog(as(t, "bob", "phone"), proto.BacklogReq{Limit: 200, Chats: []proto.BacklogChat{{ChatID: "c", UpToSeq: 25}}})
	require.NoError(t, err)
	require.True(t, page.More)
	require.Less(t, len(page.Items), 12)
	require.Len(t, a.drain(t, "bob", "phone", 200), 25)
	newest, err := a.history(as(t, "bob"), proto.HistoryReq{ChatID: "c", Limit: new(100)})
	require.NoError(t, err)
	require.True(t, newest.HasMore)
	require.Equal(t, uint64(25), decode(t, newest.Messages[len(newest.Messages)-1]).Message.Seq, "the newest are what was asked for")
}

func TestHistorySpan(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		req            proto.HistoryReq
		last, from, to uint64
	}{
		{proto.HistoryReq{}, 0, 1, 0},
		{proto.HistoryReq{}, 10, 1, 10},
		{proto.HistoryReq{}, 120, 71, 120},
		{proto.HistoryReq{Limit: new(10)}, 120, 111, 120},
		{proto.HistoryReq{Limit: new(10), BeforeSeq: 111}, 120, 101, 110},
		{proto.HistoryReq{Limit: new(10), BeforeSeq: 5}, 120, 1, 4},
		{proto.HistoryReq{Limit: new(10), BeforeSeq: 1}, 120, 1, 0},
		{proto.HistoryReq{Limit: new(10), BeforeSeq: 500}, 120, 111, 120},
		{proto.HistoryReq{Limit: new(10), AfterSeq: new(uint64(1))}, 120, 2, 11},
		{proto.HistoryReq{Limit: new(10), AfterSeq: new(uint64(115))}, 120, 116, 120},
		{proto.HistoryReq{Limit: new(10), AfterSeq: new(uint64(120))}, 120, 1, 0},
		{proto.HistoryReq{Limit: new(10), AfterSeq: ptr[uint64](1 << 63)}, 120, 1, 0},
	} {
		from, to := historySpan(row.req, row.last)
		require.Equal(t, [2]uint64{row.from, row.to}, [2]uint64{from, to}, "%+v", row)
	}
}
