package gateway

import (
	"context"
	"slices"
	"time"

	"supmesh.dev/proto"
)

// place is how far a session has been told of a topic while it is held there. What
// is stored behind the position of `connected` and passes before the session is
// served live is read from the log, up to what has passed; whatever follows comes live.
type place struct {
	at      uint64 // position
	least   uint64 // position that is known to be there to be told
	member  bool   // at that position; of its own topic a user always is
	version uint64 // of the chat with which a membership behind the place began, 0 for none
}

// passedChange is that a user's membership of a chat changed while a session of theirs opened.
type passedChange struct {
	chat   string
	last   uint64 // position of the last such change
	joined bool   // by it
}

// settleOwn ends the hold of a session in its user's topic. It returns false if
// ctx or the session ended first.
func (svc *Service) settleOwn(ctx context.Context, t *topic, s *Session, position uint64) bool {
	for p := (&place{at: position, member: true}); ; {
		had, passed := t.settleOwn(s, p.at)
		if had {
			return true
		}
		if !svc.tell(ctx, s, t, p, passed) {
			return false
		}
	}
}

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
	t.members[i].from, t.members[i].told = position, position
	return true, passed
}

// tell sends a session that is held what the log has of a topic from its place up to
// a position that has passed. It returns false if ctx or the session ended first.
func (svc *Service) tell(ctx context.Context, s *Session, t *topic, p *place, upTo uint64) bool {
	for tries := 0; p.at < upTo; {
		last, more, err := svc.store.read(ctx, t.log(), p.at, upTo, func(e *entry) {
			if e.position <= upTo {
				svc.tellEntry(s, t, p, e)
			}
		})
		switch {
		case err == nil && !more:
			p.at = upTo
		case err == nil:
			p.at, tries = min(last, upTo), 0
		case ctx.Err() != nil || s.is(closed):
			return false
		default:
			if tries++; tries == 1 {
				svc.host.Log().WarnContext(ctx, "read what passed while opening", "error", err)
			}
			pause(ctx, tries)
		}
	}
	return true
}

// tellEntry is deliverLocked for one session and what a read of the log brought.
// Messages of chats come by the backlog.
func (svc *Service) tellEntry(s *Session, t *topic, p *place, e *entry) {
	if t.chat == "" {
		_, k, err := proto.ParseUserSubject(e.subject)
		kind, forClients := kindOfUser(k)
		if err != nil || !forClients || kind == kindOther {
			return
		}
		if e.call = callWordOf(e, true); e.call.expired(time.Now()) {
			return
		}
		svc.tellOf(s, e)
		return
	}
	_, k, err := proto.ParseChatSubject(e.subject)
	kind := kindOf(k)
	if err != nil || kind == kindMessage || kind == kindOther {
		return
	}
	if kind != kindMeta {
		if p.member {
			svc.tellOf(s, e)
		}
		return
	}
	c, err := membershipOf(e)
	if err != nil { // pass logs it
		return
	}
	joins, leaves := slices.Contains(c.added, s.user), slices.Contains(c.removed, s.user)
	if joins {
		p.member, p.version = true, c.version
	}
	if p.member || leaves {
		svc.tellOf(s, e)
	}
	p.member = p.member && !leaves
}

// tellOf sends an entry of the log, unless it is the session's own or no business of it.
func (svc *Service) tellOf(s *Session, e *entry) {
	if e.event == "" || e.socket == s.id || e.call != nil && !s.hears(e.call) {
		return
	}
	if s.send(durableFrame(s.peer.profile(), e.event, e.body, e.position)) {
		s.closeSlow()
	}
}
