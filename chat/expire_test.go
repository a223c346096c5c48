package chat

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
	"supmesh.dev/services/wire"
)

func (i *instance) sayFor(t testing.TB, seconds int, chatID, text string) proto.Message {
	t.Helper()
	res, err := i.send(as(t, "ann"), proto.SendMessageReq{ChatID: chatID, EncryptedContent: text, TTLSec: new(seconds), TempID: text})
	require.NoError(t, err)
	return res.Message
}

func (i *instance) isOver(m proto.Message) func() bool {
	return func() bool { return !i.host.Now().Before(m.ExpiresAt.Time) }
}

// A message goes at its time, for everyone and with an event, although chat and
// NATS were away when the time came.
func TestExpiry(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	a := w.instance()
	a.chat(t, "c", "ann", "bob")
	early, kept, m := a.sayFor(t, 5, "c", "early"), a.say(t, "ann", "c", "kept"), a.sayFor(t, 6, "c", "short")
	long := a.sayFor(t, 3600, "c", "long")
	a.erase(t, "ann", early, true)
	a.change(t, "ann", m, "edited")
	require.Equal(t, []string{"", "kept", "edited", "long"}, a.texts(t, "bob", "c"))

	require.NoError(t, a.stop())
	w.nats.Stop()
	servicestest.Eventually(t, 20*time.Second, "its time is over", a.isOver(m))
	w.nats.Start()
	flush(t, w.redis)
	b := w.instance()
	require.Equal(t, []string{"", "kept", "", "long"}, b.texts(t, "bob", "c"), "no read shows it, whatever the timer does")
	all := b.seen(t, "bob", "c")
	require.Equal(t, m.ExpiresAt, all[2].DeletedAt)
	servicestest.Eventually(t, 20*time.Second, "the event is stored", func() bool { return len(b.editLog(t, "c")) == 3 })
	entries := b.editLog(t, "c")
	require.Contains(t, string(entries[2].Body), `"reason":"expired","forEveryone":true`)
	require.Equal(t, m.Seq, entries[2].Seq)
	require.Equal(t, all, b.seen(t, "bob", "c"), "the same before and after the event")
	require.Equal(t, kept, all[1])
	require.Equal(t, long.ExpiresAt, all[3].ExpiresAt)

	// Nothing is left to do but the long one's timer.
	stream, err := b.host.JetStream().Stream(backend(t), proto.Work.Name)
	require.NoError(t, err)
	servicestest.Eventually(t, 20*time.Second, "the queue is empty", func() bool {
		info, err := stream.Info(backend(t), jetstream.WithSubjectFilter(">"))
		require.NoError(t, err)
		return info.State.Msgs == 1
	})
	require.Len(t, b.editLog(t, "c"), 3, "what was deleted before does not expire again")
}

// A reader's clock decides, not the timer's.
func TestExpiredIsNotShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	w.instance().chat(t, "c", "ann")
	var ahead atomic.Int64
	cfg := w.cfg
	cfg.Config = servicestest.Config(w.nats, w.redis)
	host := servicestest.NewHostWith(t, "chat", cfg.Config, services.WithNow(func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }))
	s, err := New(cfg, host)
	require.NoError(t, err)
	i := &instance{Service: s, stop: servicestest.Run(t, host, s)}
	require.NoError(t, i.gate.wait(backend(t)))
	m := i.sayFor(t, 3600, "c", "x")
	require.Equal(t, []string{"x"}, i.texts(t, "ann", "c"))
	ahead.Store(int64(time.Hour))
	all := i.seen(t, "ann", "c")
	require.Empty(t, all[0].EncryptedContent)
	require.Equal(t, m.ExpiresAt, all[0].DeletedAt)
	require.Empty(t, i.editLog(t, "c"))
	_, err = i.edit(as(t, "ann"), proto.EditReq{ChatID: "c", MessageID: m.ID, EncryptedContent: "y"})
	requireCode(t, proto.MessageNotFound, err)
	_, err = i.send(as(t, "ann"), proto.SendMessageReq{ChatID: "c", EncryptedContent: "r", ReplyToID: m.ID})
	requireField(t, proto.MessageNotFound, "replyToId", err)
	res := i.erase(t, "ann", m, true)
	require.Equal(t, *m.ExpiresAt, res.DeletedAt)
	require.Empty(t, i.editLog(t, "c"))
}

// What a timer finds that is not as it was thought to be.
func TestTimersOfOtherMessages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	a := w.instance()
	a.chat(t, "c", "ann")
	m := a.sayFor(t, 3600, "c", "x")
	now := time.Now()
	job := func(id string, at time.Time) error {
		body, err := wire.Marshal(expiry{ChatID: "c", MessageID: id, ExpiresAt: proto.At(at)})
		require.NoError(t, err)
		return a.expire(backend(t), body)
	}
	var later *services.Later
	require.ErrorAs(t, job(m.ID, now), &later, "the message says when")
	require.InDelta(t, time.Hour, later.After, float64(time.Minute))
	require.NoError(t, job(messageID(now, 1, [5]byte{9}), now), "another message has its place")
	require.ErrorAs(t, job(messageID(now, 2, [5]byte{9}), now), &later, "it may still be stored")
	require.NoError(t, job(messageID(now, 2, [5]byte{9}), now.Add(-2*appendAfterTimer)), "it will not be")
	for _, body := range []string{"", "x", `{"chatId":"c","messageId":"x"}`, `{"chatId":"","messageId":"x"}`} {
		require.ErrorIs(t, a.expire(backend(t), []byte(body)), services.ErrMalformed, body)
	}
	require.Empty(t, a.editLog(t, "c"))
	require.Equal(t, []string{"x"}, a.texts(t, "ann", "c"))
}

// The timer is there before the message: without one nothing is stored.
func TestNoTimerNoMessage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	a := w.instance()
	a.chat(t, "c", "ann")
	require.NoError(t, a.host.JetStream().DeleteStream(backend(t), proto.Work.Name))
	ctx, cancel := context.WithTimeout(as(t, "ann"), time.Second)
	defer cancel()
	_, err := a.send(ctx, proto.SendMessageReq{ChatID: "c", EncryptedContent: "x", TTLSec: new(5)})
	requireCode(t, proto.ServiceUnavailable, err)
	require.Equal(t, uint64(1), a.say(t, "ann", "c", "plain").Seq)
	require.Equal(t, []string{"plain"}, a.texts(t, "ann", "c"))
}
