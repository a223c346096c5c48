package reactions

import (
	"context"
	"errors"

	"supmesh.dev/proto"
	"supmesh.dev/reactions/board"
	"supmesh.dev/services"
)

// Service is the reactions service. It is made by New and run by its host.
type Service struct {
	cfg   Config
	host  *services.Host
	board *board.Store
}

// New prepares the service on a host and registers its routes. Nothing is asked
// of NATS or Redis before Run.
func New(cfg Config, host *services.Host) (*Service, error) {
	if host.Redis() == nil {
		return nil, errors.New("reactions: REDIS_URL must not be empty")
	}
	s := &Service{cfg: cfg, host: host, board: board.New(host.Redis(), host.JetStream(), host.CatchUp())}
	host.Serve(s.routes()...)
	return s, nil
}

func (s *Service) routes() []services.Route {
	byChat := services.KeyBy(func(r *proto.ReactReq) string { return r.ChatID })
	return []services.Route{
		services.On(proto.AddReaction, s.add, byChat),
		services.On(proto.RemoveReaction, s.remove, byChat),
		services.On(proto.GetReactions, s.get, services.Unordered()),
		services.On(proto.SummarizeReactions, s.summary, services.Unordered()),
	}
}

// Run serves until ctx ends: it checks (or, with PROVISION, makes) the log.
func (s *Service) Run(ctx context.Context) error {
	if err := s.host.EnsureStreams(ctx, s.cfg.Provision, proto.Events); err != nil && ctx.Err() == nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// unavailable is what a client is told of a failed dependency; the cause stays in
// the chain for the log.
func unavailable(err error) error {
	return services.Unavailable(err, "reactions are unavailable for a moment", board.ErrUnavailable, board.ErrMoved, board.ErrStale)
}
