package socketio

import (
	"time"

	"supmesh.dev/gateway/engineio/deadline"
)

// pendingAcks are the acks that a socket's client owes. Few servers ask for any, so a socket gets one only when needed.
type pendingAcks struct {
	socket *Socket
	entry  deadline.Entry
	next   int64
	until  map[int64]time.Time
}

func (s *Socket) addAck(timeout time.Duration) (int64, error) {
	c := s.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.state.Load() != stateConnected {
		return 0, ErrNotConnected
	}
	if s.acks == nil {
		s.acks = &pendingAcks{socket: s, until: map[int64]time.Time{}}
	}
	a := s.acks
	if len(a.until) >= c.srv.cfg.MaxPendingAcks {
		return 0, ErrTooManyAcks
	}
	id := a.next
	a.next = (a.next + 1) & MaxAckID
	a.until[id] = time.Now().Add(timeout)
	a.scheduleLocked()
	return id, nil
}

// takeAck reports whether the ack was owed, and marks it as paid.
func (s *Socket) takeAck(id int64) bool {
	c := s.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.acks == nil {
		return false
	}
	if _, owed := s.acks.until[id]; !owed {
		return false
	}
	delete(s.acks.until, id)
	s.acks.scheduleLocked()
	return true
}

// failAcks ends all acks of a socket that has left.
func (s *Socket) failAcks() {
	c := s.client
	c.mu.Lock()
	var owed map[int64]time.Time
	if s.acks != nil {
		owed, s.acks.until = s.acks.until, nil
		c.srv.deadlines.Remove(&s.acks.entry)
	}
	c.mu.Unlock()
	for id := range owed {
		c.srv.handler.Ack(s, Ack{ID: id, Err: ErrNotConnected})
	}
}

// scheduleLocked makes the entry fall due with the earliest ack. There are at most MaxPendingAcks to look at.
func (a *pendingAcks) scheduleLocked() {
	queue := a.socket.client.srv.deadlines
	if len(a.until) == 0 {
		queue.Remove(&a.entry)
		return
	}
	var first time.Time
	for _, at := range a.until {
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	queue.Set(&a.entry, a, time.Until(first))
}

// Expire implements deadline.Expirer.
func (a *pendingAcks) Expire() {
	s := a.socket
	c := s.client
	now := time.Now()
	var late []int64
	c.mu.Lock()
	for id, at := range a.until {
		if !at.After(now) {
			late = append(late, id)
			delete(a.until, id)
		}
	}
	a.scheduleLocked()
	c.mu.Unlock()
	for _, id := range late {
		c.srv.handler.Ack(s, Ack{ID: id, Err: ErrAckTimeout})
	}
}
