package engineio

// LetPongExpire makes a session's pong overdue before the queue has come to it.
func LetPongExpire(s *Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.awaiting = true
	s.due = s.srv.deadlines.Now()
}

// PollPending reports whether a poll of the session is held, for tests that must not race with it.
func PollPending(srv *Server, sid string) bool {
	srv.mu.RLock()
	s := srv.sessions[sid]
	srv.mu.RUnlock()
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.poll != nil && s.poll.waiting != nil
}

// PostPending reports whether a POST of the session is being read or handled.
func PostPending(srv *Server, sid string) bool {
	srv.mu.RLock()
	s := srv.sessions[sid]
	srv.mu.RUnlock()
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.poll != nil && s.poll.posting
}
