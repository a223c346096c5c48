package chat

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

// ear hears what is published for one user and stored nowhere.
type ear struct {
	t  testing.TB
	nc *nats.Conn
	in chan *nats.Msg
}

func (w *world) ear(user string) *ear {
	w.t.Helper()
	token, err := proto.EncodeID(user)
	require.NoError(w.t, err)
	return w.listen(proto.UserEphemeral(token))
}

func (w *world) listen(subject string) *ear {
	w.t.Helper()
	e := &ear{t: w.t, nc: w.nats.Connect(), in: make(chan *nats.Msg, 1<<14)}
	_, err := e.nc.ChanSubscribe(subject, e.in)
	require.NoError(w.t, err)
	require.NoError(w.t, e.nc.Flush())
	return e
}

// heard is one event, delivered or read.
type heard struct {
	proto.MessageRead
	event, socket string
	at            *proto.Timestamp
}

func (h *heard) UnmarshalJSON(data []byte) error {
	var both struct {
		proto.MessageRead
		DeliveredAt *proto.Timestamp `json:"deliveredAt"`
		ReadAt      *proto.Timestamp `json:"readAt"`
	}
	if err := json.Unmarshal(data, &both); err != nil {
		return err
	}
	h.MessageRead, h.at = both.MessageRead, both.ReadAt
	if both.DeliveredAt != nil {
		h.at = both.DeliveredAt
	}
	return nil
}

// all is what has come, once what the instances have published so far is here.
func (e *ear) all(from ...*instance) (out []heard) {
	e.t.Helper()
	for _, i := range from {
		require.NoError(e.t, i.host.NATS().Flush())
	}
	require.NoError(e.t, e.nc.Flush())
	for len(e.in) > 0 {
		m := <-e.in
		h := heard{event: m.Header.Get(proto.HeaderEvent), socket: m.Header.Get(proto.HeaderSocket)}
		require.NoError(e.t, json.Unmarshal(m.Data, &h), "%s", m.Data)
		require.NotNil(e.t, h.at)
		out = append(out, h)
	}
	return out
}

// one is the single event that has come.
func (e *ear) one(from ...*instance) heard {
	e.t.Helper()
	all := e.all(from...)
	require.Len(e.t, all, 1)
	return all[0]
}

// by is what has come of one user's receipts.
func (e *ear) by(user string, from ...*instance) []heard {
	e.t.Helper()
	return slices.DeleteFunc(e.all(from...), func(h heard) bool { return h.UserID != user })
}

func (i *instance) reads(t testing.TB, user, device string, req proto.ReadReq) proto.ReadRes {
	t.Helper()
	res, err := i.read(as(t, user, device), req)
	require.NoError(t, err)
	return res
}

func (i *instance) joined(t testing.TB, user, chat string) proto.JoinChatRes {
	t.Helper()
	res, err := i.join(as(t, user), proto.JoinChatReq{ChatID: chat})
	require.NoError(t, err)
	return res
}

func (h heard) is(t testing.TB, event, user string, newest proto.Message, ids ...string) {
	t.Helper()
	require.Equal(t, event, h.event)
	require.Equal(t, proto.MessageRead{MessageID: newest.ID, UserID: user, ReadAt: h.ReadAt, ChatID: newest.ChatID, Seq: newest.Seq, MessageIDs: ids}, h.MessageRead)
	require.False(t, h.at.Before(newest.CreatedAt.Time))
	require.WithinDuration(t, time.Now(), h.at.Time, time.Minute)
}

