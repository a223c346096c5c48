package gateway

import (
	"context"
	"slices"
	"time"
)

// Bounds on what one session may have waiting.
const (
	maxWaiting      = 256     // requests of a lane
	maxWaitingBytes = 1 << 20 // over all lanes
)

// request is one event of a client on its way.
type request struct {
	route    *route
	event    string // where there is no route
	data     []byte
	ack      ackID
	deadline time.Time
}

// lane is the requests of one session for one service: one is made at a time,
// in the order in which the client sent them. It exists, with a goroutine,
// only while there are any; a slow service holds up no other lane.
type lane struct {
	service string
	queue   []request
}

// enqueue puts a request on its lane; false if too many wait.
func (s *Session) enqueue(q request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == closed {
		return true // nobody is there to hear of it
	}
	if s.bytes > 0 && s.bytes+len(q.data) > maxWaitingBytes {
		return false
	}
	for _, l := range s.lanes {
		if l.service != q.route.service {
			continue
		}
		if len(l.queue) >= maxWaiting {
			return false
		}
		l.queue = append(l.queue, q)
		s.bytes += len(q.data)
		return true
	}
	s.bytes += len(q.data)
	l := &lane{service: q.route.service, queue: []request{q}}
	s.lanes = append(s.lanes, l)
	s.svc.spawn(func(ctx context.Context) { s.runLane(ctx, l) })
	return true
}

func (s *Session) runLane(ctx context.Context, l *lane) {
	for {
		s.mu.Lock()
		if len(l.queue) == 0 || s.phase == closed {
			if i := slices.Index(s.lanes, l); i >= 0 {
				s.lanes = slices.Delete(s.lanes, i, i+1)
			}
			if len(s.lanes) == 0 {
				s.lanes = nil
			}
			s.mu.Unlock()
			return
		}
		q := l.queue[0]
		l.queue[0] = request{}
		l.queue = l.queue[1:]
		s.mu.Unlock()

		s.svc.handle(ctx, s, &q)

		s.mu.Lock()
		if s.phase != closed {
			s.bytes -= len(q.data)
		}
		s.mu.Unlock()
	}
}
