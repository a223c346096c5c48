package gateway

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"supmesh.dev/proto"
	"supmesh.dev/services"
)

const (
	// leaseEvery is how often presence hears that this gateway lives.
	leaseEvery = 10 * time.Second
	// announceAgain is when what could not be told is told again.
	announceAgain = time.Second
	// announcePace lies between two batches while there are more of them.
	announcePace = 25 * time.Millisecond
	// openedPace is the time that telling one connection again takes at least:
	// 2,000 a second. Each costs presence a record.
	openedPace = 500 * time.Microsecond
	// announceLast is how long the last words at stop may take.
	announceLast = 2 * time.Second
)

// announcer tells presence which connections are here, what they have open and
// whom they watch. Sessions note what changed; one loop tells it in batches, in
// order for each session, until it is told. What presence knows goes with Redis:
// then everything is told again, under a new name, so that what is left of the
// old one can be swept whenever.
type announcer struct {
	svc     *Service
	every   time.Duration // of the lease
	wake    chan struct{}
	trouble atomic.Bool // the last thing could not be told

	mu    sync.Mutex
	name  string // in the lease
	news  map[*Session]*news
	order []*Session // of news, oldest first

	// The loop's own.
	begun bool   // the name has a lease
	names int    // that there have been
	seq   uint64 // of the last report
	most  int    // sessions of one report: fewer while one that is refused is looked for
}

func newAnnouncer(svc *Service) *announcer {
	a := &announcer{svc: svc, every: leaseEvery, most: proto.MaxReport, wake: make(chan struct{}, 1), news: make(map[*Session]*news)}
	a.rename()
	return a
}

// called is this gateway's name of now. What is told under it after it has got
// another is told again under that one.
func (a *announcer) called() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.name
}

func (a *announcer) rename() {
	name := a.svc.host.InstanceID() + "." + a.svc.run + "." + strconv.Itoa(a.names)
	if proto.CheckID(name) != nil { // an INSTANCE_ID that is no id
		name = a.svc.run + "." + strconv.Itoa(a.names)
	}
	a.names++
	a.begun = false
	a.mu.Lock()
	a.name = name
	a.mu.Unlock()
}

// run tells until ctx ends, and then that this gateway has no connections any more.
func (a *announcer) run(ctx context.Context) error {
	lease := time.NewTicker(a.every)
	defer lease.Stop()
	next := time.NewTimer(0) // to begin the lease
	defer next.Stop()
	for armed := true; ; {
		select {
		case <-ctx.Done():
			a.end(context.WithoutCancel(ctx))
			return nil
		case <-lease.C:
			a.renew(ctx)
			continue
		case <-a.wake:
			if armed {
				continue
			}
		case <-next.C:
			armed = false
		}
		if pause, more := a.tellSome(ctx); more {
			armed = true
			next.Reset(pause)
		}
	}
}

// tellSome tells one batch; more says that there is something to tell after a pause.
func (a *announcer) tellSome(ctx context.Context) (pause time.Duration, more bool) {
	if !a.begun && !a.begin(ctx) {
		return announceAgain, true
	}
	b := a.take()
	if len(b.parts) == 0 {
		return 0, false
	}
	if !a.tell(ctx, b) {
		return announceAgain, true
	}
	// What is told may bring more: a fence, with which the rest can be told.
	a.mu.Lock()
	defer a.mu.Unlock()
	return max(announcePace, time.Duration(len(b.req.Opened))*openedPace), len(a.order) > 0
}

// tell makes one report, and takes what it says of the connections.
func (a *announcer) tell(ctx context.Context, b *batch) bool {
	res, err := services.Do(ctx, a.svc.host, proto.ReportSessions, a.actor(), b.req)
	a.trouble.Store(err != nil)
	if err != nil {
		if proto.AsError(err).Code.Row().Retryable {
			a.svc.host.Log().DebugContext(ctx, "report sessions", "error", err)
			a.putBack(b)
			return false
		}
		return a.refused(ctx, b, err)
	}
	a.most = min(2*a.most, proto.MaxReport)
	fences := make(map[string]*proto.Fenced, len(res.Fences))
	for i := range res.Fences {
		fences[res.Fences[i].PID] = &res.Fences[i]
	}
	over := make(map[string]bool, len(res.Superseded))
	for _, pid := range res.Superseded {
		over[pid] = true
	}
	for _, p := range b.parts {
		if f := fences[p.session.pid]; f != nil {
			p.session.fence.Store(f.Fence)
			p.session.learnOwn(f.Own)
		}
		if p.news.opened && over[p.session.pid] {
			p.session.takenOver()
		}
		p.news.done()
	}
	return true
}

// refused goes on after a report that would be refused again: what is wrong with
// one session must not keep all others from being told.
func (a *announcer) refused(ctx context.Context, b *batch, err error) bool {
	if len(b.parts) > 1 {
		a.most = len(b.parts) / 2
		a.putBack(b)
		return true
	}
	a.svc.host.Log().ErrorContext(ctx, "presence refuses a report", "error", err)
	for _, p := range b.parts {
		p.news.done()
	}
	return true
}

// begin takes a lease under the name.
func (a *announcer) begin(ctx context.Context) bool {
	_, err := services.Do(ctx, a.svc.host, proto.RenewLease, a.actor(), proto.LeaseReq{Gateway: a.called(), Begin: true})
	a.trouble.Store(err != nil)
	if err != nil {
		a.svc.host.Log().DebugContext(ctx, "begin lease", "error", err)
		return false
	}
	a.begun = true
	return true
}

// renew says that this gateway lives. Where that is news, everything is told again.
func (a *announcer) renew(ctx context.Context) {
	if !a.begun {
		return
	}
	res, err := services.Do(ctx, a.svc.host, proto.RenewLease, a.actor(), proto.LeaseReq{Gateway: a.called()})
	a.trouble.Store(err != nil)
	if err != nil {
		a.svc.host.Log().WarnContext(ctx, "renew lease", "error", err)
		return
	}
	if res.Known {
		return
	}
	a.svc.host.Log().WarnContext(ctx, "presence does not know this gateway: telling everything again", "taken for dead", res.Swept)
	a.rename()
	for _, s := range a.svc.hub.everyone() {
		if s.isAnnounced() { // who is not is told under the new name
			a.open(s)
			a.watch(s, s.watching(), true)
		}
	}
	for _, t := range all(&a.svc.hub.chats) {
		t.mu.Lock()
		if t.view != nil {
			for _, s := range t.view.sessions {
				a.view(t.chat, s, true, !res.Swept)
			}
		}
		t.mu.Unlock()
	}
}

// end tells what is left and gives the lease back.
func (a *announcer) end(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, announceLast)
	defer cancel()
	if !a.begun {
		return
	}
	for more := true; more; {
		b := a.take()
		if more = len(b.parts) > 0; more && !a.tell(ctx, b) {
			return // it is swept
		}
	}
	if _, err := services.Do(ctx, a.svc.host, proto.RenewLease, a.actor(), proto.LeaseReq{Gateway: a.called(), End: true}); err != nil {
		a.svc.host.Log().DebugContext(ctx, "end lease", "error", err)
	}
}

func (a *announcer) actor() proto.Actor { return proto.Actor{Gateway: a.svc.host.InstanceID()} }
