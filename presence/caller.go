package presence

import (
	"context"
	"errors"
	"fmt"

	"supmesh.dev/presence/relations"
	"supmesh.dev/proto"
	"supmesh.dev/services"
)

// defaultDevice stands for a connection that named no device.
const defaultDevice = "default"

// caller is who makes a request.
type caller struct {
	proto.Actor
	user proto.Token
}

// callerOf is the user who makes the request. A backend without a user is nobody here.
func callerOf(ctx context.Context) (caller, error) {
	call, ok := services.CallFrom(ctx)
	if !ok {
		return caller{}, errors.New("no call in context")
	}
	c := caller{Actor: call.Actor}
	if c.User == "" {
		return caller{}, proto.Errorf(proto.AuthenticationRequired, "a user is required")
	}
	if c.Device == "" {
		c.Device = defaultDevice
	}
	var err error
	if c.user, err = proto.EncodeID(c.User); err != nil {
		return caller{}, fmt.Errorf("user of the request: %w", err)
	}
	return c, nil
}

// backendOnly refuses everyone but a backend.
func backendOnly(ctx context.Context) error {
	call, ok := services.CallFrom(ctx)
	if !ok {
		return errors.New("no call in context")
	}
	if !call.Actor.Backend {
		return proto.Errorf(proto.PermissionDenied, "only backends may do this")
	}
	return nil
}

// serviceOnly refuses users and backends: what is asked is between services.
func serviceOnly(ctx context.Context) error {
	call, ok := services.CallFrom(ctx)
	if !ok {
		return errors.New("no call in context")
	}
	if call.Actor.User != "" || call.Actor.Backend {
		return proto.Errorf(proto.PermissionDenied, "only services may ask this")
	}
	return nil
}

// unavailable is what a caller is told of a failed dependency.
func unavailable(err error) error {
	return services.Unavailable(err, "presence is unavailable for a moment", errContended, relations.ErrUnavailable, relations.ErrMoved)
}

// tokens encodes ids, which Validate has checked.
func tokens(ids []string) ([]proto.Token, error) {
	out := make([]proto.Token, len(ids))
	for i, id := range ids {
		var err error
		if out[i], err = proto.EncodeID(id); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func idsOf(tokens []proto.Token) ([]string, error) {
	out := make([]string, len(tokens))
	for i, t := range tokens {
		var err error
		if out[i], err = t.ID(); err != nil {
			return nil, err
		}
	}
	return out, nil
}
