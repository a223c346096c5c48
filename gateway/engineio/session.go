package engineio

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"supmesh.dev/gateway/engineio/deadline"
	"supmesh.dev/gateway/wsconn"
)

// The names of the transports, as in the query string.
const (
	transportPolling   = "polling"
	transportWebSocket = "websocket"
)

// Session is one client, over whichever transport it uses at the moment. Its methods are safe for concurrent use.
//
// It is small because there is one per client: what only polling needs is in a struct of its own that a websocket session
// does not have.
type Session struct {
	srv      *Server
	id       string
	request  atomic.Pointer[Request]
	userData any
	ticket   any // of the refuse function
	beat     deadline.Entry

	mu       sync.Mutex
	state    sessionState
	due      time.Duration // of beat, on the queue's clock
	awaiting bool          // a ping is unanswered
	finished bool          // Closed has been, or is being, called
	reason   Reason
	stamper  wsconn.Stamper
	ws       *wsconn.Conn // nil while polling
	poll     *polling     // nil on a websocket
}

type sessionState uint8

const (
	stateOpen sessionState = iota
	// stateEnded: no message is delivered and nothing can be sent any more; the transport may still flush what is queued.
	stateEnded
)

// ID returns the session's secret id.
func (s *Session) ID() string { return s.id }

// Request returns what is kept of the handshake, nil after ForgetRequest.
func (s *Session) Request() *Request { return s.request.Load() }

// ForgetRequest frees what is kept of the handshake, for when it has been used.
func (s *Session) ForgetRequest() { s.request.Store(nil) }

// SetUserData keeps v with the session. Call it in Handler.Open only; it is not synchronised.
func (s *Session) SetUserData(v any) { s.userData = v }

// UserData returns what SetUserData was given.
func (s *Session) UserData() any { return s.userData }

// Ticket returns what the function of SetRefuse gave for the session's handshake, nil if there is none.
func (s *Session) Ticket() any { return s.ticket }

// Transport returns "polling" or "websocket".
func (s *Session) Transport() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ws != nil {
		return transportWebSocket
	}
	return transportPolling
}

// QueuedBytes returns how much is queued for the client and not yet handed to its transport.
func (s *Session) QueuedBytes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ws != nil:
		return s.ws.QueuedBytes()
	case s.poll != nil:
		return s.poll.bytes
	default:
		return 0
	}
}

// SetStamper sets what fills the slots of stamped frames, on every transport. Call it before the first such frame.
func (s *Session) SetStamper(stamper wsconn.Stamper) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stamper = stamper
	if s.ws != nil {
		s.ws.SetStamper(stamper)
	}
}

// Send queues frames for the client: all of them, adjacent and in order, or none. Text frames begin with the Engine.IO
// packet type; binary frames are raw. It never blocks and returns ErrFull or ErrClosed, after which the caller decides.
func (s *Session) Send(frames ...*wsconn.Frame) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.state != stateOpen:
		return ErrClosed
	case s.ws != nil:
		return s.sendWebSocket(frames)
	case s.poll != nil:
		return s.poll.push(frames, s.srv.cfg.MaxQueueBytes)
	default:
		return ErrClosed
	}
}

func (s *Session) sendWebSocket(frames []*wsconn.Frame) error {
	if len(frames) > 1 {
		total := s.ws.QueuedBytes()
		for _, f := range frames {
			total += len(f.Payload()) + frameOverhead
		}
		if total > s.srv.cfg.MaxQueueBytes {
			return ErrFull
		}
	}
	for i, f := range frames {
		err := s.ws.Send(f)
		switch {
		case err == nil:
			continue
		case i > 0: // half a group would make the client misread all that follows
			s.ws.Abort(err)
			return ErrClosed
		case errors.Is(err, wsconn.ErrFull):
			return ErrFull
		default:
			return ErrClosed
		}
	}
	return nil
}

// Close ends the session: the client gets what is queued and then sees its transport closed, upon which a stock client
// reconnects by itself. Closed follows on another goroutine. Only the first reason counts.
func (s *Session) Close(reason Reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != stateOpen {
		return
	}
	s.endLocked(reason)
	if s.poll != nil {
		s.poll.end(payloadClose)
	}
}

// fail ends the session because of what its client did or failed to do. Over polling, last answers the pending poll and the
// session id is gone at once.
func (s *Session) fail(reason Reason, last []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != stateOpen {
		return
	}
	s.endLocked(reason)
	if s.poll != nil {
		s.poll.empty()
		s.poll.end(last)
		s.poll.over = true
		s.srv.remove(s)
	}
}

// endLocked stops messages and sends. A websocket reports back through its Closed; a polling session is finished by the
// deadline queue, so that Handler.Closed never runs inside a call of ours that the application made.
func (s *Session) endLocked(reason Reason) {
	s.state, s.reason = stateEnded, reason
	if s.ws != nil {
		s.ws.Close(closeCode(reason), string(reason))
		return
	}
	if s.poll != nil && s.poll.probe != nil {
		s.poll.probe.dropLocked()
	}
	s.srv.deadlines.Set(&s.beat, (*heartbeat)(s), 0)
}

// finish calls Handler.Closed once the session has ended and no POST is being read; if one is, whoever reads it calls
// finish afterwards. What is queued for a poll then waits for LingerTimeout to be fetched.
func (s *Session) finish() {
	s.mu.Lock()
	if s.finished || s.state != stateEnded || s.poll != nil && s.poll.posting {
		s.mu.Unlock()
		return
	}
	s.finished = true
	reason := s.reason
	s.mu.Unlock()

	s.srv.handler.Closed(s, reason)

	s.mu.Lock()
	if s.poll != nil && !s.poll.over {
		s.poll.lingerUntil = time.Now().Add(s.srv.cfg.LingerTimeout)
		s.srv.deadlines.Set(&s.beat, (*heartbeat)(s), s.srv.cfg.LingerTimeout)
	}
	s.mu.Unlock()
	s.srv.ended()
}

// expireEnded is what the deadline queue still does for a session that has ended.
func (s *Session) expireEnded() {
	s.mu.Lock()
	if s.poll == nil || s.poll.lingerUntil.IsZero() {
		s.mu.Unlock()
		s.finish()
		return
	}
	defer s.mu.Unlock()
	if left := time.Until(s.poll.lingerUntil); left > 0 && !s.poll.over {
		s.srv.deadlines.Set(&s.beat, (*heartbeat)(s), left) // this call was meant for the time before
		return
	}
	s.srv.remove(s)
}

// takesLocked reports whether packets of a POST may be delivered: the session is open, or its client has gone, which takes
// back nothing that came before.
func (s *Session) takesLocked() bool {
	switch {
	case s.state == stateOpen:
		return true
	case s.finished:
		return false
	}
	return s.reason == ReasonTransportClose || s.reason == ReasonTransportError || s.reason == ReasonPingTimeout
}

// isOpen reports whether messages may still be delivered.
func (s *Session) isOpen() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state == stateOpen
}
