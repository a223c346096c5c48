package servicestest

import (
	"context"
	"time"

	"supmesh.dev/proto"
	"supmesh.dev/services"
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

// Call calls a handler of a service as actor does, and repeats it as Persist does. Each
// try has proto.SendTimeout; all tries carry the same request id, as a gateway's do.
func Call[Req, Res any](handler func(context.Context, Req) (Res, error), actor proto.Actor, req Req) (Res, error) {
	id := services.NewRequestID()
	return Persist(func() (Res, error) {
		ctx, cancel := context.WithTimeout(context.Background(), proto.SendTimeout)
		defer cancel()
		call := &services.Call{Actor: actor, RequestID: id, Deadline: time.Now().Add(proto.SendTimeout)}
		return handler(services.WithCall(ctx, call), req)
	})
}
