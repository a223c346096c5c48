package presence

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"supmesh.dev/presence/leases"
	"supmesh.dev/presence/registry"
	"supmesh.dev/presence/relations"
	"supmesh.dev/presence/seen"
	"supmesh.dev/presence/viewing"
	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/journal"
)

// Service is the presence service. It is made by New and run by its host.
type Service struct {
	cfg  Config
	host *services.Host

	records   *registry.Store
	leases    *leases.Store
	views     *viewing.Store
	relations *relations.Store
	log       *journal.Journal
	seen      *seen.Store
	metrics   metrics

	unfinished unfinished

	clock               atomic.Int64 // Redis's clock less the host's, in milliseconds
	reconnected         atomic.Bool  // to NATS, and the keeper has not noted it
	leaseFor, keepEvery time.Duration
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
		cfg: cfg, host: host, leaseFor: LeaseFor, keepEvery: keepEvery,

		records: registry.New(host.Redis()), leases: leases.New(host.Redis()), views: viewing.New(host.Redis()),
		relations: relations.New(host.Redis(), host.JetStream(), host.CatchUp()),
		log:       journal.New(host.JetStream(), host.CatchUp()),
		seen:      seen.New(host.Redis(), host.JetStream(), host.CatchUp()),
	}
	if err := s.metrics.register(s); err != nil {
		return nil, fmt.Errorf("presence: %w", err)
	}
	host.OnReconnect(func() { s.reconnected.Store(true) })
	host.Serve(s.routes()...)
	return s, nil
}

func (s *Service) routes() []services.Route {
	return []services.Route{
		services.On(proto.UpdatePresence, s.update),
		services.On(proto.SubscribePresence, s.subscribe, services.Unordered()),
		services.On(proto.ListSessions, s.listSessions, services.Unordered()),

		services.On(proto.OpenSession, s.open),
		services.On(proto.ReportSessions, s.report, services.KeyBy(func(r *proto.ReportReq) string { return r.Gateway })),
		services.On(proto.RenewLease, s.lease, services.KeyBy(func(r *proto.LeaseReq) string { return r.Gateway })),
		services.On(proto.Viewers, s.viewers, services.Unordered()),
		services.On(proto.ReachUsers, s.reach, services.Unordered()),

		services.On(proto.GetPresence, s.get, services.Unordered()),
		services.On(proto.GetSessions, s.userSessions, services.Unordered()),
		services.On(proto.PutContacts, s.putContacts, services.KeyBy(func(r *proto.PutRelationsReq) string { return r.UserID })),
		services.On(proto.PutBlocks, s.putBlocks, services.KeyBy(func(r *proto.PutRelationsReq) string { return r.UserID })),
	}
}

// Run serves until ctx ends: it checks (or, with PROVISION, makes) the log.
func (s *Service) Run(ctx context.Context) error {
	if err := s.host.EnsureStreams(ctx, s.cfg.Provision, proto.Events, proto.Receipts); err != nil && ctx.Err() == nil {
		return err
	}
	k := &keeper{svc: s}
	k.deafened()
	s.host.Go("keeper", k.run)
	s.host.Go("settle", s.settleLoop)
	<-ctx.Done()
	return nil
}
