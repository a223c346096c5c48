package presence

import (
	"context"
	"time"

	"supmesh.dev/presence/leases"
	"supmesh.dev/presence/registry"
	"supmesh.dev/proto"
)

const (
	// LeaseFor is how long a gateway may be silent before it is taken for dead.
	LeaseFor = 30 * time.Second
	// keepEvery is how often it is looked for dead ones.
	keepEvery = time.Second
	// keeperLock is how long an instance that died keeps the others from looking.
	keeperLock = 10 * time.Second
	// liveEvery is how often it is noted that the registry goes on.
	liveEvery = 30 * time.Second
	// liveAgain is when that is tried again.
	liveAgain = 5 * time.Second
	// losePage bounds what is taken of a dead gateway at once.
	losePage = 256
)

// keeper finds dead gateways. A gateway's silence counts only as far as it could
// have been heard: not over a time in which this instance was not the keeper, or
// Redis or NATS was away.
type keeper struct {
	svc     *Service
	hearing int64                 // since when gateways can be heard
	first   map[proto.Token]int64 // when those without a lease were first noticed
	lived   int64                 // when it was last noted that the registry goes on
}

// keep looks for dead gateways until ctx ends, at one instance at a time.
func (k *keeper) run(ctx context.Context) error {
	tick := time.NewTicker(k.svc.keepEvery)
	defer tick.Stop()
	failed := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := k.look(ctx)
		if err != nil {
			k.deafened()
			if !failed && ctx.Err() == nil {
				k.svc.host.Log().Warn("look for dead gateways", "error", err)
			}
		}
		failed = err != nil
	}
}

// deafened notes that gateways could not be heard until now.
func (k *keeper) deafened() { k.hearing = k.svc.now() }

func (k *keeper) look(ctx context.Context) error {
	if err := k.svc.syncClock(ctx); err != nil {
		return err
	}
	mine, fresh, err := k.svc.leases.Lock(ctx, k.svc.host.InstanceID(), keeperLock)
	if err != nil || !mine {
		k.deafened()
		return err
	}
	if fresh || k.svc.reconnected.Swap(false) || !k.svc.host.NATS().IsConnected() {
		k.deafened()
	}
	if now := k.svc.now(); fresh || now-k.lived >= liveEvery.Milliseconds() {
		k.lived = now
		if err := k.svc.seen.Live(ctx, now); err != nil { // the log may be away: dead gateways are found all the same
			k.lived -= (liveEvery - liveAgain).Milliseconds()
			k.svc.host.Log().WarnContext(ctx, "note that the registry goes on", "error", err)
		}
	}
	gateways, err := k.svc.leases.Gateways(ctx)
	if err != nil {
		return err
	}
	now, lease := k.svc.now(), k.svc.leaseFor.Milliseconds()
	noticed := make(map[proto.Token]int64)
	for _, g := range gateways {
		heard := g.Heard
		if heard == 0 { // it has connections and no lease: it will find out
			if noticed[g.Name] = k.first[g.Name]; noticed[g.Name] == 0 {
				noticed[g.Name] = now
			}
			heard = noticed[g.Name]
		}
		if g.Heard != leases.Ended && now-max(heard, k.hearing) < lease {
			continue
		}
		if g.Heard == 0 || g.Heard == leases.Ended {
			heard = now
		}
		if err := k.lose(ctx, g, heard); err != nil {
			return err
		}
		delete(noticed, g.Name) // what is told under the name from now on is news
	}
	k.first = noticed
	return nil
}

// lose marks the connections of a dead gateway: they count for the grace, and are
// gone then.
func (k *keeper) lose(ctx context.Context, g leases.Gateway, heard int64) error {
	s := k.svc
	if g.Heard != leases.Ended {
		// First, so that one that lives notices, and knows what clients saw.
		if err := s.leases.Condemn(ctx, g.Name); err != nil {
			return err
		}
	}
	lost := 0
	for {
		sessions, err := s.leases.Sessions(ctx, g.Name, losePage)
		if err != nil {
			return err
		}
		if len(sessions) == 0 {
			break
		}
		n, err := k.losePage(ctx, g.Name, heard, sessions)
		if err != nil {
			return err
		}
		lost += n
		if _, _, err := s.leases.Lock(ctx, s.host.InstanceID(), keeperLock); err != nil {
			return err
		}
	}
	if lost > 0 {
		s.metrics.swept.Add(ctx, 1)
		s.metrics.lost.Add(ctx, int64(lost))
		s.host.Log().WarnContext(ctx, "a gateway is gone", "gateway", string(g.Name), "users", lost)
	}
	return nil
}

func (k *keeper) losePage(ctx context.Context, gateway proto.Token, heard int64, sessions []registry.Of) (lost int, err error) {
	s := k.svc
	seen := make(map[proto.Token]bool, len(sessions))
	var users []proto.Token
	for _, o := range sessions {
		if !seen[o.User] {
			seen[o.User] = true
			users = append(users, o.User)
		}
	}
	changed := make(map[proto.Token]bool, len(users))
	out, err := s.change(ctx, users, func(e *registry.Entry, now int64) error {
		changed[e.User] = e.Lose(gateway, heard, now, s.grace())
		return nil
	})
	if err != nil {
		return 0, err
	}
	for user := range changed {
		if changed[user] {
			lost++
		}
	}
	if err := k.orphans(ctx, gateway, out, sessions); err != nil {
		return lost, err
	}
	return lost, s.leases.Strike(ctx, gateway, sessions)
}

// orphans ends sessions whose connection is gone from the record: an instance died
// between the two.
func (k *keeper) orphans(ctx context.Context, gateway proto.Token, out map[proto.Token]*changed, sessions []registry.Of) error {
	known, err := k.svc.records.Sessions(ctx, sessions...)
	if err != nil {
		return err
	}
	var left []registry.Left
	var ends []ended
	for i, o := range sessions {
		pid, err := o.PID.ID()
		if err != nil {
			continue
		}
		c := out[o.User]
		if _, has := c.Conn(pid); has || known[i].Fence == 0 {
			continue
		}
		left = append(left, registry.Left{Of: o, Gateway: gateway, Fence: known[i].Fence})
		ends = append(ends, ended{of: o, had: known[i], quiet: c.hid})
	}
	if err := k.svc.records.Leave(ctx, left...); err != nil {
		return err
	}
	return k.svc.endViews(ctx, ends) // losePage strikes them
}
