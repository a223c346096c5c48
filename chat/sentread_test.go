package chat

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/chat/projection"
	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

// wait waits until some of one user's receipts have come.
func (e *ear) wait(user string, from ...*instance) (out []heard) {
	e.t.Helper()
	servicestest.Eventually(e.t, 10*time.Second, "a receipt of "+user, func() bool {
		out = append(out, e.by(user, from...)...)
		return len(out) > 0
	})
	return out
}

// TestAReplyReads: a message moves its sender's read cursor, and that is told like any
// read: to the authors, to the sender's other sockets, and to who follows RECEIPTS.
func TestAReplyReads(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		t.Parallel()
		w := newWorld(t, redis)
		a := w.instance()
		a.chat(t, "c", "ann", "bob", "cat")
		m1, m2 := a.say(t, "ann", "c", "1"), a.say(t, "ann", "c", "2")
		ann, bob, cat := w.ear("ann"), w.ear("bob"), w.ear("cat")
		reply := a.say(t, "bob", "c", "3")
		told := ann.wait("bob", a)
		require.Len(t, told, 1)
		told[0].is(t, "message:read", "bob", m2, m1.ID, m2.ID)
		own := bob.wait("bob", a)
		require.Len(t, own, 1)
		require.Equal(t, "s-bob", own[0].socket, "the socket that sent knows")
		require.Zero(t, *own[0].UnreadCount)
		own[0].UnreadCount = nil
		own[0].is(t, "message:read", "bob", reply)
		require.Empty(t, cat.by("bob", a), "nothing of cat's was read")
		require.Equal(t, uint64(3), a.receipt(t, "bob").Read, "notify follows this")
		require.Empty(t, a.receipt(t, "bob").Devices, "the device may lack what came before")

		// One's own messages, and what is read already, are no move.
		a.say(t, "bob", "c", "4")
		a.reads(t, "ann", "phone", proto.ReadReq{ChatID: "c", UpToSeq: 4})
		a.say(t, "ann", "c", "5")
		a.reads(t, "bob", "phone", proto.ReadReq{ChatID: "c", UpToSeq: 5})
		bob.all(a)
		ann.all(a)
		a.say(t, "bob", "c", "6") // nothing of others lies between
		m7 := a.say(t, "cat", "c", "7")
		a.say(t, "bob", "c", "8")
		marker := cat.wait("bob", a)
		require.Len(t, marker, 1)
		marker[0].is(t, "message:read", "bob", m7)
		require.Empty(t, ann.by("bob", a))
		require.Len(t, bob.wait("bob", a), 1)
		require.Zero(t, a.joined(t, "bob", "c").UnreadCount)
	})
}

// TestManyRepliesAreFew: one who answers without pause tells of it once in five seconds, and at
// stop of what is left.
func TestManyRepliesAreFew(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	a, b := w.instance(), w.instance()
	a.chat(t, "c", "ann", "bob")
	ann := w.ear("ann")
	began := time.Now()
	var last proto.Message
	for n := range 30 {
		last = a.say(t, "ann", "c", fmt.Sprint(n))
		a.say(t, "bob", "c", fmt.Sprint("answer ", n))
	}
	told := ann.wait("bob", a)
	require.NoError(t, a.stop())
	told = append(told, ann.by("bob", b)...)
	require.LessOrEqual(t, len(told), 3+int(time.Since(began)/sentReadEvery))
	require.Equal(t, last.ID, told[len(told)-1].MessageID)
	require.Equal(t, uint64(60), b.receipt(t, "bob").Read)
}

// TestAReplyWhileRedisForgets: the log knows how far the sender had read.
func TestAReplyWhileRedisForgets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	a := w.instance()
	a.chat(t, "c", "ann", "bob")
	m1 := a.say(t, "ann", "c", "1")
	a.reads(t, "bob", "phone", proto.ReadReq{ChatID: "c", UpToSeq: 1})
	m2 := a.say(t, "ann", "c", "2")
	ann := w.ear("ann")
	a.project = func(m projection.Stored, done func(uint64, bool, error)) { done(0, false, nil) }
	a.say(t, "bob", "c", "3")
	told := ann.wait("bob", a)
	require.Len(t, told, 1)
	told[0].is(t, "message:read", "bob", m2)
	require.NotEqual(t, m1.ID, told[0].MessageID)
}

func (i *instance) receipt(t testing.TB, user string) (body receiptBody) {
	t.Helper()
	last, err := i.log.Last(backend(t), proto.Receipts.Name, proto.ReceiptLog("c", proto.Token(user)))
	require.NoError(t, err)
	if last.Position > 0 {
		require.NoError(t, jsonInto(last.Body, &body))
	}
	return body
}

// TestManyWhoWriteReadInTurn: where many write in one chat, their moves are told one after
// another and the newest of each; another chat waits for none of it.
func TestManyWhoWriteReadInTurn(t *testing.T) {
	t.Parallel()
	k, now := newSentReads(), time.Now()
	large, small := &chatState{token: "large"}, &chatState{token: "small"}
	add := func(c *chatState, user, seq int) {
		require.True(t, k.add(&sentRead{caller: caller{user: proto.Token(name(user))}, chat: c, message: said{seq: uint64(seq)}}, now))
	}
	const users = 50
	for seq := range 2 * users {
		add(large, seq%users, seq)
	}
	add(small, 0, 1)
	var told []*sentRead
	tell := func() {
		for r := k.take(); r != nil; r = k.take() {
			told = append(told, r)
			k.done(r, now)
		}
	}
	tell()
	require.Len(t, told, 2, "one of each chat")
	require.Same(t, small, told[1].chat)
	for range 2 * (users + 1) {
		now = now.Add(sentReadPace / 2)
		k.ripen(now, false)
		tell()
	}
	require.Len(t, told, 1+users)
	seen := map[proto.Token]uint64{}
	for _, r := range told {
		if r.chat == large {
			seen[r.user] = r.message.seq
		}
	}
	for u := range users {
		require.EqualValues(t, users+u, seen[proto.Token(name(u))], "the newest of each")
	}
	require.True(t, k.idle())
	now = now.Add(sentReadEvery)
	k.ripen(now, false)
	require.Zero(t, k.pairs)
	require.Empty(t, k.chats)

	for u := range 5 {
		add(large, u, 200)
	}
	for !k.idle() { // at stop nothing waits for its turn
		k.ripen(now, true)
		tell()
	}
	require.Len(t, told, 1+users+5)
}
