package servicestest

import (
	"time"

	"supmesh.dev/proto"
)

// Persist calls do until it succeeds, fails for good or has failed for a minute,
// and returns its last result. It repeats after a retryable error, as a client
// does, so do must be idempotent. It may be called by any goroutine.
func Persist[T any](do func() (T, error)) (res T, err error) {
	end := time.NewTimer(time.Minute)
	defer end.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		res, err = do()
		if err == nil || !proto.AsError(err).Code.Row().Retryable {
			return res, err
		}
		select {
		case <-end.C:
			return res, err
		case <-tick.C:
		}
	}
}
