package eventlog

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

func TestMain(m *testing.M) { servicestest.Leak(m) }

func open(t *testing.T) (*Log, *servicestest.NATS, context.Context) {
	t.Helper()
	n := servicestest.RunNATS(t)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	host := servicestest.NewHost(t, "chat", n, nil)
	require.NoError(t, host.EnsureStreams(ctx, true, proto.Streams...))
	l, err := Open(n.Connect(nats.ReconnectBufSize(-1), nats.ReconnectWait(10*time.Millisecond), nats.MaxReconnects(-1)), host.CatchUp())
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
	require.Equal(t, Entry{Subject: "ev.chat.c.msg", Position: 1, Event: "message:new", Seq: 7, Key: "k", Content: "h", Socket: "s", Body: []byte(`{}`)}, e)

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
