package engineio

import "time"

// LetPongExpire makes a session's pong overdue before the queue has come to it.
func LetPongExpire(s *Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.awaiting = true
	s.due = s.srv.deadlines.Now()
}

// PollPending reports whether a poll of the session is held, for tests that must not race with it.
func PollPending(srv *Server, sid string) bool {
	s := find(srv, sid)
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.poll != nil && s.poll.waiting != nil
}

// PostPending reports whether a POST of the session is being read or handled.
func PostPending(srv *Server, sid string) bool {
	s := find(srv, sid)
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.poll != nil && s.poll.posting
}

// find returns a session by its id, nil if there is none.
func find(srv *Server, sid string) *Session {
	srv.mu.RLock()
	defer srv.mu.RUnlock()
	return srv.sessions[sid]
}

// ProbeState reports whether the session's candidate has asked, and whether it has been answered.
func ProbeState(srv *Server, sid string) (asked, answered bool) {
	s := find(srv, sid)
	if s == nil {
		return false, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.poll == nil || s.poll.probe == nil {
		return false, false
	}
	return s.poll.probe.asked, s.poll.probe.answered
}

// PongDue returns when the session's pong is due, on the server's clock; 0 while none is awaited.
func PongDue(srv *Server, sid string) time.Duration {
	s := find(srv, sid)
	if s == nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.awaiting {
		return 0
	}
	return s.due
}
