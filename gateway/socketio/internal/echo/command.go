package echo

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

// Command runs a server until it is interrupted. Its defaults are what the published Socket.IO test suite expects: port 3000,
// a ping every 300 ms with 200 ms for the pong, and the namespaces "/" and "/custom". It prints its errors itself.
func Command(args []string) error {
	var cfg Config
	cfg.SocketIO.Namespaces = []string{"/", "/custom"}
	flags := flag.NewFlagSet("echoserver", flag.ContinueOnError)
	flags.StringVar(&cfg.Addr, "addr", "127.0.0.1:3000", "address to listen on")
	flags.DurationVar(&cfg.EngineIO.PingInterval, "ping-interval", 300*time.Millisecond, "time between pings")
	flags.DurationVar(&cfg.EngineIO.PingTimeout, "ping-timeout", 200*time.Millisecond, "time for a pong")
	flags.IntVar(&cfg.EngineIO.MaxPayload, "max-payload", 1e6, "bytes in one request or message")
	flags.DurationVar(&cfg.SocketIO.ConnectTimeout, "connect-timeout", time.Second, "time until the first CONNECT")
	engine := flags.Bool("engine", false, "echo Engine.IO messages instead, at /engine.io/")
	if err := flags.Parse(args); err != nil {
		return err // the flag package has printed it
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	server, err := startCommand(cfg, *engine)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return err
	}
	defer server.Stop()
	if _, err := fmt.Fprintln(os.Stdout, server.URL); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func startCommand(cfg Config, engine bool) (*Server, error) {
	if !engine {
		return Start(cfg)
	}
	cfg.EngineIO.Path = "/engine.io/"
	return StartEngine(cfg, Messages{}, nil)
}