func TestReceipts(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		w := newWorld(t, redis)
		a, b := w.instance(), w.instance()
		a.chat(t, "c", "ann", "bob", "cat")
		a.opened(t, "cat", "phone")
		m1, m2, m3 := a.say(t, "ann", "c", "1"), a.say(t, "ann", "c", "2"), a.say(t, "ann", "c", "3")
		ann, bob, cat := w.ear("ann"), w.ear("bob"), w.ear("cat")

		// The first delivery on any device, once.
		require.Equal(t, uint64(2), a.deliver(t, "bob", "phone", proto.DeliveredReq{ChatID: "c", MessageID: m2.ID}).UpToSeq)
		ann.one(a, b).is(t, "message:delivered", "bob", m2, m1.ID, m2.ID)
		require.Equal(t, uint64(3), b.deliver(t, "bob", "tablet", proto.DeliveredReq{ChatID: "c", MessageIDs: []string{m3.ID, m1.ID}}).UpToSeq)
		ann.one(a, b).is(t, "message:delivered", "bob", m3)
		require.Equal(t, uint64(3), a.deliver(t, "bob", "phone", proto.DeliveredReq{ChatID: "c", UpToSeq: 99}).UpToSeq)
		require.Equal(t, uint64(3), a.deliver(t, "bob", "phone", proto.DeliveredReq{ChatID: "c", UpToSeq: 3, MessageID: m1.ID}).UpToSeq, "the furthest of several counts")
		require.Equal(t, uint64(3), b.deliver(t, "bob", "phone", proto.DeliveredReq{ChatID: "c", MessageID: m1.ID}).UpToSeq, "late: never back")
		require.Empty(t, ann.all(a, b))
		require.Empty(t, bob.all(a, b), "a delivery is nothing to the user's other sockets")

		// Read: to the author, and to the reader's other sockets.
		future := proto.At(time.Now().Add(time.Hour))
		res := a.reads(t, "bob", "phone", proto.ReadReq{ChatID: "c", MessageIDs: []string{m2.ID, m1.ID}, ReadAt: &future})
		require.Equal(t, proto.ReadRes{ChatID: "c", UpToSeq: 2, ReadAt: res.ReadAt, UnreadCount: 1}, res)
		require.WithinDuration(t, time.Now(), res.ReadAt.Time, time.Minute, "a clock that is ahead is now")
		ann.one(a, b).is(t, "message:read", "bob", m2, m1.ID, m2.ID)
		own := bob.one(a, b)
		require.Equal(t, "s-bob", own.socket, "the socket that said so knows")
		require.Equal(t, uint64(1), *own.UnreadCount)
		own.UnreadCount = nil
		own.is(t, "message:read", "bob", m2)
		past := proto.At(m1.CreatedAt.Add(-time.Hour))
		res = b.reads(t, "bob", "tablet", proto.ReadReq{ChatID: "c", MessageID: m1.ID, ReadAt: &past})
		require.Equal(t, proto.ReadRes{ChatID: "c", UpToSeq: 2, ReadAt: m1.CreatedAt, UnreadCount: 1}, res, "never back, never before the message")
		require.Empty(t, append(ann.all(a, b), bob.all(a, b)...))
		res = b.reads(t, "bob", "phone", proto.ReadReq{ChatID: "c", UpToSeq: 99})
		require.Equal(t, proto.ReadRes{ChatID: "c", UpToSeq: 3, ReadAt: res.ReadAt}, res)
		ann.one(a, b).is(t, "message:read", "bob", m3)
		require.Zero(t, *bob.one(a, b).UnreadCount)

		// Reading implies delivered, for that device too.
		a.reads(t, "cat", "phone", proto.ReadReq{ChatID: "c", UpToSeq: 3})
		both := ann.all(a, b)
		require.Len(t, both, 2)
		both[0].is(t, "message:delivered", "cat", m3, m1.ID, m2.ID, m3.ID)
		both[1].is(t, "message:read", "cat", m3, m1.ID, m2.ID, m3.ID)
		require.Empty(t, a.drain(t, "cat", "phone", 10))
		require.Len(t, cat.all(a, b), 1)

		// What one says oneself tells nobody, and does not count as unread.
		a.deliver(t, "ann", "phone", proto.DeliveredReq{ChatID: "c", UpToSeq: 3})
		a.reads(t, "ann", "phone", proto.ReadReq{ChatID: "c", UpToSeq: 3})
		require.Equal(t, "message:read", ann.one(a, b).event, "her own other sockets")
		require.Empty(t, append(bob.all(a, b), cat.all(a, b)...))
	})
}

func TestSeveralAuthors(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	a := w.instance()
	a.chat(t, "c", "ann", "bob", "cat", "dan", "fay")
	m1 := a.say(t, "ann", "c", "1")
	a.say(t, "bob", "c", "2")
	m3 := a.say(t, "cat", "c", "3")
	m4 := a.say(t, "ann", "c", "4")
	a.say(t, "dan", "c", "5")
	_, err := a.removeMember(backend(t), proto.RemoveMemberReq{ChatID: "c", UserID: "dan"})
	require.NoError(t, err)
	ann, cat, dan := w.ear("ann"), w.ear("cat"), w.ear("dan")
	a.deliver(t, "fay", "phone", proto.DeliveredReq{ChatID: "c", UpToSeq: 5})
	one := func(all []heard) heard {
		require.Len(t, all, 1)
		return all[0]
	}
	one(ann.by("fay", a)).is(t, "message:delivered", "fay", m4, m1.ID, m4.ID)
	one(cat.by("fay", a)).is(t, "message:delivered", "fay", m3)
	require.Empty(t, dan.by("fay", a), "who has left hears nothing more")

	// Nor does one who came later concern those who spoke before.
	_, err = a.addMembers(backend(t), proto.AddMembersReq{ChatID: "c", UserID: "eve"})
	require.NoError(t, err)
	m6 := a.say(t, "ann", "c", "6")
	a.reads(t, "eve", "phone", proto.ReadReq{ChatID: "c", UpToSeq: 6})
	all := ann.by("eve", a)
	require.Len(t, all, 2)
	all[0].is(t, "message:delivered", "eve", m6)
	all[1].is(t, "message:read", "eve", m6)
	require.Empty(t, cat.by("eve", a))
}

