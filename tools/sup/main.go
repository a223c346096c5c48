package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"supmesh.dev/tools/bench"
)

// cli is the command line; every flag is also an environment variable.
type cli struct {
	Up       upCmd       `cmd:"" help:"Run the whole mesh in this process."`
	Token    tokenCmd    `cmd:"" help:"Print an access token."`
	Client   clientCmd   `cmd:"" help:"Chat from the terminal over the plain websocket."`
	Chat     chatCmd     `cmd:"" help:"Create and change chats through the admin side."`
	Presence presenceCmd `cmd:"" help:"Show how a user is there, and where they are connected."`
	Call     callCmd     `cmd:"" help:"Show how a call is, or how it ended."`
	DLQ      dlqCmd      `cmd:"" name:"dlq" help:"Look at jobs that could not be done, put them back, or drop them."`
	Health   healthCmd   `cmd:"" help:"Ask a running mesh how it does."`
	Bench    bench.Cmd   `cmd:"" help:"Measure the mesh on this machine, or a stock Socket.IO server beside it."`
}

func main() {
	ctx, stop := untilSignal()
	defer stop()
	var c cli
	command := kong.Parse(&c, kong.Name("sup"), kong.Description("SUP mesh: the mesh in one program, and its tools."), kong.UsageOnError(),
		kong.BindTo(ctx, (*context.Context)(nil)))
	if err := command.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "sup:", err)
		stop()
		os.Exit(1)
	}
}

// sameSignal is how close two signals are one: a wrapper may hand on what the
// terminal has sent already.
const sameSignal = 100 * time.Millisecond

// untilSignal is a context that the first SIGINT or SIGTERM ends; the second
// ends the process at once.
func untilSignal() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		for first := time.Now(); time.Since(first) < sameSignal; {
			<-signals
		}
		fmt.Fprintln(os.Stderr, "sup: stopped at once")
		os.Exit(130)
	}()
	return ctx, cancel
}
