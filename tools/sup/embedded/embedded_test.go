package embedded

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNATSKeepsWhatItStored(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for round := range uint64(3) {
		n, err := StartNATS(dir, 0, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		conn, err := nats.Connect("", nats.InProcessServer(n.Server()))
		require.NoError(t, err)
		js, err := jetstream.New(conn)
		require.NoError(t, err)
		s, err := js.CreateOrUpdateStream(t.Context(), jetstream.StreamConfig{Name: "KEPT", Subjects: []string{"kept"}})
		require.NoError(t, err)
		require.Equal(t, round, s.CachedInfo().State.Msgs)
		_, err = js.Publish(t.Context(), "kept", []byte("x"))
		require.NoError(t, err)
		conn.Close()
		n.Stop()
	}
}

func TestNATSListensForTools(t *testing.T) {
	t.Parallel()
	n, err := StartNATS(t.TempDir(), 0, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer n.Stop()
	conn, err := nats.Connect(n.URL())
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.FlushTimeout(5*time.Second))
	require.EqualValues(t, maxPayload, conn.MaxPayload())
}

func TestRedisExpiresKeys(t *testing.T) {
	t.Parallel()
	r, err := StartRedis()
	require.NoError(t, err)
	defer r.Stop()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()

	opts, err := redis.ParseURL(r.URL())
	require.NoError(t, err)
	client := redis.NewClient(opts)
	defer client.Close()
	require.NoError(t, client.Set(t.Context(), "k", "v", 700*time.Millisecond).Err())
	require.Equal(t, "v", client.Get(t.Context(), "k").Val())
	require.Eventually(t, func() bool { return errors.Is(client.Get(t.Context(), "k").Err(), redis.Nil) }, 30*time.Second, 20*time.Millisecond)
	cancel()
	require.NoError(t, <-ended)
}
