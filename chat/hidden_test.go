package chat

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"supmesh.dev/chat/revisions"
	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

func seqs(all []proto.Message) []uint64 {
	out := []uint64{}
	for _, m := range all {
		out = append(out, m.Seq)
	}
	return out
}

func TestDeleteForMe(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		w := newWorld(t, redis)
		a, b := w.instance(), w.instance()
		a.chat(t, "c", "ann", "bob")
		a.chat(t, "d", "ann", "bob")
		var all []proto.Message
		for n := range 30 {
			all = append(all, a.say(t, "ann", "c", fmt.Sprint(n)))
		}
		other := a.say(t, "ann", "d", "elsewhere")
		live, err := w.nats.Connect().SubscribeSync(proto.UserLive("bob"))
		require.NoError(t, err)

		// More than a page in a row, the newest and the oldest.
		want := []uint64{}
		for n, m := range all {
			if n < 2 || n > 8 && n < 28 || n == 29 {
				res := []*instance{a, b}[n%2].erase(t, "bob", m, false)
				require.Equal(t, proto.DeleteRes{ChatID: "c", MessageID: m.ID, Seq: m.Seq, DeletedAt: res.DeletedAt}, res)
			} else {
				want = append(want, m.Seq)
			}
		}
		event := servicestest.Next(t, live)
		require.Equal(t, proto.MessageDeletedEvent.Name, event.Header.Get(proto.HeaderEvent))
		require.Contains(t, string(event.Data), `"deletedBy":"bob","reason":"deleted","forEveryone":false`)
		entries := func() int {
			page, _, err := a.log.Range(backend(t), proto.Events.Name, proto.UserLog("bob"), 1, 1000, 1<<20)
			require.NoError(t, err)
			return len(page)
		}
		before := entries()
		first, again := a.erase(t, "bob", all[0], false), b.erase(t, "bob", all[0], false)
		require.Equal(t, first, again)
		require.Equal(t, before, entries(), "again is no event")

		check := func(why string) {
			t.Helper()
			for _, i := range []*instance{a, b} {
				require.Equal(t, want, seqs(i.seen(t, "bob", "c")), why)
				require.Len(t, i.seen(t, "ann", "c"), 30, "it is bob's alone")
				require.Equal(t, []uint64{other.Seq}, seqs(i.seen(t, "bob", "d")))
			}
		}
		check("as it is")
		flush(t, redis)
		check("after FLUSHALL")
		flush(t, redis)
		a.erase(t, "bob", all[5], false)
		want = append(want[:3:3], want[4:]...)
		check("hidden while the rest was lost")
		// What everybody loses may be hidden too.
		a.erase(t, "ann", all[28], true)
		b.erase(t, "bob", all[28], false)
		want = want[:len(want)-1]
		check("a tombstone")
	})
}

// A reading of a user's log that is cut short goes on where it was; one that
// Redis was lost under begins anew.
func TestHiddenIsReadInPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	a := w.instance()
	a.chat(t, "c", "ann")
	nc := w.nats.Connect()
	const n = 2*healPage + 50
	for seq := range n {
		body := fmt.Sprintf(`{"chatId":"c","messageId":"m","seq":%d,"deletedAt":"2026-01-01T00:00:00.000Z","reason":"deleted","forEveryone":false}`, seq+1)
		event := proto.MessageDeletedEvent.Name
		if seq%10 == 0 {
			event, body = "something:else", "{}"
		}
		_, err := nc.RequestMsg(&nats.Msg{Subject: proto.UserLog("ann"), Header: nats.Header{proto.HeaderEvent: {event}}, Data: []byte(body)}, 5*time.Second)
		require.NoError(t, err)
	}
	ctx := backend(t)
	mark := func() revisions.Mark {
		_, m, err := a.revisions.Hidden(ctx, "ann", nil)
		require.NoError(t, err)
		return m
	}
	require.NoError(t, a.readHidden(ctx, "ann"))
	first := mark()
	require.False(t, first.Whole())
	require.NotZero(t, first.Position)
	require.NoError(t, a.readHidden(ctx, "ann"))
	require.Greater(t, mark().Position, first.Position)

	// Redis is lost between the read and the note of what it found.
	stale := mark()
	flush(t, w.redis)
	require.NoError(t, a.revisions.Found(ctx, "ann", nil, stale, stale.Moved(1<<40, true)))
	require.Zero(t, mark().Position, "nobody believes it")
	require.NoError(t, a.readHidden(ctx, "ann"))
	other, err := a.revisions.Begin(ctx, "ann", "another")
	require.NoError(t, err)
	require.Equal(t, mark(), other, "it is one reading, whoever goes on with it")

	asks := []revisions.Ask{{Chat: "c"}}
	for seq := range uint64(n) {
		asks[0].Seqs = append(asks[0].Seqs, seq+1)
	}
	when, err := a.hidden(ctx, "ann", asks)
	require.NoError(t, err)
	for i, ms := range when[0] {
		require.Equal(t, i%10 != 0, ms != 0, i)
	}
	require.True(t, mark().Whole())

	ended, cancel := context.WithCancel(ctx)
	cancel()
	flush(t, w.redis)
	_, err = a.hidden(ended, "ann", asks)
	require.Error(t, err, "never less than is hidden")
}
