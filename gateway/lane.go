package gateway

import (
	"context"
	"sync/atomic"
	"time"

	"supmesh.dev/proto"
	"supmesh.dev/services"
)

// Bounds on what one session may have waiting.
const (
	maxWaiting      = 256     // requests of a lane
	maxWaitingBytes = 1 << 20 // over all lanes
	keepWaiting     = 16      // room of a lane's queue that is used again
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
// in the order in which the client sent them. It exists only while there are
// any, and has no goroutine: the first is made by whoever brings it, the next
// by whoever brings the end of the one before. A slow service holds up no other
// lane. The end of the connection does not end a lane: what was read is carried
// out within its deadline, and only its answers are lost (leaving.go).
type lane struct {
	session *Session
	service string
	next    *lane     // of the session
	queue   []request // Session.mu guards it
	made    request   // the one being made; belongs to whoever drives the lane
	turn    atomic.Uint32
	room    chan struct{} // closed when half of the queue is free; nil: nobody waits. Session.mu guards it
	stuck   bool          // nobody is to wait before half of the queue is free. Session.mu guards it
	taken   uint32        // requests made so far. Session.mu guards it

	// The lane's own methods as callbacks, which are made once: lanes are reused.
	limited  func(ok bool, retryAfter time.Duration)
	answered func(services.Reply)
}

// What has become of the request being made. It may have ended before whoever
// began it hears of it; then that one goes on with the next, in a loop, since
// with an end inside each beginning a full lane would be a deep stack.
const (
	turnBegun uint32 = iota
	turnWaits        // whoever ends it goes on
	turnOver         // whoever began it goes on
)

func newLane() any {
	l := &lane{}
	l.limited, l.answered = l.afterLimit, l.afterReply
	return l
}

// enqueue puts a request on its lane; ok is false if too many wait there, or too
// many bytes in all. A lane that did not exist is idle: it is the caller's to drive.
func (s *Session) enqueue(q request) (idle *lane, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == closed || s.revoked {
		return nil, true // the connection is over: there is no one to answer
	}
	if s.bytes > 0 && s.bytes+len(q.data) > maxWaitingBytes {
		return nil, false
	}
	l := s.laneLocked(q.route.service)
	if l == nil {
		l = s.svc.lanes.Get().(*lane) //nolint:forcetypeassert // the pool holds nothing else
		l.session, l.service, l.next = s, q.route.service, s.lanes
		s.lanes = l
		idle = l
	} else if len(l.queue) >= maxWaiting {
		return nil, false
	}
	l.queue = append(l.queue, q)
	s.bytes += len(q.data)
	return idle, true
}

// How long an event waits for room in its lane: while the lane goes on, and in all.
const (
	laneStall = 3 * time.Second
	laneWait  = 15 * time.Second
)

// awaitRoom waits until half of the service's lane is free, for an app that sends at once what it has buffered. Nothing more
// is read from the client meanwhile. It returns false at once where an event has waited in vain since there was room.
func (s *Session) awaitRoom(service string) bool {
	s.mu.Lock()
	l := s.lanes
	for l != nil && l.service != service {
		l = l.next
	}
	if l == nil || l.stuck {
		s.mu.Unlock()
		return false
	}
	if l.room == nil {
		l.room = make(chan struct{})
	}
	room, taken := l.room, l.taken
	s.mu.Unlock()
	stall := time.NewTicker(laneStall)
	defer stall.Stop()
	for began := time.Now(); ; {
		select {
		case <-room:
			return true
		case <-stall.C:
		}
		s.mu.Lock()
		switch {
		case l.room != room: // it came in this moment
			s.mu.Unlock()
			return true
		case l.taken == taken || time.Since(began) > laneWait:
			l.room, l.stuck = nil, true
			s.mu.Unlock()
			return false
		}
		taken = l.taken
		s.mu.Unlock()
	}
}

// freeLocked lets go whoever waits for room.
func (l *lane) freeLocked() {
	l.stuck = false
	if l.room != nil {
		close(l.room)
		l.room = nil
	}
}

// drive makes the lane's requests until one has to be waited for, or there is none.
func (l *lane) drive() {
	for l.take() {
		l.turn.Store(turnBegun)
		l.begin()
		if l.turn.CompareAndSwap(turnBegun, turnWaits) {
			return
		}
	}
}

// over says that the request has been answered. The lane may be another's after it.
func (l *lane) over() {
	if l.turn.Swap(turnOver) == turnWaits {
		l.drive()
	}
}

// take makes the next request the current one. Without one the lane is given up.
func (l *lane) take() bool {
	s := l.session
	s.mu.Lock()
	gone, done := s.phase == closed, len(l.made.data)
	s.bytes -= done
	if len(l.queue) > 0 {
		l.made = l.queue[0]
		n := copy(l.queue, l.queue[1:])
		l.queue[n] = request{}
		l.queue = l.queue[:n]
		l.taken++
		if n <= maxWaiting/2 {
			l.freeLocked()
		}
		if s.header == "" {
			s.header = s.actor.Header()
		}
		s.mu.Unlock()
		if gone {
			s.svc.leaving.carryOn(s.svc, done)
		}
		return true
	}
	l.freeLocked()
	for at := &s.lanes; *at != nil; at = &(*at).next {
		if *at == l {
			*at = l.next
			break
		}
	}
	last, service := s.lanes == nil, l.service
	s.mu.Unlock()
	if gone {
		s.reportEnd(service)
		s.svc.leaving.laneEnded(done, last)
	}
	if cap(l.queue) > keepWaiting {
		l.queue = nil
	}
	clear(l.queue)
	l.session, l.next, l.queue, l.made = nil, nil, l.queue[:0], request{}
	s.svc.lanes.Put(l)
	return false
}

// begin has the current request made: its limit looked at, then its service asked.
func (l *lane) begin() {
	q := &l.made
	if !time.Now().Before(q.deadline) {
		l.refuse(&proto.Error{Code: proto.ServiceUnavailable, Message: "the request waited too long", RetryAfter: time.Second})
		return
	}
	l.session.svc.limiter.AllowThen(q.route.row.Event, string(l.session.user), l.limited)
}

func (l *lane) afterLimit(ok bool, retryAfter time.Duration) {
	q, svc := &l.made, l.session.svc
	row := &q.route.row
	switch {
	case !ok && q.route.over != nil:
		l.answerHere(svc.ctx, q.route.over) // which does not wait
	case !ok:
		svc.metrics.limited(row.Event)
		l.refuse(&proto.Error{Code: proto.RateLimitExceeded, Message: "too many requests of this kind", RetryAfter: retryAfter})
	case q.route.local == nil:
		svc.host.Ask(svc.ctx, services.Question{
			Subject: row.Subject, Actor: l.session.header, Body: q.data, Idempotent: row.Idempotent, Timeout: max(time.Until(q.deadline), 1),
		}, l.answered)
	case !svc.spawn(l.runLocal):
		l.refuse(&proto.Error{Code: proto.ServerShutdown, Message: "the server is stopping"})
	}
}

func (l *lane) afterReply(r services.Reply) {
	if l.made.route.call != noCall {
		l.session.tookPart(l.made.route.call, &r)
	}
	l.session.answer(&l.made, r.Body, r.Err, r.RequestID)
	l.over()
}

// runLocal answers what the gateway itself answers, which may wait for others.
func (l *lane) runLocal(ctx context.Context) { l.answerHere(ctx, l.made.route.local) }

func (l *lane) answerHere(ctx context.Context, handle localHandler) {
	defer l.over()
	body, err := handle(ctx, l.session, l.made.data)
	if err != nil {
		l.session.answer(&l.made, nil, proto.AsError(err), newRequestID())
		return
	}
	l.session.answer(&l.made, body, nil, "")
}

func (l *lane) refuse(err *proto.Error) {
	l.session.answer(&l.made, nil, err, newRequestID())
	l.over()
}
