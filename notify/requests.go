package notify

import (
	"context"
	"errors"
	"fmt"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/wire"
)

// requested does one job of NotifyRequests: what another service asks for. Where
// it fails half-way it comes again, and those who have it get no second.
func (s *Service) requested(ctx context.Context, body []byte) error {
	var req proto.NotifyReq
	if err := wire.Unmarshal(body, &req); err != nil {
		return fmt.Errorf("%w: %w", services.ErrMalformed, err)
	}
	if err := req.Validate(); err != nil {
		return fmt.Errorf("%w: %w", services.ErrMalformed, err)
	}
	if req.Key == "" {
		return fmt.Errorf("%w: %w", services.ErrMalformed, errors.New("key is required"))
	}
	_, err := s.notify(ctx, &req)
	return err
}

// firstUser is the lane of a request: those for one user keep their order.
func firstUser(body []byte) string {
	var req struct {
		UserIDs []string `json:"userIds"`
	}
	if err := wire.Restore(body, &req); err != nil || len(req.UserIDs) == 0 {
		return ""
	}
	return req.UserIDs[0]
}
