package gateway

import (
	"context"
	"slices"
	"sync"
	"time"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/wire"
)

const (
	// askSoon is what a word waits for others, so that one request tells them.
	askSoon = 20 * time.Millisecond
	// askAgain is when what could not be told is told again, at first; it doubles up to askLatest.
	askAgain  = 50 * time.Millisecond
	askLatest = time.Second
	// askLast is how long the last words at stop may take.
	askLast = 2 * time.Second
	// askRefusals is how often one word alone may fail in a way that says nothing
	// of signaling being away.
	askRefusals = 10
	// maxLeft bounds the ends that wait to be told.
	maxLeft = 10_000
)

// asker tells signaling which sockets have come, and of those in calls which are
// gone, and passes on what that has to say to those that came. One loop tells it
// in batches, until it is told: signaling may be away.
type asker struct {
	svc  *Service
	wake chan struct{}

	mu    sync.Mutex
	came  []comer // oldest first
	leave []proto.CallSocketLeft

	// The loop's own.
	most   int // words of one batch: fewer while one that is refused is looked for
	failed int // in a row
}

// comer is a session that has become live, or may have missed something.
type comer struct {
	session *Session
	was     string           // the socket that it continues, or its own
	again   *proto.CallAgain // what it lacks still of an answer that was full
}

// askBatch is one report on its way.
type askBatch struct {
	req  proto.CallSocketsReq
	came []comer
}

func (b *askBatch) len() int { return len(b.came) + len(b.req.Left) }

func newAsker(svc *Service) *asker {
	return &asker{svc: svc, wake: make(chan struct{}, 1), most: proto.MaxReport}
}

// returned has signaling asked what a session is to be told. Where that waits
// already it will be asked later than now: that will do.
func (a *asker) returned(s *Session, was string) {
	if proto.CheckID(was) != nil {
		was = ""
	}
	a.mu.Lock()
	switch {
	case !s.asked:
		s.asked = true
		a.came = append(a.came, comer{session: s, was: was})
	case was != "" && was != s.id: // the other word was not its first
		if i := slices.IndexFunc(a.came, func(c comer) bool { return c.session == s }); i >= 0 {
			a.came[i].was = was
		}
	}
	a.mu.Unlock()
	a.stir()
}

// left has it told that a session which was a side of a call is gone.
func (a *asker) left(s *Session, at time.Time) {
	a.mu.Lock()
	a.leave = append(a.leave, proto.CallSocketLeft{UserID: s.actor.User, SocketID: s.id, At: proto.At(at)})
	a.boundLocked()
	a.mu.Unlock()
	a.stir()
}

// boundLocked drops the oldest ends of too many: signaling looks after its calls
// by itself, too.
func (a *asker) boundLocked() {
	if n := len(a.leave) - maxLeft; n > 0 {
		a.leave = a.leave[n:]
		a.svc.metrics.unreported.Add(a.svc.ctx, int64(n))
	}
}

// again has signaling asked about those who have had to do with calls: events
// may have been missed.
func (a *asker) again(sessions []*Session) {
	for _, s := range sessions {
		if s.mayHaveMissed() {
			a.returned(s, s.id)
		}
	}
}

func (a *asker) stir() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

func (a *asker) waiting() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.came) + len(a.leave)
}

// run tells until ctx ends, and then once more what is left.
func (a *asker) run(ctx context.Context) error {
	for pause := askSoon; ; {
		select {
		case <-ctx.Done():
			a.end(context.WithoutCancel(ctx))
			return nil
		case <-a.wake:
		}
		if !wait(ctx, pause) {
			a.stir()
			continue
		}
		b := a.take()
		if b.len() == 0 {
			continue
		}
		pause = a.tell(ctx, b)
		if a.waiting() > 0 {
			a.stir()
		}
	}
}

// end tells what is left; where signaling is away, it looks after its calls itself.
func (a *asker) end(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, askLast)
	defer cancel()
	for b := a.take(); b.len() > 0 && ctx.Err() == nil; b = a.take() {
		if a.tell(ctx, b) > askSoon {
			return
		}
	}
}

// take makes a report of the oldest words. Sessions that have closed have
// nothing to be told any more.
func (a *asker) take() *askBatch {
	a.mu.Lock()
	defer a.mu.Unlock()
	b := &askBatch{}
	size, n := 0, 0
	for ; n < len(a.leave) && n < a.most && size < batchBytes; n++ {
		b.req.Left = append(b.req.Left, a.leave[n])
		size += len(a.leave[n].UserID) + len(a.leave[n].SocketID) + 80
	}
	if a.leave = a.leave[n:]; len(a.leave) == 0 {
		a.leave = nil
	}
	for n = 0; n < len(a.came) && b.len() < a.most && size < batchBytes; n++ {
		c := a.came[n]
		c.session.asked = false
		if c.session.is(closed) {
			continue
		}
		who := c.session.actor
		b.came = append(b.came, c)
		b.req.Returned = append(b.req.Returned, proto.CallSocket{UserID: who.User, DeviceID: who.Device, SocketID: c.session.id, Was: c.was, Again: c.again})
		size += len(who.User) + len(who.Device) + len(c.session.id) + len(c.was) + 80
	}
	clear(a.came[:n])
	if a.came = a.came[n:]; len(a.came) == 0 {
		a.came = nil
	}
	return b
}