func TestReceiptsOfStrangers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	a := w.instance()
	a.chat(t, "c", "ann", "bob")
	a.chat(t, "d", "ann")
	m, foreign := a.say(t, "ann", "c", "1"), a.say(t, "ann", "d", "1")
	_, err := a.removeMember(backend(t), proto.RemoveMemberReq{ChatID: "c", UserID: "bob"})
	require.NoError(t, err)
	ann := w.ear("ann")
	for _, user := range []string{"bob", "eve"} {
		_, err = a.read(as(t, user), proto.ReadReq{ChatID: "c", MessageID: m.ID})
		requireCode(t, proto.ChatNotFound, err)
		_, err = a.delivered(as(t, user), proto.DeliveredReq{ChatID: "c", MessageID: m.ID})
		requireCode(t, proto.ChatNotFound, err)
		_, err = a.read(as(t, user), proto.ReadReq{ChatID: "none", MessageID: m.ID})
		requireCode(t, proto.ChatNotFound, err)
	}
	for range 2 { // from the log, and from memory
		for _, ids := range [][]string{{foreign.ID}, {m.ID, foreign.ID}, {messageID(m.CreatedAt.Time, 1, [5]byte{1})}, {messageID(m.CreatedAt.Time, 9, [5]byte{1})}, {"msg_x"}} {
			_, err = a.read(as(t, "ann"), proto.ReadReq{ChatID: "c", MessageIDs: ids})
			requireCode(t, proto.MessageNotFound, err)
			_, err = a.delivered(as(t, "ann"), proto.DeliveredReq{ChatID: "c", MessageIDs: ids})
			requireCode(t, proto.MessageNotFound, err)
		}
		a.deliver(t, "ann", "phone", proto.DeliveredReq{ChatID: "c", MessageID: m.ID})
	}
	require.Empty(t, ann.all(a))
	require.Zero(t, a.reads(t, "ann", "x", proto.ReadReq{ChatID: "c", UpToSeq: 1}).UnreadCount)
	a.chat(t, "empty", "ann")
	res := a.reads(t, "ann", "x", proto.ReadReq{ChatID: "empty", UpToSeq: 1})
	require.Equal(t, proto.ReadRes{ChatID: "empty", ReadAt: res.ReadAt}, res, "nothing is there to be read")
}

// TestReceiptsRace: two instances move the cursors of one user's devices at
// once. Each message is told of once, whoever was first.
func TestReceiptsRace(t *testing.T) {
	t.Parallel()
	const messages, devices = 40, 4
	w := newWorld(t, servicestest.RunRedis(t))
	instances := []*instance{w.instance(), w.instance()}
	instances[0].chat(t, "c", "ann", "bob")
	var ids []string
	for n := range messages {
		ids = append(ids, instances[n%2].say(t, "ann", "c", fmt.Sprint(n)).ID)
	}
	ann := w.ear("ann")
	var wg sync.WaitGroup
	for d := range devices {
		wg.Go(func() {
			for n, id := range ids {
				i := instances[(n+d)%2]
				if _, err := i.delivered(as(t, "bob", fmt.Sprint(d)), proto.DeliveredReq{ChatID: "c", MessageID: id}); err != nil {
					t.Errorf("delivered: %v", err)
				}
				if _, err := i.read(as(t, "bob", fmt.Sprint(d)), proto.ReadReq{ChatID: "c", MessageID: id}); err != nil {
					t.Errorf("read: %v", err)
				}
			}
		})
	}
	wg.Wait()
	told := map[string][]string{}
	for _, h := range ann.all(instances...) {
		if h.MessageIDs == nil {
			h.MessageIDs = []string{h.MessageID}
		}
		told[h.event] = append(told[h.event], h.MessageIDs...)
	}
	require.ElementsMatch(t, ids, told["message:delivered"])
	require.ElementsMatch(t, ids, told["message:read"])
	for _, i := range instances {
		require.Equal(t, []proto.MemberReceipt{{UserID: "bob", DeliveredSeq: messages, ReadSeq: messages}}, i.joined(t, "ann", "c").Receipts)
	}
}

