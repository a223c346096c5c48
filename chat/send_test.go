package chat

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/chat/projection"
	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

func decode(t testing.TB, raw []byte) (m proto.NewMessage) {
	t.Helper()
	require.NoError(t, json.Unmarshal(raw, &m))
	return m
}

func TestSend(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		w := newWorld(t, redis)
		a := w.instance()
		a.chat(t, "c", "ann", "bob")

		res, err := a.send(as(t, "ann"), proto.SendMessageReq{ChatID: "c", EncryptedContent: "one", TempID: "t1", Metadata: proto.Raw(`{"k":1}`), TTLSec: new(60)})
		require.NoError(t, err)
		m := res.Message
		require.Equal(t, uint64(1), m.Seq)
		require.Equal(t, "t1", m.TempID)
		require.Equal(t, "sent", m.Status)
		require.Equal(t, "text", m.MessageType)
		require.Equal(t, proto.Sender{ID: "ann", Username: "Name of ann"}, res.Sender)
		require.Equal(t, time.Minute, m.ExpiresAt.Sub(m.CreatedAt.Time))
		require.False(t, res.Duplicate)

		reply, err := a.send(as(t, "bob"), proto.SendMessageReq{ChatID: "c", EncryptedContent: "two", ReplyToID: m.ID})
		require.NoError(t, err)
		require.Equal(t, uint64(2), reply.Message.Seq)

		page, err := a.history(as(t, "bob"), proto.HistoryReq{ChatID: "c"})
		require.NoError(t, err)
		require.Len(t, page.Messages, 2)
		require.False(t, page.HasMore)
		got := decode(t, page.Messages[0])
		require.Empty(t, got.Message.TempID, "tempId is the sender's own")
		m.TempID = ""
		require.Equal(t, m, got.Message)
		require.Equal(t, []string{"one", "two"}, a.texts(t, "ann", "c"))

		_, err = a.send(as(t, "eve"), proto.SendMessageReq{ChatID: "c", EncryptedContent: "x"})
		requireCode(t, proto.ChatNotFound, err)
		_, err = a.send(as(t, "ann"), proto.SendMessageReq{ChatID: "none", EncryptedContent: "x"})
		requireCode(t, proto.ChatNotFound, err)
		_, err = a.history(as(t, "eve"), proto.HistoryReq{ChatID: "c"})
		requireCode(t, proto.ChatNotFound, err)
		_, err = a.join(as(t, "eve"), proto.JoinChatReq{ChatID: "c"})
		requireCode(t, proto.ChatNotFound, err)
	})
}

func TestSendDense(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		w := newWorld(t, redis)
		instances := []*instance{w.instance(), w.instance()}
		const senders, each = 10, 50
		var users []string
		for i := range senders {
			users = append(users, name(i))
		}
		instances[0].chat(t, "c", users...)
		var wg sync.WaitGroup
		acks := make([][]proto.Message, senders)
		for i, user := range users {
			wg.Go(func() {
				for n := range each {
					res, err := instances[(i+n)%2].send(as(t, user), proto.SendMessageReq{ChatID: "c", EncryptedContent: fmt.Sprint(user, n), TempID: fmt.Sprint(n)})
					if err != nil {
						t.Errorf("%s %d: %v", user, n, err)
						return
					}
					acks[i] = append(acks[i], res.Message)
				}
			})
		}
		wg.Wait()
		seen := map[uint64]string{}
		for _, mine := range acks {
			require.Len(t, mine, each)
			for n, m := range mine {
				require.NotContains(t, seen, m.Seq)
				seen[m.Seq] = m.EncryptedContent
				require.True(t, n == 0 || m.Seq > mine[n-1].Seq, "a sender's own order")
			}
		}
		for _, in := range instances {
			texts := in.texts(t, users[0], "c") // checks that it is dense
			require.Len(t, texts, senders*each)
			for i, text := range texts {
				require.Equal(t, seen[uint64(i+1)], text)
			}
		}
	})
}

func TestTempID(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		w := newWorld(t, redis)
		a, b := w.instance(), w.instance()
		a.chat(t, "c", "ann", "bob")
		a.chat(t, "d", "ann")
		req := proto.SendMessageReq{ChatID: "c", EncryptedContent: "one", TempID: "t"}

		// Ten at once, on two instances.
		var wg sync.WaitGroup
		var mu sync.Mutex
		ids, fresh := map[string]int{}, 0
		for i := range 10 {
			wg.Go(func() {
				res, err := []*instance{a, b}[i%2].send(as(t, "ann"), req)
				if err != nil {
					t.Errorf("send: %v", err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				ids[res.Message.ID]++
				if !res.Duplicate {
					fresh++
				}
			})
		}
		wg.Wait()
		require.Len(t, ids, 1)
		require.Equal(t, 1, fresh)

		repeat := func(i *instance, why string) {
			t.Helper()
			res, err := i.send(as(t, "ann"), req)
			require.NoError(t, err, why)
			require.True(t, res.Duplicate, why)
			require.Contains(t, ids, res.Message.ID, why)
			require.Equal(t, "t", res.Message.TempID)
		}
		repeat(a, "again")

		other := req
		other.EncryptedContent = "two"
		_, err := a.send(as(t, "ann"), other)
		requireField(t, proto.Conflict, "tempId", err)
		res, err := a.send(as(t, "bob"), other)
		require.NoError(t, err)
		require.False(t, res.Duplicate, "another user's tempId is another")
		other.ChatID = "d"
		res, err = a.send(as(t, "ann"), other)
		require.NoError(t, err)
		require.False(t, res.Duplicate, "another chat's tempId is another")

		require.NoError(t, a.stop())
		require.NoError(t, b.stop())
		c := w.instance()
		repeat(c, "after a restart of chat")
		flush(t, redis)
		repeat(c, "after FLUSHALL")
		require.Equal(t, []string{"one", "two"}, c.texts(t, "ann", "c"))
	})
}

