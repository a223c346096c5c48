package presence

import (
	"context"
	"time"
)

const (
	// settleEvery is how often it is looked who is due: graces and pauses end up to
	// that late.
	settleEvery = 100 * time.Millisecond
	// claimFor is how long an instance has for those it has taken.
	claimFor = 30 * time.Second
)

// settleLoop looks at the records of those who are due: whose connection has been
// away for the grace, whose status ends, whose change had to wait for its turn. Every
// instance does; a record that two look at is stored, and told, by one.
func (s *Service) settleLoop(ctx context.Context) error {
	tick := time.NewTicker(settleEvery)
	defer tick.Stop()
	page := max(1, int(int64(s.cfg.Rate)*int64(settleEvery)/int64(time.Second)))
	failed := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := s.settle(ctx, page)
		if err != nil && !failed && ctx.Err() == nil {
			s.host.Log().Warn("settle presence", "error", err)
		}
		failed = err != nil
	}
}

// settle is one look, at a page of them.
func (s *Service) settle(ctx context.Context, page int) error {
	if err := s.finish(ctx, page); err != nil {
		return err
	}
	now := s.now()
	until := now + claimFor.Milliseconds()
	users, err := s.records.Claim(ctx, now, until, page)
	if err != nil || len(users) == 0 {
		return err
	}
	out, err := s.change(ctx, users, nil)
	if err != nil {
		return err // they are due again when the claim is over
	}
	next := make([]int64, len(users))
	for i, u := range users {
		next[i] = out[u].due
	}
	s.metrics.settled.Add(ctx, int64(len(users)))
	return s.records.Settled(ctx, users, until, next)
}
