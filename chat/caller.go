package chat

import (
	"context"
	"errors"
	"fmt"
	"time"

	"supmesh.dev/chat/eventlog"
	"supmesh.dev/chat/projection"
	"supmesh.dev/proto"
	"supmesh.dev/services"
)

// answerMargin is how long before a request's deadline its handler gives up, so
// that the caller still hears why.
const answerMargin = 50 * time.Millisecond

// defaultDevice stands for a connection that named no device.
const defaultDevice = "default"

// caller is who makes a request, as keys and subjects know it.
type caller struct {
	proto.Actor
	user, device proto.Token
	requestID    string
	trace        string
}

// callerOf is the user who makes the request. A backend without a user is nobody here.
func callerOf(ctx context.Context) (caller, error) {
	from, err := services.CallerFrom(ctx)
	if err != nil {
		return caller{}, err
	}
	c := caller{Actor: from.Actor, user: from.User, requestID: from.RequestID, trace: from.Traceparent()}
	if c.Device == "" {
		c.Device = defaultDevice
	}
	if c.device, err = proto.EncodeID(c.Device); err != nil {
		return caller{}, fmt.Errorf("device of the request: %w", err)
	}
	return c, nil
}

// backendOf refuses everyone but a backend.
func backendOf(ctx context.Context) (caller, error) {
	if err := services.BackendOnly(ctx); err != nil {
		return caller{}, err
	}
	call, _ := services.CallFrom(ctx)
	return caller{Actor: call.Actor, requestID: call.RequestID, trace: call.Traceparent()}, nil
}

// unavailable is what a client is told of a failed dependency; the cause stays
// in the chain for the log.
func unavailable(err error) error {
	var known *proto.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known) && known.Code != proto.ServiceUnavailable:
		return err
	case errors.Is(err, eventlog.ErrTooLarge):
		return proto.Errorf(proto.PayloadTooLarge, "the request is too large to be stored")
	case errors.Is(err, projection.ErrDown), errors.Is(err, eventlog.ErrUnavailable), errors.Is(err, eventlog.ErrFull),
		errors.As(err, &known), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &proto.Error{Code: proto.ServiceUnavailable, Message: "chat is unavailable for a moment", RetryAfter: time.Second}
	}
	return err
}

// pause waits a moment, or says no when ctx's deadline would pass first.
func pause(ctx context.Context, d time.Duration) bool {
	if end, ok := ctx.Deadline(); ok && time.Until(end) < d+answerMargin {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
