package eventlog

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

func TestMain(m *testing.M) { servicestest.Leak(m) }

func open(t *testing.T) (*Log, *servicestest.NATS, context.Context) {
	n := servicestest.RunNATS(t)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	host := servicestest.NewHost(t, "chat", n, nil)
	require.NoError(t, host.EnsureStreams(ctx, true, proto.Streams...))
	options := []nats.Option{nats.ReconnectBufSize(-1), nats.ReconnectWait(10 * time.Millisecond), nats.MaxReconnects(-1)}
	l, err := Open(n.Connect(options...), n.Connect(options...))
	require.NoError(t, err)
	t.Cleanup(l.Close)
	return l, n, ctx
}

func TestAppend(t *testing.T) {
	t.Parallel()
	l, n, ctx := open(t)
	a := Append{Subject: "ev.chat.c.msg", Key: "k", Event: "message:new", Socket: "s", Content: "h", Seq: 7, Trace: "tp", Body: []byte(`{}`)}
	first, err := l.Append(ctx, &a)
	require.NoError(t, err)
	require.False(t, first.Duplicate)
	a.After = first.Position
	again, err := l.Append(ctx, &a)
	require.NoError(t, err)
	require.Equal(t, Ack{Position: first.Position, Duplicate: true}, again)
	a.Key, a.After = "k2", 0
	_, err = l.Append(ctx, &a)
	var wrong *WrongLastError
	require.ErrorAs(t, err, &wrong)
	require.Equal(t, first.Position, wrong.Last)

	e, err := l.Last(ctx, proto.Events.Name, "ev.chat.c.msg")
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), e.Time, time.Minute)
	e.Time = time.Time{}
	require.Equal(t, Entry{Subject: "ev.chat.c.msg", Position: 1, Event: "message:new", Seq: 7, Key: "k", Content: "h", Body: []byte(`{}`)}, e)

	_, err = l.Append(ctx, &Append{Subject: "nobody.listens"})
	require.ErrorIs(t, err, ErrUnavailable)
	n.Stop()
	_, err = l.Append(ctx, &a)
	require.Error(t, err)
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	_, err = l.Last(short, proto.Events.Name, "ev.chat.c.msg")
	require.ErrorIs(t, err, ErrUnavailable)
	n.Start()
	servicestest.Eventually(t, 10*time.Second, "appends work again", func() bool {
		a.After = first.Position
		got, err := l.Append(ctx, &a)
		return err == nil && got.Position > first.Position
	})
}

func TestReads(t *testing.T) {
	t.Parallel()
	l, _, ctx := open(t)
	last := map[string]uint64{}
	const chats, each = 3, 10
	for i := range chats * each {
		subject := fmt.Sprintf("ev.chat.c%d.msg", i%chats)
		ack, err := l.Append(ctx, &Append{Subject: subject, After: last[subject], Seq: uint64(i/chats + 1), Body: fmt.Append(nil, i)})
		require.NoError(t, err)
		last[subject] = ack.Position
	}
	page, more, err := l.Range(ctx, proto.Events.Name, "ev.chat.c1.msg", 1, 4, 1<<20)
	require.NoError(t, err)
	require.True(t, more)
	require.Len(t, page, 4)
	page, more, err = l.Range(ctx, proto.Events.Name, "ev.chat.c1.msg", page[3].Position+1, 100, 1<<20)
	require.NoError(t, err)
	require.False(t, more)
	require.Len(t, page, each-4)
	require.Equal(t, uint64(each), page[len(page)-1].Seq)
	page, more, err = l.Range(ctx, proto.Events.Name, "ev.chat.c1.msg", 1000, 100, 1<<20)
	require.NoError(t, err)
	require.False(t, more)
	require.Empty(t, page)

	newest, upTo, err := l.LastOfEach(ctx, []string{"ev.chat.c0.msg", "ev.chat.c2.msg", "ev.chat.none.msg"})
	require.NoError(t, err)
	require.Len(t, newest, 2)
	for _, e := range newest {
		require.Equal(t, last[e.Subject], e.Position)
	}
	require.Equal(t, uint64(chats*each), upTo)
	newest, upTo, err = l.LastOfEach(ctx, []string{"ev.chat.none.msg"})
	require.NoError(t, err)
	require.Empty(t, newest)
	require.Zero(t, upTo)
	none, err := l.Last(ctx, proto.Events.Name, "ev.chat.none.msg")
	require.NoError(t, err)
	require.Zero(t, none.Position)
	entries, err := l.Get(ctx, []uint64{5, 999, 1, 5})
	require.NoError(t, err)
	require.Equal(t, []uint64{5, 0, 1, 5}, []uint64{entries[0].Position, entries[1].Position, entries[2].Position, entries[3].Position})
	epoch, head, err := l.Epoch(ctx)
	require.NoError(t, err)
	require.Len(t, epoch, 32)
	require.Equal(t, uint64(chats*each), head)
}

func TestFollow(t *testing.T) {
	t.Parallel()
	l, n, ctx := open(t)
	f, err := l.Follow(proto.AllChatMeta, 16)
	require.NoError(t, err)
	defer f.Close()
	_, err = l.Append(ctx, &Append{Subject: "ev.chat.c.msg", Body: []byte("no")})
	require.NoError(t, err)
	_, err = l.Append(ctx, &Append{Subject: "ev.chat.c.meta", Event: "chat:updated", Body: []byte("yes")})
	require.NoError(t, err)
	e := f.Entry(<-f.C())
	require.WithinDuration(t, time.Now(), e.Time, time.Minute)
	e.Time = time.Time{}
	require.Equal(t, Entry{Subject: "ev.chat.c.meta", Position: 2, Event: "chat:updated", Body: []byte("yes")}, e)
	require.False(t, f.Interrupted())
	n.Stop()
	n.Start()
	servicestest.Eventually(t, 10*time.Second, "the reconnect shows", f.Interrupted)
	require.False(t, f.Interrupted(), "once")
}
