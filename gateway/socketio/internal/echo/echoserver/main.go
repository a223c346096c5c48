// Command echoserver runs the echo server, by default with the timings that the published Socket.IO test suite expects:
// port 3000, a ping every 300 ms with 200 ms for the pong, and the namespaces "/" and "/custom".
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"supmesh.dev/gateway/socketio"
	"supmesh.dev/gateway/socketio/internal/echo"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	cfg := echo.Config{SocketIO: socketio.Config{Namespaces: []string{"/", "/custom"}}}
	flag.StringVar(&cfg.Addr, "addr", "127.0.0.1:3000", "address to listen on")
	flag.DurationVar(&cfg.EngineIO.PingInterval, "ping-interval", 300*time.Millisecond, "time between pings")
	flag.DurationVar(&cfg.EngineIO.PingTimeout, "ping-timeout", 200*time.Millisecond, "time for a pong")
	flag.IntVar(&cfg.EngineIO.MaxPayload, "max-payload", 1e6, "bytes in one request or message")
	flag.DurationVar(&cfg.SocketIO.ConnectTimeout, "connect-timeout", time.Second, "time until the first CONNECT")
	plain := flag.Bool("engine", false, "echo Engine.IO messages instead, at /engine.io/")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	start := echo.Start
	if *plain {
		cfg.EngineIO.Path = "/engine.io/"
		start = func(cfg echo.Config) (*echo.Server, error) { return echo.StartEngine(cfg, echo.Messages{}, nil) }
	}
	server, err := start(cfg)
	if err != nil {
		return err
	}
	fmt.Println(server.URL)
	<-ctx.Done()
	server.Stop()
	return nil
}
