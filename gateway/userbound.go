package gateway

import (
	"context"
	"time"

	"supmesh.dev/proto"
	"supmesh.dev/services"
)

// probeTimeout is how long the connections of a user who is over the bound may take to answer a
// ping. It is shorter than the time in which a stock client gives up (five tries in 17 s), so that a
// user whose old connections are dead is let in at a later try.
const probeTimeout = 5 * time.Second

// joinUser makes a session one of its user's here. If the user has MAX_CONNECTIONS_PER_USER here
// already, the error is errTooMany. The connection that the session continues does not count.
func (svc *Service) joinUser(ctx context.Context, s *Session, returns string) error {
	full := false
	err := svc.hub.withUser(s.user, func(t *topic) {
		most := svc.cfg.MaxPerUser
		if full = most > 0 && len(t.members) >= most && t.countLocked(s, returns) >= most; !full {
			t.joinLocked(s, hold)
		}
	})
	if full {
		return svc.tooMany(ctx, s)
	}
	return err
}

// checkUserBound is joinUser's check over all gateways; elsewhere is how many connections the user
// has on the others. While presence does not answer, it is 0: the bound is each gateway's own then.
func (svc *Service) checkUserBound(ctx context.Context, s *Session, elsewhere int) error {
	if elsewhere == 0 || svc.cfg.MaxPerUser == 0 {
		return nil
	}
	own := svc.hub.user(s.user)
	if own == nil { // it has closed
		return nil
	}
	own.mu.Lock()
	n := own.countLocked(s, "") + 1
	own.mu.Unlock()
	if n+elsewhere <= svc.cfg.MaxPerUser {
		return nil
	}
	return svc.tooMany(ctx, s)
}

// tooMany refuses a session and asks all gateways to probe the user's connections: those whose
// client is gone make room for its next try.
func (svc *Service) tooMany(ctx context.Context, s *Session) error {
	err := svc.host.PublishEphemeral(proto.UserEphemeral(s.user), proto.ProbeConnections, services.Except{}, nil)
	if err != nil {
		svc.host.Log().WarnContext(ctx, "probe connections", "error", err)
	}
	return connectionLimit(errTooMany, probeTimeout)
}

// countLocked returns how many sessions of the user are here, without s, those that are ending and
// the one that s continues.
func (t *topic) countLocked(s *Session, returns string) (n int) {
	for i := range t.members {
		other := t.members[i].session
		if other == s || other.pid == returns && other.actor.Device == s.actor.Device {
			continue
		}
		if !other.left() {
			n++
		}
	}
	return n
}

// probe closes the sessions of a user's topic whose client does not answer. One probe at a time: a
// client may be refused many times a second, and many pings a second are a fault by themselves.
func (t *topic) probe(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.UnixMilli() < t.probed+probeTimeout.Milliseconds() {
		return
	}
	t.probed = now.UnixMilli()
	for i := range t.members {
		t.members[i].session.peer.probe(probeTimeout)
	}
}
