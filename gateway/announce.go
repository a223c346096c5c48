package gateway

import (
	"context"
	"strconv"
	"sync"
	"time"

	"supmesh.dev/proto"
	"supmesh.dev/services"
)

const (
	// leaseEvery is how often chat hears that this gateway lives.
	leaseEvery = 10 * time.Second
	// announceAgain is when what could not be told, or was refused, is told again.
	announceAgain = time.Second
	// announcePace lies between two full batches: 10,000 viewers a second.
	announcePace = 25 * time.Millisecond
	// announceBytes bounds a batch, for the message limit of NATS.
	announceBytes = 64 << 10
	// announceLast is how long the last words at stop may take.
	announceLast = 2 * time.Second
)

// announcer tells chat which sessions have which chats open. Sessions note what
// changed; one loop tells it in batches, in order, until it is told. What chat
// knows goes with Redis: then everything is told again, under a new name, so
// that what is left of the old one can be swept whenever.
type announcer struct {
	svc   *Service
	every time.Duration // of the lease
	wake  chan struct{}

	mu      sync.Mutex
	pending map[viewKey]*viewChange
	order   []viewKey // of pending, oldest first
	refused []viewKey

	// The loop's own.
	name  string // in the lease
	names int    // that there have been
}

type viewKey struct {
	chat    string
	session *Session
}

// viewChange is what is to be told of one session in one chat.
type viewChange struct {
	viewing bool
	quiet   bool          // clients know
	told    chan struct{} // closed when chat has it
}

func newAnnouncer(svc *Service) *announcer {
	return &announcer{svc: svc, every: leaseEvery, wake: make(chan struct{}, 1), pending: make(map[viewKey]*viewChange)}
}

// note has a change told soon; only the last of one session and chat counts.
// The caller holds the topic's lock, so that this is what is so.
func (a *announcer) note(chat string, s *Session, viewing, quiet bool) (told <-chan struct{}) {
	key := viewKey{chat, s}
	a.mu.Lock()
	c := a.pending[key]
	if c == nil {
		c = &viewChange{quiet: quiet, told: make(chan struct{})}
		a.pending[key] = c
		a.order = append(a.order, key)
	}
	c.viewing, c.quiet = viewing, c.quiet && quiet
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
	return c.told
}

// run tells until ctx ends, and then that this gateway has no viewers any more.
func (a *announcer) run(ctx context.Context) error {
	lease := time.NewTicker(a.every)
	defer lease.Stop()
	again := time.NewTimer(0)
	defer again.Stop()
	for armed := true; ; {
		select {
		case <-ctx.Done():
			a.end(context.WithoutCancel(ctx))
			return nil
		case <-a.wake:
		case <-again.C:
			armed = false
			a.retryRefused()
		case <-lease.C:
			a.renew(ctx)
		}
		if !a.tellAll(ctx) && !armed {
			armed = true
			again.Reset(announceAgain)
		}
	}
}

// tellAll tells what is pending; false if something is left to be told.
func (a *announcer) tellAll(ctx context.Context) (done bool) {
	if a.name == "" && !a.begin(ctx) {
		return false
	}
	for {
		keys, changes, more := a.take()
		if len(keys) == 0 {
			a.mu.Lock()
			defer a.mu.Unlock()
			return len(a.refused) == 0
		}
		if !a.tell(ctx, keys, changes) {
			return false
		}
		if more && !wait(ctx, announcePace) {
			return false
		}
	}
}

// take takes one batch, all of it quiet or none, from what is pending.
func (a *announcer) take() (keys []viewKey, changes []*viewChange, more bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	size := 0
	for _, key := range a.order {
		c := a.pending[key]
		if len(keys) == proto.MaxViewChanges || size > announceBytes || len(changes) > 0 && c.quiet != changes[0].quiet {
			break
		}
		size += len(key.chat) + len(key.session.actor.User) + len(key.session.id) + 64
		keys, changes = append(keys, key), append(changes, c)
		delete(a.pending, key)
	}
	a.order = a.order[len(keys):]
	if len(a.order) == 0 {
		a.order = nil
	}
	return keys, changes, len(a.order) > 0
}

