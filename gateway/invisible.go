package gateway

import (
	"time"

	"supmesh.dev/gateway/typing"
	"supmesh.dev/proto"
	"supmesh.dev/services/wire"
)

// Who is invisible is as offline in all that others see (CONTRACT §3), typing included.
// A gateway learns it from presence's answer to a connection, from the answer to a report
// if presence was away then, and from the live copy of each entry of the user's status.
// Until the first of these no typing of the user is shown.

// learnOwn notes what the user has set, if nothing newer is known.
func (s *Session) learnOwn(own *proto.OwnPresence) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ownKnown = true
	if own != nil && (s.own == nil || own.At >= s.own.At) {
		s.own = own
	}
}

// hidesTyping reports whether others are not to see that the user types.
func (s *Session) hidesTyping(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.ownKnown || s.own != nil && s.own.Status == proto.StatusOffline &&
		(s.own.StatusUntil == nil || now.Before(s.own.StatusUntil.Time))
}

// passOwnPresence takes a new entry of the status that a user has set.
func (svc *Service) passOwnPresence(user proto.Token, e *entry) {
	var own proto.OwnPresence
	if err := wire.Restore(e.body, &own); err != nil {
		svc.host.Log().Warn("what a user has set does not parse", "error", err)
		return
	}
	svc.ownPresence(user, &own)
}

// ownPresence notes what a user has set on all sessions here. Who becomes invisible types
// no more, for others.
func (svc *Service) ownPresence(user proto.Token, own *proto.OwnPresence) {
	for _, s := range svc.hub.sessions(user) {
		s.learnOwn(own)
		if !s.hidesTyping(time.Now()) {
			continue
		}
		for _, t := range s.topicList() {
			t.mu.Lock()
			if t.typists.Len() > 0 {
				for _, key := range t.typists.Stop(typing.Key{User: user}, true, time.Now()) {
					svc.publishStopLocked(t, s, key, proto.StoppedDisconnected)
				}
			}
			t.mu.Unlock()
		}
	}
}
