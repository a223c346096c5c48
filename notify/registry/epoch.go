package registry

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"supmesh.dev/services/journal"
)

const (
	// epochFor is how long it is taken for known which log there is.
	epochFor = 10 * time.Second
	// aboveAll is more than any position, and less than what a score can tell apart.
	aboveAll = 1 << 52
)

// epoch is the log's, as a number that can stand among positions.
type epoch struct {
	mu    sync.Mutex
	is    uint64
	until time.Time
}

// of asks the log from time to time. It returns ErrUnavailable where nothing is known.
func (e *epoch) of(ctx context.Context, log *journal.Journal) (uint64, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if time.Now().Before(e.until) {
		return e.is, nil
	}
	text, err := log.Epoch(ctx)
	if err != nil && e.is != 0 { // it will not have changed just now
		e.until = time.Now().Add(time.Second)
		return e.is, nil
	}
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(text[:min(12, len(text))], 16, 64)
	if err != nil {
		return 0, fmt.Errorf("epoch of the log: %w", err)
	}
	e.is, e.until = aboveAll|n, time.Now().Add(epochFor)
	return e.is, nil
}
