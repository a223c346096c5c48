package signaling

import (
	"context"
	"errors"
	"time"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/signaling/calls"
	"supmesh.dev/signaling/history"
	"supmesh.dev/signaling/state"
)

// askTimeout is how long presence and chat may take: somebody waits for a call.
const askTimeout = 3 * time.Second

// caller is who makes a request.
type caller struct {
	proto.Actor
	user      proto.Token
	requestID string
}

// callerOf is the user who makes the request. A backend without a user is nobody here.
func callerOf(ctx context.Context) (caller, error) {
	from, err := services.CallerFrom(ctx)
	if err != nil {
		return caller{}, err
	}
	c := caller{Actor: from.Actor, user: from.User, requestID: from.RequestID}
	if c.Device == "" {
		c.Device = state.Unnamed
	}
	return c, nil
}

// device is the caller as calls know them.
func (c *caller) device() state.Actor {
	return state.Actor{User: c.User, Device: c.Device, Socket: c.Socket}
}

// party is the caller and the call that a request names.
func party(ctx context.Context, callID string) (who caller, call proto.Token, err error) {
	if who, err = callerOf(ctx); err != nil {
		return who, "", err
	}
	if call, err = proto.EncodeID(callID); err != nil {
		return who, "", proto.FieldError("callId", err)
	}
	return who, call, nil
}

// refused is what a caller is told of an error, and notes who meddles with a call
// that is not theirs.
func (s *Service) refused(ctx context.Context, e *calls.Entry, err error) error {
	if errors.Is(err, state.ErrNotFound) && e.Call != nil {
		if call, ok := services.CallFrom(ctx); ok {
			s.host.Log().WarnContext(ctx, "a stranger to a call", "call", e.ID, "user", call.Actor.User, "subject", call.Subject)
		}
	}
	return unavailable(err)
}

// unavailable is what a caller is told of a failed dependency.
func unavailable(err error) error {
	return services.Unavailable(err, "calls are unavailable for a moment", calls.ErrUnavailable, calls.ErrMoved, history.ErrUnavailable)
}

func isDown(err error) bool { return errors.Is(err, services.ErrRedisDown) }

// ignoreDown is err where it is more than that Redis is away: what it has of calls
// is in the log too, or may be lost.
func ignoreDown(err error) error {
	if isDown(err) {
		return nil
	}
	return err
}

// pause waits a moment, or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
