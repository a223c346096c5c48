package presence

import (
	"context"
	"errors"
	"fmt"

	"supmesh.dev/presence/relations"
	"supmesh.dev/proto"
	"supmesh.dev/services"
)

// Service is the presence service. It is made by New and run by its host.
type Service struct {
	cfg  Config
	host *services.Host

	relations *relations.Store
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
	s := &Service{
		cfg: cfg, host: host,

		relations: relations.New(host.Redis(), host.JetStream(), host.CatchUp()),
	}
	host.Serve(s.routes()...)
	return s, nil
}

func (s *Service) routes() []services.Route {
	return []services.Route{
		services.On(proto.PutContacts, s.putContacts, services.KeyBy(func(r *proto.PutRelationsReq) string { return r.UserID })),
		services.On(proto.PutBlocks, s.putBlocks, services.KeyBy(func(r *proto.PutRelationsReq) string { return r.UserID })),
	}
}

// Run serves until ctx ends: it checks (or, with PROVISION, makes) the log.
func (s *Service) Run(ctx context.Context) error {
	if err := s.host.EnsureStreams(ctx, s.cfg.Provision, proto.Events); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	<-ctx.Done()
	return nil
}
