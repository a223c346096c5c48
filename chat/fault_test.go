package chat

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

func flush(t testing.TB, r *servicestest.Redis) {
	t.Helper()
	ctx := context.Background()
	if c, ok := r.Client().(*redis.ClusterClient); ok {
		require.NoError(t, c.ForEachMaster(ctx, func(ctx context.Context, n *redis.Client) error { return n.FlushAll(ctx).Err() }))
		return
	}
	require.NoError(t, r.Client().FlushAll(ctx).Err())
}

func shrinkWindow(t testing.TB, n *servicestest.NATS, window time.Duration) {
	t.Helper()
	js, err := jetstream.New(n.Connect())
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	stream, err := js.Stream(ctx, proto.Events.Name)
	require.NoError(t, err)
	cfg := stream.CachedInfo().Config
	cfg.Duplicates = window
	_, err = js.UpdateStream(ctx, cfg)
	require.NoError(t, err)
}

// windowPassed says whether the stream no longer knows a key: it would take an
// entry under it. The entry goes to a user's subject, which no chat reads.
func windowPassed(t testing.TB, n *servicestest.NATS, key string) bool {
	t.Helper()
	m, err := n.Connect().RequestMsg(&nats.Msg{Subject: proto.UserLog("probe"), Header: nats.Header{nats.MsgIdHdr: {key}}}, time.Second)
	require.NoError(t, err)
	return !containsDuplicate(m.Data)
}

func containsDuplicate(data []byte) bool {
	var ack jetstream.PubAck
	return jsonInto(data, &ack) == nil && ack.Duplicate
}

func TestRedisDies(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		w := newWorld(t, redis)
		a := w.instance()
		a.chat(t, "c", "ann", "bob")
		a.say(t, "ann", "c", "one")

		redis.Stop()
		// Messages flow for whom memory knows; others hear that it will pass.
		servicestest.Eventually(t, 5*time.Second, "a send without Redis", func() bool {
			_, err := a.send(as(t, "ann"), proto.SendMessageReq{ChatID: "c", EncryptedContent: "two", TempID: "t2"})
			return err == nil
		})
		res, err := a.send(as(t, "ann"), proto.SendMessageReq{ChatID: "c", EncryptedContent: "two", TempID: "t2"})
		require.NoError(t, err)
		require.True(t, res.Duplicate, "the log's window recognises it")
		_, err = a.send(as(t, "bob"), proto.SendMessageReq{ChatID: "c", EncryptedContent: "x"})
		requireCode(t, proto.ServiceUnavailable, err)

		redis.Start() // empty
		servicestest.Eventually(t, 15*time.Second, "the state is rebuilt", func() bool {
			ctx, cancel := context.WithTimeout(as(t, "bob"), 10*time.Second)
			defer cancel()
			_, err := a.send(ctx, proto.SendMessageReq{ChatID: "c", EncryptedContent: "three", TempID: "t3"})
			return err == nil
		})
		require.Equal(t, []string{"one", "two", "three"}, a.texts(t, "bob", "c"))
		res, err = a.send(as(t, "ann"), proto.SendMessageReq{ChatID: "c", EncryptedContent: "two", TempID: "t2"})
		require.NoError(t, err)
		require.True(t, res.Duplicate)
	})
}

func TestNATSRestarts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	a := w.instance()
	a.chat(t, "c", "ann")
	a.say(t, "ann", "c", "one")
	w.nats.Stop()
	ctx, cancel := context.WithTimeout(as(t, "ann"), 500*time.Millisecond)
	defer cancel()
	_, err := a.send(ctx, proto.SendMessageReq{ChatID: "c", EncryptedContent: "lost", TempID: "lost"})
	require.True(t, proto.AsError(err).Code.Row().Retryable, "%v", err)

	done := make(chan error, 1)
	go func() {
		_, err := a.send(as(t, "ann"), proto.SendMessageReq{ChatID: "c", EncryptedContent: "two", TempID: "t"})
		done <- err
	}()
	w.nats.Start()
	require.NoError(t, <-done, "a send outlives a restart inside its deadline")
	res, err := a.send(as(t, "ann"), proto.SendMessageReq{ChatID: "c", EncryptedContent: "two", TempID: "t"})
	require.NoError(t, err)
	require.True(t, res.Duplicate)
	texts := a.texts(t, "ann", "c")
	require.Equal(t, []string{"one", "two"}, texts)
}

func jsonInto(data []byte, v any) error { return json.Unmarshal(data, v) }
