package engineio

import "time"

// Probe asks the client for a sign of life now. Without a pong within d, or within what is left of PingTimeout if a ping is
// unanswered already, the session ends with ReasonPingTimeout.
func (s *Session) Probe(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != stateOpen {
		return
	}
	at := s.srv.deadlines.Now() + d
	switch {
	case !s.awaiting:
		s.pingLocked()
		s.setDueLocked(at)
	case at < s.due:
		s.setDueLocked(at)
	}
}

// pingLocked sends a ping. A full queue swallows it; a client that slow then ends by the time-out.
func (s *Session) pingLocked() {
	s.awaiting = true
	switch {
	case s.ws != nil:
		_ = s.ws.Send(framePing)
	case s.poll != nil:
		s.poll.pushControl(framePing)
	}
}
