package engineio

import "time"

// heartbeat is a Session seen by the deadline queue: its entry is the next ping while the session is idle, the end of the
// pong's time after a ping, and what is left to do after the session has ended.
type heartbeat Session

// lateness is how late a ping may be and still count as sent in time: the next time-out is then measured from when it was
// due, which is what clients and tests reckon with. After a longer stall of the process the client gets its full time.
const lateness = 50 * time.Millisecond

// Expire implements deadline.Expirer.
func (h *heartbeat) Expire() {
	s := (*Session)(h)
	queue := s.srv.deadlines
	s.mu.Lock()
	now := queue.Now()
	switch {
	case s.state == stateEnded:
		s.mu.Unlock()
		s.expireEnded()
		return
	case now < s.due: // a pong came in just before
		queue.SetAt(&s.beat, h, s.due)
	case s.awaiting && s.sendingLocked():
		s.setDueLocked(now + s.srv.cfg.PingTimeout)
	case s.awaiting:
		s.mu.Unlock()
		s.fail(ReasonPingTimeout, payloadClose)
		return
	default:
		s.pingLocked()
		if now-s.due > lateness {
			s.due = now
		}
		s.setDueLocked(s.due + s.srv.cfg.PingTimeout)
	}
	s.mu.Unlock()
}

func (s *Session) setDueLocked(at time.Duration) {
	s.due = at
	s.srv.deadlines.SetAt(&s.beat, (*heartbeat)(s), at)
}

// overdue reports whether the pong's time is over, also when the queue has not come to it yet.
func (s *Session) overdue() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.awaiting && s.state == stateOpen && s.srv.deadlines.Now() >= s.due && !s.sendingLocked()
}

// sendingLocked reports whether a message or a payload of the client is on its way. Its pong can only come behind that, so
// the time for the pong begins again. How slowly a message may come is wsconn's rule, and a body slowhttp's.
func (s *Session) sendingLocked() bool {
	if s.ws != nil {
		return s.ws.Receiving()
	}
	return s.poll != nil && s.poll.posting
}

// pong takes the client's sign of life. An unasked one does not count.
func (s *Session) pong() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.awaiting && s.state == stateOpen {
		s.awaiting = false
		s.setDueLocked(s.srv.deadlines.Now() + s.srv.cfg.PingInterval)
	}
}

// startHeartbeat schedules the first ping.
func (s *Session) startHeartbeat() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == stateOpen {
		s.setDueLocked(s.srv.deadlines.Now() + s.srv.cfg.PingInterval)
	}
}
