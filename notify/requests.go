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
