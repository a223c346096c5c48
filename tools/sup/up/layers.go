package up

import (
	"context"
	"errors"
	"fmt"
)

// layer is one part of the process; run returns after ctx has ended.
type layer struct {
	name string
	run  func(ctx context.Context) error
}

// runLayers runs all layers, until ctx ends or one of them does; then they are
// ended from the last to the first. The error is that of the layer that ended
// by itself, or the first that failed to stop well.
func runLayers(ctx context.Context, layers ...layer) error {
	type running struct {
		layer
		stop context.CancelFunc
		done chan error
	}
	early := make(chan error, len(layers))
	started := make([]running, 0, len(layers))
	for _, l := range layers {
		own, stop := context.WithCancel(context.WithoutCancel(ctx))
		r := running{l, stop, make(chan error, 1)}
		go func() {
			err := r.run(own)
			if own.Err() == nil {
				if err == nil {
					err = errors.New("ended")
				}
				early <- fmt.Errorf("%s: %w", r.name, err)
			}
			r.done <- err
		}()
		started = append(started, r)
	}
	var first error
	select {
	case <-ctx.Done():
	case first = <-early:
	}
	for i := len(started) - 1; i >= 0; i-- {
		r := started[i]
		r.stop()
		if err := <-r.done; err != nil && first == nil && !errors.Is(err, context.Canceled) {
			first = fmt.Errorf("%s: %w", r.name, err)
		}
	}
	return first
}
