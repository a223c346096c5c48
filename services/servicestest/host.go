package servicestest

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
)

// Config is a host's configuration on n and r; r may be nil for no Redis.
func Config(n *NATS, r *Redis) services.Config {
	cfg := services.Config{
		NATSURL: n.URL, Replicas: 1, StreamMaxBytes: 256 << 20, Provision: true,
		MetricsHost: "127.0.0.1", LogLevel: "error", DrainTimeout: 10 * time.Second,
	}
	if r != nil {
		cfg.RedisURL, cfg.RedisCluster = services.Secret(r.URL), r.Cluster
	}
	return cfg
}

// NewHost makes a host on n and r (nil: no Redis), without a listener; its log
// goes to the test. It is released with the test if it was never run.
func NewHost(t testing.TB, name string, n *NATS, r *Redis, opts ...services.Option) *services.Host {
	t.Helper()
	return NewHostWith(t, name, Config(n, r), opts...)
}

// NewHostWith is NewHost with a configuration of the test's own.
func NewHostWith(t testing.TB, name string, cfg services.Config, opts ...services.Option) *services.Host {
	t.Helper()
	opts = append([]services.Option{services.WithoutListener(), services.WithLogger(Log(t))}, opts...)
	h, err := services.NewHost(context.Background(), name, "0.0.0", cfg, opts...)
	require.NoError(t, err)
	t.Cleanup(h.Close)
	return h
}

// Service is a service that does nothing but serve its routes.
type Service struct{}

// Run waits for the end.
func (Service) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// Run runs a host with a service until the test ends or stop is called; stop
// waits and gives Run's error. It returns when the host is ready for requests and
// has found the streams.
func Run(t testing.TB, h *services.Host, s services.Service, streams ...proto.Stream) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	var err error
	go func() { defer close(done); err = h.Run(ctx, s) }()
	stop = func() error { cancel(); <-done; return err }
	t.Cleanup(func() { _ = stop() })
	Eventually(t, 10*time.Second, h.Name()+" runs", func() bool {
		select {
		case <-done:
			return true
		default:
			return h.Ready(ctx).Parts["host"].State == services.OK && h.Flush() == nil && haveAll(ctx, h, streams)
		}
	})
	return stop
}

func haveAll(ctx context.Context, h *services.Host, streams []proto.Stream) bool {
	return !slices.ContainsFunc(streams, func(row proto.Stream) bool {
		_, err := h.Epoch(ctx, row)
		return err != nil
	})
}

// Log is a logger that writes to the test.
func Log(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}
