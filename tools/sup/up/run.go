package up

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"supmesh.dev/chat"
	"supmesh.dev/gateway"
	"supmesh.dev/notify"
	"supmesh.dev/presence"
	"supmesh.dev/reactions"
	"supmesh.dev/services"
	"supmesh.dev/signaling"
	"supmesh.dev/tools/console"
	"supmesh.dev/tools/sup/datadir"
	"supmesh.dev/tools/sup/embedded"
)

// consoleTTL is how long a token of the console is valid; it asks for a new one
// before the old one ends.
const consoleTTL = time.Hour

// Run is the whole mesh until ctx ends. ready is called once everything answers.
func Run(ctx context.Context, cfg Config, ready func(Mesh)) error {
	dir, err := datadir.Open(cfg.DataDir)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }() // the process ends, and the lock with it

	ground, err := stand(ctx, cfg, dir)
	if err != nil {
		return err
	}
	defer ground.stop()

	var page net.Listener
	consolePort := 0
	if cfg.ConsolePort >= 0 {
		if page, err = listen(ctx, "CONSOLE_PORT", "127.0.0.1", cfg.ConsolePort); err != nil {
			return err
		}
		defer func() { _ = page.Close() }() // closed already where it was served
		consolePort = port(page)
	}
	set, err := load(cfg, dir, ground, consolePort)
	if err != nil {
		return err
	}
	metrics, err := listen(ctx, "METRICS_PORT", set.gateway.MetricsHost, set.gateway.MetricsPort)
	if err != nil {
		return err
	}
	defer func() { _ = metrics.Close() }()

	m := &mounts{}
	defer func() { m.close() }()
	add(ctx, m, ground, "chat", set.chat.Config, func(h *services.Host) (*chat.Service, error) { return chat.New(set.chat, h) })
	add(ctx, m, ground, "presence", set.presence.Config, func(h *services.Host) (*presence.Service, error) { return presence.New(set.presence, h) })
	add(ctx, m, ground, "signaling", set.signaling.Config, func(h *services.Host) (*signaling.Service, error) { return signaling.New(set.signaling, h) })
	add(ctx, m, ground, "reactions", set.reactions.Config, func(h *services.Host) (*reactions.Service, error) { return reactions.New(set.reactions, h) })
	add(ctx, m, ground, "notify", set.notify.Config, func(h *services.Host) (*notify.Service, error) { return notify.New(set.notify, h) })
	edge := add(ctx, m, ground, "gateway", set.gateway.Config, func(h *services.Host) (*gateway.Service, error) { return gateway.New(set.gateway, h) })
	if m.err != nil {
		return m.err
	}

	health := &http.Server{Handler: services.Handler(m.hosts()...), ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10}
	layers := append([]layer{{"health listener", serve(health, metrics)}}, m.layers()...)
	if ground.redis != nil {
		layers = append([]layer{{"redis", ground.redis.Run}}, layers...)
	}
	if ground.turn != nil {
		layers = append([]layer{{"turn", func(ctx context.Context) error { return ground.turn.Run(ctx, set.signaling.TURNSecret.Reveal()) }}}, layers...)
	}
	layers = append(layers, layer{"console", func(ctx context.Context) error {
		mesh := describe(dir, ground, set, port(metrics))
		if err := mesh.await(ctx, edge, m.hosts()...); err != nil {
			return err
		}
		if page == nil {
			ready(mesh)
			<-ctx.Done()
			return nil
		}
		mesh.ConsoleURL = address("", consolePort)
		ready(mesh)
		return serve(console.Server(console.Options{GatewayPort: mesh.gatewayPort, Mint: func(user, device, name string) (string, error) {
			return mesh.Token(user, device, name, consoleTTL)
		}}), page)(ctx)
	}})
	return runLayers(ctx, layers...)
}

// ground is what the services stand on, and what of it is ours to stop.
type ground struct {
	nats  *embedded.NATS  // nil: NATS_URL names a real one
	redis *embedded.Redis // nil: REDIS_URL names a real one
	turn  *embedded.TURN  // nil: ICE_URLS names real ones, or there is to be none
}

// stand starts NATS and Redis in this process and takes a port for TURN, where
// the environment names none.
func stand(ctx context.Context, cfg Config, dir *datadir.Dir) (*ground, error) {
	g := &ground{}
	var err error
	if !given("NATS_URL") {
		if g.nats, err = embedded.StartNATS(dir.LogStore(), cfg.NATSPort, logger(cfg.LogLevel)); err != nil {
			return nil, err
		}
		if err = dir.Write(datadir.NATSURL, g.nats.URL()); err != nil { // where tools look for it
			g.stop()
			return nil, err
		}
	}
	if !given("REDIS_URL") {
		if g.redis, err = embedded.StartRedis(); err != nil {
			g.stop()
			return nil, err
		}
	}
	if !given("ICE_URLS") && cfg.TURNPort >= 0 {
		if g.turn, err = embedded.ListenTURN(ctx, cfg.TURNPort, logger(cfg.LogLevel)); err != nil {
			g.stop()
			return nil, err
		}
	}
	return g, nil
}

func (g *ground) stop() {
	if g.turn != nil {
		g.turn.Stop()
	}
	if g.redis != nil {
		g.redis.Stop()
	}
	if g.nats != nil {
		g.nats.Stop()
	}
}

func (g *ground) hostOptions() []services.Option {
	opts := []services.Option{services.WithoutListener()}
	if g.nats != nil {
		opts = append(opts, services.WithInProcessNATS(g.nats.Server()))
	}
	return opts
}

// logger is for what has no host: the embedded server.
func logger(level string) *slog.Logger {
	var l slog.Level
	if l.UnmarshalText([]byte(level)) != nil {
		l = slog.LevelWarn
	}
	return services.NewLogger(os.Stderr, l, os.Getenv("LOG_FORMAT"))
}
