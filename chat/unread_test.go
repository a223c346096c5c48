package chat

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
)

// ahead is an instance whose clock is ahead by what the counter says.
func (w *world) ahead(by *atomic.Int64) *instance {
	w.t.Helper()
	cfg := w.cfg
	cfg.Config = servicestest.Config(w.nats, w.redis)
	host := servicestest.NewHostWith(w.t, "chat", cfg.Config, services.WithNow(func() time.Time { return time.Now().Add(time.Duration(by.Load())) }))
	s, err := New(cfg, host)
	require.NoError(w.t, err)
	i := &instance{Service: s, stop: servicestest.Run(w.t, host, s, proto.Streams...)}
	require.NoError(w.t, i.gate.wait(backend(w.t)))
	return i
}

// unreadEverywhere is the count that every way of asking gives.
func (i *instance) unreadEverywhere(t testing.TB, user, chatID string, last uint64) uint64 {
	t.Helper()
	n := i.joined(t, user, chatID).UnreadCount
	res, err := i.sync(as(t, user), proto.SyncReq{Chats: []proto.SyncFrom{{ChatID: chatID}}})
	require.NoError(t, err)
	require.Equal(t, n, res.Chats[0].UnreadCount, "sync:pull")
	badges, err := i.unreached(by(t, proto.Actor{}), proto.UnreachedReq{ChatID: chatID, Seq: last, Limit: 100})
	require.NoError(t, err)
	for k, id := range badges.UserIDs {
		if id == user {
			require.Equal(t, n, badges.Unread[k], "a push's badge")
		}
	}
	return n
}

// TestUnreadIsWhatHistoryShows: of three unread messages, those that are deleted for
// everyone, expired or hidden do not count, in any answer, also from an empty Redis.
func TestUnreadIsWhatHistoryShows(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		t.Parallel()
		w := newWorld(t, redis)
		var clock atomic.Int64
		a := w.ahead(&clock)
		for what, end := range map[string]func(m proto.Message){
			"deleted":            func(m proto.Message) { a.erase(t, "ann", m, true) },
			"hidden":             func(m proto.Message) { a.erase(t, "bob", m, false) },
			"hidden and deleted": func(m proto.Message) { a.erase(t, "bob", m, false); a.erase(t, "ann", m, true) },
			"edited and deleted": func(m proto.Message) { a.change(t, "ann", m, "y"); a.erase(t, "ann", m, true) },
		} {
			a.chat(t, what, "ann", "bob", "cat")
			a.say(t, "ann", what, "read by bob")
			a.reads(t, "bob", "phone", proto.ReadReq{ChatID: what, UpToSeq: 1})
			var all []proto.Message
			for n := range 3 {
				all = append(all, a.say(t, "ann", what, fmt.Sprint(n)))
			}
			require.Equal(t, uint64(3), a.unreadEverywhere(t, "bob", what, 4), what)
			end(all[1])
			require.Equal(t, uint64(2), a.unreadEverywhere(t, "bob", what, 4), what)
			end(all[0])
			end(all[2])
			require.Zero(t, a.unreadEverywhere(t, "bob", what, 4), what)
			require.Zero(t, a.reads(t, "bob", "phone", proto.ReadReq{ChatID: what, UpToSeq: 2}).UnreadCount, what)
			if what == "hidden" {
				require.Equal(t, uint64(4), a.unreadEverywhere(t, "cat", what, 4), "what bob hides others have")
			}
		}
		a.chat(t, "expired", "ann", "bob")
		for range 3 {
			_, err := a.send(as(t, "ann"), proto.SendMessageReq{ChatID: "expired", EncryptedContent: "x", TTLSec: new(3600)})
			require.NoError(t, err)
		}
		kept := a.say(t, "ann", "expired", "kept")
		require.Equal(t, uint64(4), a.unreadEverywhere(t, "bob", "expired", 4))
		clock.Store(int64(time.Hour))
		require.Equal(t, uint64(1), a.unreadEverywhere(t, "bob", "expired", 4), "whatever their timers do")
		a.erase(t, "ann", kept, true)
		flush(t, redis)
		for _, chat := range []string{"deleted", "hidden", "hidden and deleted", "edited and deleted", "expired"} {
			require.Zero(t, a.unreadEverywhere(t, "bob", chat, 4), "%s, read again from the log", chat)
		}
		require.Empty(t, a.editLog(t, "expired")[1:], "no timer has come")
	})
}