// tell makes one report and passes on what it brings; pause is what lies before
// the next.
func (a *asker) tell(ctx context.Context, b *askBatch) (pause time.Duration) {
	res, err := services.Do(ctx, a.svc.host, proto.CallSockets, proto.Actor{Gateway: a.svc.host.InstanceID()}, b.req)
	if err != nil {
		return a.refused(ctx, b, proto.AsError(err))
	}
	a.failed, a.most = 0, min(2*a.most, proto.MaxReport)
	sessions := make(map[string]*Session, len(b.came))
	for _, c := range b.came {
		sessions[c.session.id] = c.session
	}
	for _, side := range res.Sides {
		if s := sessions[side.SocketID]; s != nil {
			s.isSide(&side)
		}
	}
	for i := range res.Events {
		if s := sessions[res.Events[i].SocketID]; s != nil && !s.is(closed) {
			a.pass(s, &res.Events[i])
		}
	}
	n := max(0, min(res.Rest, len(b.came))) // the answer was full
	for _, c := range b.came[:len(b.came)-n] {
		c.session.release()
	}
	if n > 0 {
		rest := b.came[len(b.came)-n:]
		if res.Again != nil {
			rest[0].again = res.Again
		}
		a.putBack(&askBatch{came: rest})
	}
	return askSoon
}

// refused keeps a report to be made again, in parts: what is wrong with one
// socket, or too much for one answer, must not keep all others waiting.
func (a *asker) refused(ctx context.Context, b *askBatch, err *proto.Error) (pause time.Duration) {
	away := err.Code == proto.ServiceUnavailable || err.Code == proto.Timeout
	if !away && b.len() == 1 && (!err.Code.Row().Retryable || a.failed >= askRefusals) {
		a.svc.host.Log().ErrorContext(ctx, "signaling refuses a report on a connection", "error", err)
		a.svc.metrics.unreported.Add(ctx, 1)
		a.failed = 0
		return askSoon
	}
	if err.Code != proto.ServiceUnavailable {
		a.most = max(1, b.len()/2)
	}
	if a.failed++; a.failed == 1 {
		a.svc.host.Log().DebugContext(ctx, "report sockets to signaling", "error", err)
	}
	a.putBack(b)
	if !err.Code.Row().Retryable {
		return askSoon
	}
	return min(askAgain<<min(a.failed-1, 10), askLatest)
}

// putBack puts a report's words before those that came meanwhile, and forgets
// the sessions that have closed, which may be many by now.
func (a *asker) putBack(b *askBatch) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.leave = append(b.req.Left, a.leave...)
	a.boundLocked()
	a.came = slices.DeleteFunc(append(b.came, a.came...), func(c comer) bool { return c.session.is(closed) })
	for _, c := range a.came {
		c.session.asked = true
	}
}

// pass sends a session what signaling has for it.
func (a *asker) pass(s *Session, ev *proto.SocketEvent) {
	incoming := ev.Event == proto.IncomingCallEvent.Name
	w := callWordOf(&entry{event: ev.Event, body: ev.Data}, false)
	if w == nil {
		w = &callWord{event: ev.Event}
	}
	w.call, w.brief, w.alone = ev.CallID, incoming, !incoming
	if s.hears(w) && s.send(eventFrame(s.peer.profile(), ev.Event, ev.Data)) {
		s.closeSlow()
	}
	if incoming {
		a.passCandidates(s, ev)
	}
}

// passCandidates sends the candidates so far of a call that rings, also where the session
// has had the call:incoming from the log; each candidate once.
func (a *asker) passCandidates(s *Session, ev *proto.SocketEvent) {
	if !s.lacks(ev.CallID) {
		return
	}
	defer s.fill(ev.CallID)
	var call proto.IncomingCall
	if err := wire.Restore(ev.Data, &call); err != nil {
		a.svc.host.Log().Warn("call:incoming does not parse", "error", err)
		return
	}
	for _, candidate := range call.Candidates {
		c := proto.CallCandidate{CallID: call.CallID, Candidate: candidate, FromUserID: call.CallerID}
		if s.catchesUp(call.CallID, candidateOf(&c)) {
			s.emit(proto.CallCandidateEvent.Name, c)
		}
	}
}
