package chat

import (
	"context"
	"time"

	"supmesh.dev/proto"
)

const (
	// sweepDeadEvery is how often gateways are looked for whose lease is over.
	sweepDeadEvery = 2 * time.Second
	// sweepLock is how long an instance that died keeps the others from sweeping.
	sweepLock = 10 * time.Second
	// sweepPage and sweepPause bound what a dead gateway costs those who live:
	// 5,000 of its viewers leave a second.
	sweepPage  = 256
	sweepPause = 50 * time.Millisecond
)

// sweepViewers removes the viewers of dead gateways, at one instance at a time.
func (s *Service) sweepViewers(ctx context.Context) error {
	tick := time.NewTicker(sweepDeadEvery)
	defer tick.Stop()
	failed := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := s.sweepDead(ctx)
		if err != nil && !failed && ctx.Err() == nil {
			s.host.Log().Warn("sweep viewers", "error", err)
		}
		failed = err != nil
	}
}

func (s *Service) sweepDead(ctx context.Context) error {
	mine, err := s.viewing.Lock(ctx, s.host.InstanceID(), sweepLock)
	if err != nil || !mine {
		return err
	}
	dead, err := s.viewing.Dead(ctx)
	if err != nil {
		return err
	}
	for _, gateway := range dead {
		if err := s.sweepGateway(ctx, gateway); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) sweepGateway(ctx context.Context, gateway proto.Token) error {
	gone := 0
	for more := true; more; {
		left, again, err := s.viewing.Sweep(ctx, gateway, sweepPage)
		if err != nil {
			return err
		}
		for _, v := range left {
			chatID, err := v.Chat.ID()
			if err != nil {
				return err
			}
			userID, err := v.User.ID()
			if err != nil {
				return err
			}
			s.tellActive(ctx, v, chatID, userID, false)
		}
		gone += len(left)
		if more = again; more {
			if !pause(ctx, sweepPause) {
				return ctx.Err()
			}
			if mine, err := s.viewing.Lock(ctx, s.host.InstanceID(), sweepLock); err != nil || !mine {
				return err
			}
		}
	}
	if gone > 0 {
		s.host.Log().WarnContext(ctx, "a gateway is gone: its viewers have left", "gateway", string(gateway), "users", gone)
	}
	return nil
}
