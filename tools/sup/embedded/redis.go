package embedded

import (
	"context"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// tick is how often the clock of the Redis in memory moves: it has none of its
// own, so a key lives up to this much longer than it should.
const tick = 500 * time.Millisecond

// Redis is a running Redis in memory.
type Redis struct{ server *miniredis.Miniredis }

// StartRedis runs one on any free loopback port.
func StartRedis() (*Redis, error) {
	s := miniredis.NewMiniRedis()
	if err := s.StartAddr("127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("embedded redis: %w", err)
	}
	return &Redis{s}, nil
}

// Run lets keys expire until ctx ends.
func (r *Redis) Run(ctx context.Context) error {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticker.C:
			r.server.FastForward(now.Sub(last))
			last = now
		}
	}
}

// URL is the address as REDIS_URL has it.
func (r *Redis) URL() string { return "redis://" + r.server.Addr() + "/0" }

// Stop ends the server and forgets everything.
func (r *Redis) Stop() { r.server.Close() }
