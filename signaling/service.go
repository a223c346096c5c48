package signaling

import (
	"context"
	"errors"
	"fmt"
	"time"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/signaling/calls"
	"supmesh.dev/signaling/history"
	"supmesh.dev/signaling/turn"
)

// Service is the signaling service. It is made by New and run by its host.
type Service struct {
	cfg  Config
	host *services.Host

	calls   *calls.Store
	history *history.Store
	ice     *turn.Minter
	metrics metrics

	grace, lookEvery    time.Duration
	lease, announceTime time.Duration           // of presence's gateways
	maxRing             time.Duration           // tests ring for less
	at                  func(step string) error // tests stop an instance at any step
}

// New prepares the service on a host and registers its routes. Nothing is asked
// of NATS or Redis before Run.
func New(cfg Config, host *services.Host) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("signaling: %w", err)
	}
	if host.Redis() == nil {
		return nil, errors.New("signaling: REDIS_URL must not be empty")
	}
	ice, err := turn.New(cfg.turn())
	if err != nil {
		return nil, fmt.Errorf("signaling: %w", err)
	}
	s := &Service{
		cfg: cfg, host: host, ice: ice, grace: proto.SignalingGrace, lookEvery: lookEvery, lease: gatewayLease, announceTime: announceTime, maxRing: proto.MaxRing,
		at: func(string) error { return nil },

		calls:   calls.New(host.Redis(), host.JetStream(), host.LiveLog()),
		history: history.New(host.Redis(), host.JetStream(), host.CatchUp()),
	}
	if err := s.metrics.register(host.Metrics()); err != nil {
		return nil, fmt.Errorf("signaling: %w", err)
	}
	host.Serve(s.routes()...)
	return s, nil
}

func (s *Service) routes() []services.Route {
	return []services.Route{
		services.On(proto.InitiateCall, s.initiate, services.KeyBy(func(r *proto.InitiateCallReq) string { return r.CallID })),
		services.On(proto.AnswerCall, s.answer, services.KeyBy(func(r *proto.AnswerCallReq) string { return r.CallID })),
		services.On(proto.RejectCall, s.reject, services.KeyBy(func(r *proto.RejectCallReq) string { return r.CallID })),
		services.On(proto.EndCall, s.end, services.KeyBy(func(r *proto.EndCallReq) string { return r.CallID })),
		services.On(proto.SendCandidate, s.candidate, services.KeyBy(func(r *proto.IceCandidateReq) string { return r.CallID })),
		services.On(proto.Renegotiate, s.renegotiate, services.KeyBy(func(r *proto.RenegotiateReq) string { return r.CallID })),
		services.On(proto.CallIceServers, s.iceServers, services.Unordered()),
		services.On(proto.CallHistory, s.listHistory, services.Unordered()),

		services.On(proto.CallSockets, s.sockets, services.Unordered()),

		services.On(proto.GetCall, s.get, services.Unordered()),
	}
}

// Run serves until ctx ends: it checks (or, with PROVISION, makes) the streams, and
// then looks at calls whose time has come.
func (s *Service) Run(ctx context.Context) error {
	if err := s.host.EnsureStreams(ctx, s.cfg.Provision, proto.Events, proto.Work); err != nil && ctx.Err() == nil {
		return err
	}
	s.host.Work(proto.CallTimers, s.look)
	<-ctx.Done()
	return nil
}