// The stream's own window is two minutes; after it, the record of 24 h decides,
// from Redis or rebuilt from the log.
func TestTempIDAfterTheWindow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	a := w.instance()
	a.chat(t, "c", "ann")
	req := proto.SendMessageReq{ChatID: "c", EncryptedContent: "one", TempID: "t"}
	first, err := a.send(as(t, "ann"), req)
	require.NoError(t, err)
	shrinkWindow(t, w.nats, 100*time.Millisecond)
	key := identify("ann", &req, "").key
	// A server that starts knows only the keys within the window; one that runs may keep older ones for a while.
	w.nats.Stop()
	w.nats.Start()
	servicestest.Eventually(t, 20*time.Second, "the window has passed", func() bool { return windowPassed(t, w.nats, key) })

	var res sendRes
	servicestest.Eventually(t, 20*time.Second, "chat has its connection again", func() bool {
		res, err = a.send(as(t, "ann"), req)
		return err == nil
	})
	require.True(t, res.Duplicate)
	require.Equal(t, first.Message.ID, res.Message.ID)
	flush(t, w.redis)
	res, err = a.send(as(t, "ann"), req)
	require.NoError(t, err)
	require.True(t, res.Duplicate, "the record is rebuilt from the log")
	require.Equal(t, first.Message.ID, res.Message.ID)
	require.Equal(t, []string{"one"}, a.texts(t, "ann", "c"))
}

func TestReply(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	a, b := w.instance(), w.instance()
	a.chat(t, "c", "ann")
	a.chat(t, "d", "ann")
	first := a.say(t, "ann", "c", "one")
	foreign := a.say(t, "ann", "d", "elsewhere")
	_, seq, ok := parseMessageID(first.ID)
	require.True(t, ok)
	for what, id := range map[string]string{
		"not an id": "x", "foreign chat": foreign.ID, "unknown": messageID(time.Now(), seq, [5]byte{9}),
		"future": messageID(time.Now(), 99, [5]byte{}), "seq 0": messageID(time.Now(), 0, [5]byte{}),
	} {
		_, err := a.send(as(t, "ann"), proto.SendMessageReq{ChatID: "c", EncryptedContent: "reply", ReplyToID: id})
		requireField(t, proto.MessageNotFound, "replyToId", err, what)
	}
	require.Equal(t, []string{"one"}, a.texts(t, "ann", "c"), "nothing was stored")
	// The other instance has never seen the chat; and Redis forgets.
	_, err := b.send(as(t, "ann"), proto.SendMessageReq{ChatID: "c", EncryptedContent: "two", ReplyToID: first.ID})
	require.NoError(t, err)
	flush(t, w.redis)
	_, err = a.send(as(t, "ann"), proto.SendMessageReq{ChatID: "c", EncryptedContent: "three", ReplyToID: first.ID})
	require.NoError(t, err)
}

// A chat instance that dies between the log and Redis.
func TestCrashBeforeProjection(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	dying := w.instance(func(s *Service) { s.project = func(projection.Stored, func(uint64, bool, error)) {} })
	dying.chat(t, "c", "ann", "bob")
	_, err := dying.open(as(t, "bob", "phone"), proto.OpenReq{})
	require.NoError(t, err)
	req := proto.SendMessageReq{ChatID: "c", EncryptedContent: "one", TempID: "t"}
	first, err := dying.send(as(t, "ann"), req)
	require.NoError(t, err)
	require.NoError(t, dying.stop())

	b := w.instance()
	opened, err := b.open(as(t, "bob", "phone"), proto.OpenReq{})
	require.NoError(t, err)
	require.Equal(t, uint64(1), opened.Chats[0].LastSeq, "the log says what Redis does not")
	require.Equal(t, uint64(0), opened.Chats[0].Delivered)
	page, err := b.backlog(as(t, "bob", "phone"), proto.BacklogReq{Limit: 10, Chats: []proto.BacklogChat{{ChatID: "c", UpToSeq: 1}}})
	require.NoError(t, err)
	require.Len(t, page.Items, 1)
	again, err := b.send(as(t, "ann"), req)
	require.NoError(t, err)
	require.True(t, again.Duplicate)
	require.Equal(t, first.Message.ID, again.Message.ID)
	require.Equal(t, uint64(2), b.say(t, "ann", "c", "two").Seq)
	require.Equal(t, []string{"one", "two"}, b.texts(t, "bob", "c"))
}
