package gateway

import (
	"sync/atomic"
	"time"
)

// maxLeavingBytes bounds, over all connections that have ended, what their queued
// requests may hold. Beyond it the queue of the next such connection is dropped.
const maxLeavingBytes = 64 << 20

// leaving counts the sessions whose connection has ended and whose requests are still
// being carried out. A drain waits for them.
type leaving struct {
	sessions atomic.Int64
	bytes    atomic.Int64 // of their requests
}

// The services that are told of a connection's end, by the names of their lanes.
const (
	servicePresence = "presence"
	serviceCalls    = "signaling"
)

// Reasons why queued requests are dropped.
const (
	dropReasonRevoked = "revoked" // the user may do nothing more
	dropReasonFull    = "full"    // over maxLeavingBytes
)

// enterLocked takes a session whose connection has just ended. It returns how many of its
// requests were dropped. The caller holds Session.mu.
func (l *leaving) enterLocked(s *Session) (dropped int) {
	if s.lanes == nil {
		return 0
	}
	l.sessions.Add(1)
	if l.bytes.Add(int64(s.bytes)) > maxLeavingBytes {
		dropped = s.dropQueuedLocked()
	}
	return dropped
}

// carryOn counts a request that is made after its connection has ended; done is the size
// in bytes of the one before it on the lane.
func (l *leaving) carryOn(svc *Service, done int) {
	l.bytes.Add(-int64(done))
	svc.metrics.finished.Add(svc.ctx, 1)
}

// laneEnded counts the end of a lane; last is set for the session's last one.
func (l *leaving) laneEnded(done int, last bool) {
	l.bytes.Add(-int64(done))
	if last {
		l.sessions.Add(-1)
	}
}

// laneLocked returns the session's lane for a service, nil without requests.
func (s *Session) laneLocked(service string) *lane {
	l := s.lanes
	for l != nil && l.service != service {
		l = l.next
	}
	return l
}

// dropQueuedLocked empties the session's lanes. Requests under way go on.
func (s *Session) dropQueuedLocked() (requests int) {
	bytes := 0
	for l := s.lanes; l != nil; l = l.next {
		for i := range l.queue {
			bytes += len(l.queue[i].data)
		}
		requests += len(l.queue)
		clear(l.queue)
		l.queue = l.queue[:0]
	}
	s.bytes -= bytes
	if s.phase == closed {
		s.svc.leaving.bytes.Add(-int64(bytes))
	}
	return requests
}

// reportEnd reports the end of the connection to one service. It is called when the lane
// for the service has ended, so that no request of the connection follows the report.
func (s *Session) reportEnd(service string) {
	s.mu.Lock()
	at, final := time.UnixMilli(s.ended), s.final
	known, inCalls := s.announced && !s.taken, s.calls != nil && s.calls.acted
	s.mu.Unlock()
	switch {
	case service == servicePresence && known:
		s.svc.announcer.close(s, at, final)
	case service == serviceCalls && inCalls:
		s.svc.asker.left(s, at)
	}
}
