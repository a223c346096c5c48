package presence

import (
	"context"

	"supmesh.dev/presence/relations"
	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/journal"
)

// defaultDevice stands for a connection that named no device.
const defaultDevice = "default"

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
		c.Device = defaultDevice
	}
	return c, nil
}

// unavailable is what a caller is told of a failed dependency.
func unavailable(err error) error {
	return services.Unavailable(err, "presence is unavailable for a moment", errContended, errOwnMoved, relations.ErrUnavailable, relations.ErrMoved, journal.ErrMoved)
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
