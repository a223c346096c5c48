package services

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// sameSignal is how close two signals are one: a wrapper such as timeout signals
// the process and its group.
const sameSignal = 100 * time.Millisecond

// Version is the version of the mesh: a semantic version, set by the linker.
var Version = "0.1.0"

// Main is the whole of a service's main function. It loads cfg, a pointer to a
// struct that embeds Config, builds the service on a host and runs it until
// SIGINT or SIGTERM. A second signal exits at once. The exit code is 0 after a
// stop that was asked for, 1 after an error, 2 after a bad setting.
func Main(name string, cfg any, build func(*Host) (Service, error)) {
	os.Exit(run(name, cfg, os.Args[1:], build))
}

func run(name string, cfg any, args []string, build func(*Host) (Service, error)) int {
	switch err := Load(cfg, args); {
	case errors.Is(err, ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		return 2
	}
	own, ok := cfg.(hasChassis)
	if !ok {
		fmt.Fprintf(os.Stderr, "%s: configuration %T does not embed services.Config\n", name, cfg)
		return 2
	}
	defer TuneCollector()()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	done := make(chan struct{})
	defer close(done)
	go func() {
		var first time.Time
		for {
			select {
			case <-done:
				return
			case <-signals:
			}
			switch {
			case first.IsZero():
				first = time.Now()
				cancel()
			case time.Since(first) >= sameSignal:
				fmt.Fprintf(os.Stderr, "%s: second signal: exit now\n", name)
				os.Exit(1)
			}
		}
	}()

	redis.SetLogger(quietRedis{})
	h, err := NewHost(ctx, name, Version, *own.chassis())
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		return 1
	}
	service, err := build(h)
	if err != nil {
		h.Log().Error("start", "error", err)
		h.Close()
		if ctx.Err() != nil {
			return 0
		}
		return 1
	}
	if err := h.Run(ctx, service); err != nil {
		h.Log().Error("end", "error", err)
		return 1
	}
	return 0
}