// TestCrashBeforeTheNotice: the cursor is stored and nobody is told. The repeat
// is acked and tells nobody either; who opens the chat sees it.
func TestCrashBeforeTheNotice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	a, b := w.instance(), w.instance()
	a.chat(t, "c", "ann", "bob")
	m := a.say(t, "ann", "c", "1")
	ann := w.ear("ann")
	who, err := callerOf(as(t, "bob", "phone"))
	require.NoError(t, err)
	c, err := a.chatOf("c")
	require.NoError(t, err)
	require.NoError(t, a.advance(as(t, "bob"), &received{caller: who, chat: c, up: said{seq: 1}}, verbRead))
	require.NoError(t, a.stop())
	require.Equal(t, uint64(1), b.reads(t, "bob", "phone", proto.ReadReq{ChatID: "c", MessageID: m.ID}).UpToSeq)
	require.Empty(t, ann.all(b))
	require.Equal(t, []proto.MemberReceipt{{UserID: "bob", DeliveredSeq: 1, ReadSeq: 1}}, b.joined(t, "ann", "c").Receipts)
}

// TestReceiptsOutliveRedis: every cursor comes back from RECEIPTS, and what
// was said oneself counts as read again.
func TestReceiptsOutliveRedis(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		w := newWorld(t, redis)
		a, b := w.instance(), w.instance()
		a.chat(t, "c", "ann", "bob", "cat", "dan")
		a.opened(t, "bob", "tablet")
		for n := range 6 {
			a.say(t, []string{"ann", "cat"}[n%2], "c", fmt.Sprint(n))
		}
		a.reads(t, "bob", "phone", proto.ReadReq{ChatID: "c", UpToSeq: 2})
		b.deliver(t, "bob", "tablet", proto.DeliveredReq{ChatID: "c", UpToSeq: 4})
		b.reads(t, "ann", "phone", proto.ReadReq{ChatID: "c", UpToSeq: 4})
		want := map[string]proto.JoinChatRes{}
		for _, user := range []string{"ann", "bob", "cat", "dan"} {
			want[user] = b.joined(t, user, "c")
		}
		require.Equal(t, proto.JoinChatRes{
			ChatID: "c", LastSeq: 6, ReadSeq: 2, UnreadCount: 4, Role: proto.RoleMember, Version: 1, Receipts: []proto.MemberReceipt{
				{UserID: "ann", DeliveredSeq: 5, ReadSeq: 5}, {UserID: "cat", DeliveredSeq: 6, ReadSeq: 6}, {UserID: "dan"},
			},
		}, want["bob"])
		require.Equal(t, uint64(1), want["ann"].UnreadCount, "what she said after what she read is read")
		require.Contains(t, want["ann"].Receipts, proto.MemberReceipt{UserID: "bob", DeliveredSeq: 4, ReadSeq: 2})

		flush(t, redis)
		for user, res := range want {
			require.Equal(t, res, a.joined(t, user, "c"), user)
		}
		require.Len(t, b.drain(t, "bob", "tablet", 10), 2)
		ann := w.ear("ann")
		require.Equal(t, uint64(2), a.reads(t, "bob", "phone", proto.ReadReq{ChatID: "c", UpToSeq: 1}).UpToSeq)
		require.Empty(t, ann.all(a, b), "nothing is told again")
	})
}

func TestUnreadOfSomeChats(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	a := w.instance()
	var asks []standingOf
	for _, chat := range []string{"c", "d", "e"} {
		a.chat(t, chat, "ann", "bob")
		for n := range 3 {
			a.say(t, "ann", chat, fmt.Sprint(n))
		}
		end, err := a.ends(backend(t), []proto.Token{proto.Token(chat)})
		require.NoError(t, err)
		asks = append(asks, standingOf{proto.Token(chat), end[proto.Token(chat)]})
	}
	_, err := a.removeMember(backend(t), proto.RemoveMemberReq{ChatID: "e", UserID: "bob"})
	require.NoError(t, err)
	a.reads(t, "bob", "phone", proto.ReadReq{ChatID: "d", UpToSeq: 2})
	who, err := callerOf(as(t, "bob"))
	require.NoError(t, err)
	got, err := a.standings(as(t, "bob"), who, asks)
	require.NoError(t, err)
	others := []proto.MemberReceipt{{UserID: "ann", DeliveredSeq: 3, ReadSeq: 3}}
	require.Equal(t, []standing{{true, 1, 0, 3, others}, {true, 1, 2, 1, others}, {}}, got)
}
