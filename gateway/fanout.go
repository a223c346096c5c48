package gateway

import (
	"slices"
	"time"

	"supmesh.dev/gateway/catchup"
	"supmesh.dev/proto"
)

// live takes a live copy. It is called by one goroutine, in the order of the log.
func (svc *Service) live(e *entry) { svc.pass(e, false) }

// replayed takes an entry that a read of the log brought.
func (svc *Service) replayed(e *entry) { svc.pass(e, true) }

// pass brings an entry to the sessions it is for, once, whichever way it came.
func (svc *Service) pass(e *entry, replay bool) {
	if user, kind, err := proto.ParseUserSubject(e.subject); err == nil {
		svc.passToUser(user, kind, e, replay)
		return
	}
	token, kind, err := proto.ParseChatSubject(e.subject)
	if err != nil {
		svc.host.Log().Warn("entry with a strange subject", "subject", e.subject)
		return
	}
	k := kindOf(kind)
	if k == kindMeta {
		svc.passMeta(token, e, replay)
		return
	}
	if t := svc.hub.chat(token); t != nil {
		svc.passTo(t, e, k, replay, nil)
	}
}

// passToUser is pass for what concerns one user alone.
func (svc *Service) passToUser(user proto.Token, kind proto.Kind, e *entry, replay bool) {
	t := svc.hub.user(user)
	switch {
	case t == nil:
	case kind == proto.KindEphemeral:
		svc.passEphemeral(t, e)
	case kind == proto.KindStatus:
		svc.passOwnPresence(user, e)
	default:
		// A kind of a later version is passed on as it comes, and not read again.
		if k, forClients := kindOfUser(kind); forClients && (k != kindOther || !replay) {
			e.call = callWordOf(e, replay)
			svc.passTo(t, e, k, replay, nil)
		}
	}
}

// passMeta is pass for a change of a chat. Members it adds are members before
// it is delivered, those it removes get it last.
func (svc *Service) passMeta(token proto.Token, e *entry, replay bool) {
	c, err := membershipOf(e)
	if err != nil {
		svc.host.Log().Error("chat change does not parse", "position", e.position, "event", e.event, "error", err)
	}
	change := &membershipChange{version: c.version, left: c.removed}
	for _, user := range c.added {
		change.added = append(change.added, svc.settled(user, token, passedChange{c.chat, e.position, true})...)
	}
	for _, user := range c.removed {
		svc.departed.note(token, user, ended{c.version, e.position})
		change.removed = append(change.removed, svc.settled(user, token, passedChange{c.chat, e.position, false})...)
	}
	svc.checks.related(c.added, c.removed)
	if t := svc.hub.chat(token); t != nil && svc.passTo(t, e, kindMeta, replay, change) {
		return
	}
	for _, s := range change.removed {
		svc.tellGone(token, s, e)
	}
	if len(change.added) == 0 {
		return
	}
	// The first members of this chat here. What followed this change may have
	// gone by before the subscription: it is read from the log.
	var made *topic
	err = svc.hub.withChat(token, c.chat, func(t *topic) {
		made = t
		for _, s := range change.added {
			t.addLocked(s, e.position, c.version)
		}
		t.beginLocked(e.position - 1)
		t.suspectLocked()
	})
	if err != nil {
		svc.host.Log().Error("host chat", "error", err)
		svc.recheckSoon()
		return
	}
	svc.repairs.push(made)
}

// tellGone tells a session how a membership ended that it was never served for, since
// chat's answer to it knew of that end before it passed here. Once.
func (svc *Service) tellGone(token proto.Token, s *Session, e *entry) {
	if s.noteLeft(token, e.position) {
		svc.tellOf(s, e)
	}
}

// settled is the open sessions of a user whose membership of a chat changes; those
// still opening take note of it.
func (svc *Service) settled(user, token proto.Token, c passedChange) []*Session {
	return slices.DeleteFunc(svc.hub.sessions(user), func(s *Session) bool { return s.noteChange(token, c) })
}

// membershipChange is a change with the sessions here that it concerns.
type membershipChange struct {
	version        uint64
	added, removed []*Session
	left           []proto.Token // the removed, wherever their sockets are
}

// passTo brings an entry to the members of a topic; false if the topic is gone.
func (svc *Service) passTo(t *topic, e *entry, kind int, replay bool, change *membershipChange) bool {
	t.mu.Lock()
	if t.gone {
		t.mu.Unlock()
		return false
	}
	deliver := true
	read := false
	if kind < kinds {
		track := &t.tracks[kind]
		_, reading := t.readingLocked()
		switch {
		case replay:
			deliver = track.Replayed(e.position) && !e.call.expired(time.Now())
		case reading && track.Begun():
			// What it follows may be in the hole: what it edits, or a removal. The read
			// that is under way brings both, in order.
			track.Suspect(e.position)
			deliver = false
		default:
			verdict := track.Live(e.position, e.previous)
			deliver, read = verdict == catchup.Deliver, verdict == catchup.Read
		}
	}
	var slow []*Session
	begun, empty := false, false
	if deliver {
		fresh := change != nil && (change.version == 0 || change.version > t.applied)
		if fresh {
			t.applied = max(t.applied, change.version)
			t.version = max(t.version, change.version)
			for _, s := range change.added {
				t.addLocked(s, e.position, change.version)
			}
			// All others here are still held: what came before the subscription is read.
			begun = len(change.added) > 0 && t.beginLocked(e.position-1)
			if begun {
				t.suspectLocked()
			}
		}
		svc.endTypingLocked(t, e, change)
		slow = t.deliverLocked(e, kind)
		if fresh {
			for _, s := range change.removed {
				switch i := t.indexLocked(s); {
				case i < 0:
					svc.tellGone(t.token, s, e)
				case t.endsLocked(i, change.version):
					s.noteLeft(t.token, e.position)
					t.leaveLocked(s)
				}
			}
			empty = len(t.members) == 0
		}
	}
	t.mu.Unlock()
	if read {
		svc.metrics.gaps.Add(svc.ctx, 1)
	}
	if read || begun {
		svc.repairs.push(t)
	}
	for _, s := range slow {
		s.closeSlow()
	}
	if empty {
		svc.hub.prune(t)
	}
	return true
}
