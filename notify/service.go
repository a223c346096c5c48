package notify

import (
	"context"
	"errors"

	"supmesh.dev/notify/deliver"
	"supmesh.dev/notify/follow"
	"supmesh.dev/notify/notices"
	"supmesh.dev/notify/push"
	"supmesh.dev/notify/registry"
	"supmesh.dev/proto"
	"supmesh.dev/services"
)

// Service is the notify service. It is made by New and run by its host.
type Service struct {
	cfg       Config
	host      *services.Host
	notices   *notices.Store
	registry  *registry.Store
	turns     turns
	providers []push.Provider // that are set up
	vapid     string          // public key; empty: no Web Push
}

// New prepares the service on a host and registers its routes. Nothing is asked
// of NATS or Redis before Run.
func New(cfg Config, host *services.Host) (*Service, error) {
	if host.Redis() == nil {
		return nil, errors.New("notify: REDIS_URL must not be empty")
	}
	providers, vapid, err := cfg.providers()
	if err != nil {
		return nil, err
	}
	s := &Service{
		cfg: cfg, host: host, providers: providers, vapid: vapid, turns: newTurns(),
		notices:  notices.New(host.Redis(), host.JetStream(), host.CatchUp()),
		registry: registry.New(host.Redis(), host.JetStream(), host.CatchUp()),
	}
	host.Serve(s.routes()...)
	return s, nil
}

func (s *Service) routes() []services.Route {
	return []services.Route{
		services.On(proto.PendingNotifications, s.pending, services.Unordered()),
		services.On(proto.ReadNotifications, s.read),
		services.On(proto.ClearNotification, s.clear),
		services.On(proto.ClearNotifications, s.clearAll),
		services.On(proto.NotifyPreferences, s.preferences),
		services.On(proto.RegisterDevice, s.register),
		services.On(proto.UnregisterDevice, s.unregister),
		services.On(proto.PushConfig, s.pushConfig, services.Unordered()),
		services.On(proto.SendNotification, s.send, services.Unordered()),
	}
}

// Run serves until ctx ends: it checks (or, with PROVISION, makes) the streams,
// takes what services ask for, follows the log and sends pushes.
func (s *Service) Run(ctx context.Context) error {
	if err := s.host.EnsureStreams(ctx, s.cfg.Provision, proto.Events, proto.Receipts, proto.Work); err != nil && ctx.Err() == nil {
		return err
	}
	if ctx.Err() == nil {
		s.host.Work(proto.NotifyRequests, s.requested, services.WithLanes(firstUser))
		deliver.New(s.host, s.providers, s.registry).Work()
		if err := follow.Start(s.host, decided{s}, s.cfg.PushAfter); err != nil {
			return err
		}
	}
	<-ctx.Done()
	for _, p := range s.providers {
		if c, ok := p.(interface{ Close() }); ok {
			c.Close()
		}
	}
	return nil
}

// unavailable is what a client is told of a failed dependency; the cause stays in
// the chain for the log.
func unavailable(err error) error {
	return services.Unavailable(err, "notifications are unavailable for a moment", notices.ErrUnavailable, registry.ErrUnavailable)
}
