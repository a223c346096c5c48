package gateway

import (
	"context"
	"time"

	"supmesh.dev/proto"
)

// settleOwn ends the hold of a session in its user's topic. What was stored
// behind the position of `connected` and has passed meanwhile, when the session
// could not be sent anything, is read from the log first; whatever follows comes
// live. It returns false if the log cannot be read.
func (svc *Service) settleOwn(ctx context.Context, t *topic, s *Session, position uint64) bool {
	for tries := 0; ; {
		had, passed := t.settleOwn(s, position)
		if had {
			return true
		}
		last, err := svc.readOwn(ctx, t, s, position)
		if last > position {
			position, tries = last, 0
			continue
		}
		if tries++; tries == 1 && err != nil {
			svc.host.Log().WarnContext(ctx, "read what passed while opening", "error", err)
		}
		switch {
		case ctx.Err() != nil:
			return false
		case err == nil && tries > maxOwnTries:
			svc.host.Log().ErrorContext(ctx, "the log does not hold what was seen live", "subject", t.log())
			position = passed
		default: // a replica that is behind
			pause(ctx, tries)
		}
	}
}

// maxOwnTries is how often a read may come up short of what has passed; with the
// pauses about 5 s, while the client waits.
const maxOwnTries = 10

// settleOwn has the session served from a position on, if nothing beyond it has
// passed; otherwise it tells what has.
func (t *topic) settleOwn(s *Session, position uint64) (done bool, passed uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := t.indexLocked(s)
	if i < 0 || t.members[i].from != hold {
		return true, 0
	}
	t.beginLocked(position)
	if passed = t.lastLocked(); passed > position {
		return false, passed
	}
	t.members[i].from = position
	return true, passed
}

// readOwn sends a session that is held what the log has of its user behind a
// position, and says how far that goes.
func (svc *Service) readOwn(ctx context.Context, t *topic, s *Session, after uint64) (last uint64, err error) {
	full := false
	last, err = svc.store.read(ctx, t.log(), after, func(e *entry) {
		_, k, err := proto.ParseUserSubject(e.subject)
		kind, forClients := kindOfUser(k)
		if err != nil || !forClients || kind == kindOther || e.event == "" || e.socket == s.id {
			return
		}
		if e.call = callWordOf(e, true); e.call.expired(time.Now()) || e.call != nil && !s.hears(e.call) {
			return
		}
		full = s.send(durableFrame(s.peer.profile(), e.event, e.body, e.position)) || full
	})
	if full {
		s.closeSlow()
	}
	return last, err
}