func (a *announcer) tell(ctx context.Context, keys []viewKey, changes []*viewChange) bool {
	req := proto.ViewReq{Gateway: a.name, Quiet: changes[0].quiet}
	for i, key := range keys {
		v := proto.View{ChatID: key.chat, UserID: key.session.actor.User, SocketID: key.session.id}
		if changes[i].viewing {
			req.Began = append(req.Began, v)
		} else {
			req.Ended = append(req.Ended, v)
		}
	}
	res, err := services.Do(ctx, a.svc.host, proto.ViewChats, a.actor(), req)
	if err != nil {
		a.svc.host.Log().DebugContext(ctx, "tell who views", "error", err)
		a.putBack(keys, changes)
		return false
	}
	refused := make(map[proto.View]bool, len(res.Refused))
	for _, v := range res.Refused {
		refused[v] = true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, key := range keys {
		close(changes[i].told)
		if changes[i].viewing && refused[proto.View{ChatID: key.chat, UserID: key.session.actor.User, SocketID: key.session.id}] {
			a.refused = append(a.refused, key)
		}
	}
	return true
}

// putBack makes changes pending again, before those that came meanwhile; where
// one of these is about the same, it counts.
func (a *announcer) putBack(keys []viewKey, changes []*viewChange) {
	a.mu.Lock()
	defer a.mu.Unlock()
	back := make([]viewKey, 0, len(keys)+len(a.order))
	for i, key := range keys {
		if newer := a.pending[key]; newer != nil {
			newer.quiet = newer.quiet && changes[i].quiet
			close(changes[i].told) // nobody waits for what is not so any more
			continue
		}
		a.pending[key] = changes[i]
		back = append(back, key)
	}
	a.order = append(back, a.order...)
}

// retryRefused tells again what chat refused, where it is still so: chat may
// not have known yet that the user is a member.
func (a *announcer) retryRefused() {
	a.mu.Lock()
	keys := a.refused
	a.refused = nil
	a.mu.Unlock()
	for _, key := range keys {
		if t := a.svc.hub.chatOf(key.chat); t != nil {
			t.mu.Lock()
			if t.viewsLocked(key.session) {
				a.note(key.chat, key.session, true, false)
			}
			t.mu.Unlock()
		}
	}
}

// begin takes a lease under a new name.
func (a *announcer) begin(ctx context.Context) bool {
	name := a.svc.host.InstanceID() + "." + a.svc.run + "." + strconv.Itoa(a.names)
	if proto.CheckID(name) != nil { // an INSTANCE_ID that is no id
		name = a.svc.run + "." + strconv.Itoa(a.names)
	}
	if _, err := services.Do(ctx, a.svc.host, proto.RenewLease, a.actor(), proto.LeaseReq{Gateway: name, Begin: true}); err != nil {
		a.svc.host.Log().DebugContext(ctx, "begin lease", "error", err)
		return false
	}
	a.name = name
	a.names++
	return true
}

// renew says that this gateway lives. Where that is news, everything is told again.
func (a *announcer) renew(ctx context.Context) {
	if a.name == "" {
		return
	}
	res, err := services.Do(ctx, a.svc.host, proto.RenewLease, a.actor(), proto.LeaseReq{Gateway: a.name})
	if err != nil {
		a.svc.host.Log().WarnContext(ctx, "renew lease", "error", err)
		return
	}
	if res.Known {
		return
	}
	a.svc.host.Log().WarnContext(ctx, "chat does not know this gateway: telling all viewers again", "taken for dead", res.Swept)
	a.name = ""
	for _, t := range all(&a.svc.hub.chats) {
		t.mu.Lock()
		if t.view != nil {
			for _, s := range t.view.sessions {
				a.note(t.chat, s, true, !res.Swept)
			}
		}
		t.mu.Unlock()
	}
}

// end tells what is left and gives the lease back.
func (a *announcer) end(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, announceLast)
	defer cancel()
	if a.name == "" || !a.tellAll(ctx) {
		return // it is swept
	}
	if _, err := services.Do(ctx, a.svc.host, proto.RenewLease, a.actor(), proto.LeaseReq{Gateway: a.name, End: true}); err != nil {
		a.svc.host.Log().DebugContext(ctx, "end lease", "error", err)
	}
}

func (a *announcer) actor() proto.Actor { return proto.Actor{Gateway: a.svc.host.InstanceID()} }
