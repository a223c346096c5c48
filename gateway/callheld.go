package gateway

import (
	"hash/fnv"
	"slices"

	"supmesh.dev/proto"
)

const (
	// maxHeld bounds the candidates that wait for one session.
	maxHeld = 2 * proto.MaxBufferedICE
	// maxSent bounds the candidates of one call that a session remembers to have had.
	maxSent = 4 * proto.MaxBufferedICE
)

// held is a candidate that waits for those before it. While a call rings, its candidates
// are published live and kept by signaling; a session that has just connected gets those
// that signaling has kept first, and each once.
type held struct {
	call      string
	candidate uint64
	body      []byte
}

// candidateOf hashes what tells one candidate of a call from another.
func candidateOf(c *proto.CallCandidate) uint64 {
	h := fnv.New64a()
	for _, part := range [][]byte{[]byte(c.CallID), []byte(c.FromUserID), c.Candidate} {
		_, _ = h.Write(part)
		_, _ = h.Write([]byte{0})
	}
	return max(h.Sum64(), 1)
}

// first notes a candidate that the session is about to get; false if it has had it.
func (r *rang) first(candidate uint64) bool {
	if slices.Contains(r.sent, candidate) {
		return false
	}
	if len(r.sent) == maxSent {
		r.sent = slices.Delete(r.sent, 0, 1)
	}
	r.sent = append(r.sent, candidate)
	return true
}

// takesLocked reports whether the session gets a candidate now: not if it has had it, and
// later if those before it are still to come.
func (s *Session) takesLocked(w *callWord) bool {
	i := s.calls.find(w.call)
	switch {
	case w.alone: // for the device that has the call: nothing is before it
	case s.calls != nil && s.calls.sends, i >= 0 && s.calls.rang[i].gap, i < 0 && !s.briefed:
		n := s.notesLocked()
		if len(n.held) == maxHeld {
			n.held = slices.Delete(n.held, 0, 1)
		}
		n.held = append(n.held, held{w.call, w.candidate, w.body})
		return false
	}
	return i < 0 || s.calls.rang[i].first(w.candidate)
}

// lacks reports whether candidates of a call which the session has had may have gone by.
func (s *Session) lacks(call string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.calls.find(call)
	return i >= 0 && s.calls.rang[i].gap
}

// catchesUp notes a candidate that signaling has kept; false if the session has had it.
func (s *Session) catchesUp(call string, candidate uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.calls.find(call)
	return i >= 0 && s.calls.rang[i].first(candidate)
}

// fill notes that the session has all candidates of a call that signaling has kept.
func (s *Session) fill(call string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.calls.find(call); i >= 0 {
		s.calls.rang[i].gap = false
	}
}

// release sends what was held, now that signaling has said what was before it.
func (s *Session) release() {
	for {
		ready := s.ready()
		if ready == nil {
			return
		}
		for i := range ready {
			if s.send(eventFrame(s.peer.profile(), proto.CallCandidateEvent.Name, ready[i].body)) {
				s.closeSlow()
			}
		}
	}
}

// ready takes what was held and can be sent; nil if there is nothing. What comes until it
// is called again is held.
func (s *Session) ready() (out []held) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.briefed = true
	n := s.calls
	if n == nil {
		return nil
	}
	n.held = slices.DeleteFunc(n.held, func(h held) bool {
		i := n.find(h.call)
		if i >= 0 && n.rang[i].gap {
			return false
		}
		if i < 0 || n.rang[i].first(h.candidate) {
			out = append(out, h)
		}
		return true
	})
	n.sends = out != nil
	return out
}
