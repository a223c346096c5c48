package services

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"supmesh.dev/proto"
)

// How often the canary sings, and how long silence may last before it counts.
const (
	canaryEvery = 5 * time.Second
	canaryStale = 15 * time.Second
)

// Canary makes appending to a stream a part of readiness: every 5 s an empty
// entry goes to subject, which must lie in the stream and concern nobody. A
// full disk shows up here, as it does nowhere else: the connection is fine and
// reads work. The part is down from the first refusal, or after 15 s of silence.
func (h *Host) Canary(row proto.Stream, subject string) {
	var mu sync.Mutex
	var last error
	sung := h.Now()
	h.OnReady("append "+row.Name, func(context.Context) Status {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case last != nil:
			return StatusDown("%v", last)
		case h.Now().Sub(sung) > canaryStale:
			return StatusDown("no append for %s", h.Now().Sub(sung).Round(time.Second))
		}
		return StatusOK
	})
	h.Go("canary "+row.Name, func(ctx context.Context) error {
		tick := time.NewTicker(canaryEvery)
		defer tick.Stop()
		for {
			err := h.sing(ctx, row, subject)
			if ctx.Err() != nil {
				return nil
			}
			mu.Lock()
			if last = err; err == nil {
				sung = h.Now()
			}
			mu.Unlock()
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
		}
	})
}

func (h *Host) sing(ctx context.Context, row proto.Stream, subject string) error {
	ctx, cancel := context.WithTimeout(ctx, canaryEvery)
	defer cancel()
	_, err := h.js.PublishMsg(ctx, &nats.Msg{Subject: subject}, jetstream.WithExpectStream(row.Name))
	if err != nil {
		return fmt.Errorf("append to %s: %w", row.Name, err)
	}
	return nil
}
