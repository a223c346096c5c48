package engineio

// heartbeat is a Session seen by the deadline queue: its entry is the next ping while the session is idle, the end of the
// pong's time after a ping, and what is left to do after the session has ended.
type heartbeat Session

// Expire implements deadline.Expirer.
func (h *heartbeat) Expire() {
	s := (*Session)(h)
	s.mu.Lock()
	switch {
	case s.state == stateEnded:
		s.mu.Unlock()
		s.expireEnded()
	case s.awaiting:
		s.mu.Unlock()
		s.fail(ReasonPingTimeout, payloadClose)
	default:
		s.awaiting = true
		if s.ws != nil {
			// A full queue swallows the ping; a client that slow then ends by the time-out.
			_ = s.ws.Send(framePing)
		} else {
			s.poll.pushControl(framePing)
		}
		s.srv.deadlines.Set(&s.beat, h, s.srv.cfg.PingTimeout)
		s.mu.Unlock()
	}
}

// pong takes the client's sign of life. An unasked one does not count.
func (s *Session) pong() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.awaiting && s.state == stateOpen {
		s.awaiting = false
		s.srv.deadlines.Set(&s.beat, (*heartbeat)(s), s.srv.cfg.PingInterval)
	}
}

// startHeartbeat schedules the first ping.
func (s *Session) startHeartbeat() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == stateOpen {
		s.srv.deadlines.Set(&s.beat, (*heartbeat)(s), s.srv.cfg.PingInterval)
	}
}