// TestUnreadIsExactBeyondAPage: many deletions among many more messages.
func TestUnreadIsExactBeyondAPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	a := w.instance()
	a.chat(t, "c", "ann", "bob")
	const messages, gone = 1200, 700 // more than a page of healing each
	for n := range messages {
		m := a.say(t, "ann", "c", fmt.Sprint(n))
		if n < gone {
			a.erase(t, "ann", m, true)
		}
	}
	require.Equal(t, uint64(messages-gone), a.joined(t, "bob", "c").UnreadCount)
	flush(t, w.redis)
	require.Equal(t, uint64(messages-gone), a.joined(t, "bob", "c").UnreadCount)
}

// TestWhoIsAddedAgain: queue and unread go on where they were, without what was said in
// between; the history is whole. So also after the loss of Redis.
func TestWhoIsAddedAgain(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		t.Parallel()
		w := newWorld(t, redis)
		a, b := w.instance(), w.instance()
		remove := func() {
			t.Helper()
			_, err := a.removeMember(backend(t), proto.RemoveMemberReq{ChatID: "c", UserID: "bob"})
			require.NoError(t, err)
		}
		a.chat(t, "c", "ann")
		a.say(t, "ann", "c", "before bob")
		a.chat(t, "c", "bob")
		a.opened(t, "bob", "phone")
		m2 := a.say(t, "ann", "c", "read")
		a.reads(t, "bob", "phone", proto.ReadReq{ChatID: "c", MessageID: m2.ID})
		m3 := a.say(t, "ann", "c", "owed")
		remove()
		a.say(t, "ann", "c", "in between")
		a.chat(t, "c", "bob")
		m5 := a.say(t, "ann", "c", "back")
		remove()
		a.say(t, "ann", "c", "in between again")
		a.say(t, "ann", "c", "and again")
		a.chat(t, "c", "bob")
		m8 := a.say(t, "ann", "c", "there")

		for range 2 {
			for _, i := range []*instance{a, b} {
				require.Equal(t, uint64(3), i.unreadEverywhere(t, "bob", "c", m8.Seq))
				require.Equal(t, m2.Seq, i.joined(t, "bob", "c").ReadSeq)
				var got []uint64
				for _, it := range i.drain(t, "bob", "phone", 2) {
					got = append(got, it.Seq)
				}
				require.Equal(t, []uint64{m3.Seq, m5.Seq, m8.Seq}, got)
				require.Len(t, i.texts(t, "bob", "c"), 8, "the whole history")
			}
			flush(t, redis)
		}
		between, err := a.unreached(by(t, proto.Actor{}), proto.UnreachedReq{ChatID: "c", Seq: m5.Seq + 1, Limit: 10})
		require.NoError(t, err)
		require.NotContains(t, between.UserIDs, "bob", "nobody lacks what was said without them")

		// Authors hear of what was said to bob alone.
		ann := w.ear("ann")
		a.reads(t, "bob", "phone", proto.ReadReq{ChatID: "c", UpToSeq: m8.Seq})
		for _, h := range ann.by("bob", a) {
			require.Equal(t, []string{m3.ID, m5.ID, m8.ID}, h.MessageIDs, h.event)
		}
		require.Zero(t, a.unreadEverywhere(t, "bob", "c", m8.Seq))
	})
}

// TestManyAbsences: what was owed before the oldest of more than are remembered is not
// owed any more; what lies between the others is.
func TestManyAbsences(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	a := w.instance()
	a.chat(t, "c", "ann", "bob")
	const rounds = 20
	for n := range rounds {
		a.say(t, "ann", "c", fmt.Sprint("owed ", n))
		_, err := a.removeMember(backend(t), proto.RemoveMemberReq{ChatID: "c", UserID: "bob"})
		require.NoError(t, err)
		a.say(t, "ann", "c", fmt.Sprint("in between ", n))
		a.chat(t, "c", "bob")
	}
	require.Equal(t, uint64(16), a.joined(t, "bob", "c").UnreadCount)
	flush(t, w.redis)
	require.Equal(t, uint64(16), a.joined(t, "bob", "c").UnreadCount)
}
