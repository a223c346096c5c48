package presence

import (
	"context"
	"errors"
	"fmt"

	"supmesh.dev/services"
)

// Service is the presence service. It is made by New and run by its host.
type Service struct {
	cfg  Config
	host *services.Host
}

// New prepares the service on a host and registers its routes. Nothing is asked
// of NATS or Redis before Run.
func New(cfg Config, host *services.Host) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("presence: %w", err)
	}
	if host.Redis() == nil {
		return nil, errors.New("presence: REDIS_URL must not be empty")
	}
	s := &Service{cfg: cfg, host: host}
	host.Serve(s.routes()...)
	return s, nil
}

func (s *Service) routes() []services.Route { return nil }

// Run serves until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}
