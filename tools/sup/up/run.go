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
	"supmesh.dev/presence"
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

	// The layers below end the hosts one after the other, not ctx all at once.
	unending := context.WithoutCancel(ctx)
	chatHost, err := services.NewHost(unending, "chat", services.Version, set.chat.Config, ground.hostOptions()...)
	if err != nil {
		return err
	}
	defer chatHost.Close()
	chatService, err := chat.New(set.chat, chatHost)
	if err != nil {
		return err
	}
	presenceHost, err := services.NewHost(unending, "presence", services.Version, set.presence.Config, ground.hostOptions()...)
	if err != nil {
		return err
	}
	defer presenceHost.Close()
	presenceService, err := presence.New(set.presence, presenceHost)
	if err != nil {
		return err
	}
	signalingHost, err := services.NewHost(unending, "signaling", services.Version, set.signaling.Config, ground.hostOptions()...)
	if err != nil {
		return err
	}
	defer signalingHost.Close()
	signalingService, err := signaling.New(set.signaling, signalingHost)
	if err != nil {
		return err
	}
	gatewayHost, err := services.NewHost(unending, "gateway", services.Version, set.gateway.Config, ground.hostOptions()...)
	if err != nil {
		return err
	}
	defer gatewayHost.Close()
	gatewayService, err := gateway.New(set.gateway, gatewayHost)
	if err != nil {
		return err
	}

	health := &http.Server{Handler: services.Handler(chatHost, presenceHost, signalingHost, gatewayHost), ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10}
	layers := []layer{
		{"health listener", serve(health, metrics)},
		{"chat", func(ctx context.Context) error { return chatHost.Run(ctx, chatService) }},
		{"presence", func(ctx context.Context) error { return presenceHost.Run(ctx, presenceService) }},
		{"signaling", func(ctx context.Context) error { return signalingHost.Run(ctx, signalingService) }},
		{"gateway", func(ctx context.Context) error { return gatewayHost.Run(ctx, gatewayService) }},
	}
	if ground.redis != nil {
		layers = append([]layer{{"redis", ground.redis.Run}}, layers...)
	}
	if ground.turn != nil {
		layers = append([]layer{{"turn", func(ctx context.Context) error { return ground.turn.Run(ctx, set.signaling.TURNSecret.Reveal()) }}}, layers...)
	}
	layers = append(layers, layer{"console", func(ctx context.Context) error {
		mesh := describe(dir, ground, set, port(metrics))
		if err := mesh.await(ctx, gatewayService, chatHost, presenceHost, signalingHost, gatewayHost); err != nil {
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
