package gateway

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
	"supmesh.dev/services/wire"
)

// presenceService answers what the gateway asks of presence, on a real NATS, and
// lets a test decide how users are there and who may see them.
type presenceService struct {
	t    testing.TB
	host *services.Host
	stop func() error

	mu sync.Mutex
	registry
	down     bool
	hangs    bool   // open answers nobody in time
	refuse   string // no report of this user is taken
	users    map[string]proto.Presence
	denied   map[[2]string]bool // watcher, watched
	updating func()             // not nil: called before a status is taken
	made     func()             // not nil: called when an answer to subscribe is made and not yet sent
	asked    []string           // "<watcher> <watched>" of each subscribe
}

// registry is what presence knows of connections, and may lose.
type registry struct {
	fence   uint64
	leases  map[string]bool
	here    map[string]*known // by pid
	kept    map[string]*known // sessions that may return
	told    []proto.Opened    // by reports
	closed  []proto.Closed
	reports int
	quiet   int // of them
	most    int // connections told of in one report
	bad     []string
}

// known is one session.
type known struct {
	open           proto.Opened
	gateway, inbox string
	views, watches map[string]bool
}

func newRegistry() registry {
	return registry{leases: map[string]bool{}, here: map[string]*known{}, kept: map[string]*known{}}
}

func runPresence(tb testing.TB, n *servicestest.NATS, r *servicestest.Redis) *presenceService {
	tb.Helper()
	p := &presenceService{t: tb, registry: newRegistry(), users: map[string]proto.Presence{}, denied: map[[2]string]bool{}}
	p.fence = 100
	p.run(n, r)
	return p
}

func (p *presenceService) run(n *servicestest.NATS, r *servicestest.Redis) {
	p.host = servicestest.NewHost(p.t, "presence", n, r)
	p.host.Serve(
		services.On(proto.OpenSession, p.open), services.On(proto.ReportSessions, p.report, services.KeyBy(func(r *proto.ReportReq) string { return r.Gateway })),
		services.On(proto.RenewLease, p.lease), services.On(proto.SubscribePresence, p.subscribe), services.On(proto.UpdatePresence, p.update),
	)
	p.stop = servicestest.Run(p.t, p.host, servicestest.Service{})
}

// with changes what presence knows, or reads it.
func (p *presenceService) with(fn func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fn()
}

func (p *presenceService) await(reason string, cond func() bool) {
	p.t.Helper()
	servicestest.Eventually(p.t, patience, reason, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return cond()
	})
}

var errDown = &proto.Error{Code: proto.ServiceUnavailable, Message: "down"}

func (p *presenceService) nextFence() uint64 { p.fence++; return p.fence }

func (p *presenceService) open(ctx context.Context, req proto.OpenSessionReq) (proto.OpenSessionRes, error) {
	actor := actorOf(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hangs {
		p.mu.Unlock()
		<-ctx.Done()
		p.mu.Lock()
		return proto.OpenSessionRes{}, ctx.Err()
	}
	if p.down {
		return proto.OpenSessionRes{}, errDown
	}
	k := &known{gateway: req.Gateway, inbox: req.Inbox, views: map[string]bool{}, watches: map[string]bool{}, open: proto.Opened{
		UserID: actor.User, DeviceID: actor.Device, PID: req.PID, SocketID: actor.Socket, Fence: p.nextFence(), Status: proto.StatusOnline,
	}}
	res := proto.OpenSessionRes{Fence: k.open.Fence, Status: proto.StatusOnline}
	if old := p.kept[req.Returns]; old != nil && old.open.UserID == actor.User && old.open.DeviceID == actor.Device {
		if live := p.here[req.Returns]; live != nil {
			delete(p.here, req.Returns)
			p.takeOver(live, live.open.Fence)
		}
		delete(p.kept, req.Returns)
		k.views, k.watches, k.open.Status = old.views, old.watches, old.open.Status
		res.Returned, res.Status, res.Was = true, old.open.Status, old.open.SocketID
		res.Views, res.Watches = slices.Sorted(maps.Keys(old.views)), slices.Sorted(maps.Keys(old.watches))
	}
	p.here[req.PID], p.kept[req.PID] = k, k
	for _, other := range p.here {
		if other.open.UserID == actor.User && other.inbox != req.Inbox {
			res.Elsewhere++
		}
	}
	return res, nil
}

func (p *presenceService) takeOver(k *known, fence uint64) {
	body, err := wire.Marshal(proto.Takeover{UserID: k.open.UserID, SocketID: k.open.SocketID, PID: k.open.PID, Fence: fence})
	require.NoError(p.t, err)
	require.NoError(p.t, p.host.PublishEphemeral(proto.GatewayInbox(proto.Token(k.inbox), "takeover"), proto.TakeoverEvent, services.Except{}, body))
}

func (p *presenceService) report(_ context.Context, req proto.ReportReq) (proto.ReportRes, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		return proto.ReportRes{}, errDown
	}
	if !p.leases[req.Gateway] {
		p.bad = append(p.bad, "a report without a lease")
	}
	p.reports++
	if req.Quiet {
		p.quiet++
	}
	for _, o := range req.Opened {
		if p.refuse != "" && o.UserID == p.refuse {
			return proto.ReportRes{}, proto.Errorf(proto.InvalidPayload, "that one")
		}
	}
	var res proto.ReportRes
	for _, c := range req.Closed {
		k := p.kept[c.PID]
		if k == nil || k.open.Fence != c.Fence {
			p.bad = append(p.bad, "closed what is not known: "+c.UserID)
			continue
		}
		if !slices.Contains(p.closed, c) { // said again, since the answer was lost: it changes nothing
			p.closed = append(p.closed, c)
		}
		delete(p.here, c.PID)
		if c.Final {
			delete(p.kept, c.PID)
		}
	}
	p.most = max(p.most, len(req.Opened))
	for _, o := range req.Opened {
		p.told = append(p.told, o)
		if k := p.kept[o.PID]; k != nil && k.open.Fence > o.Fence && o.Fence != 0 {
			res.Superseded = append(res.Superseded, o.PID)
			continue
		}
		if o.Fence == 0 {
			o.Fence = p.nextFence()
			res.Fences = append(res.Fences, proto.Fenced{PID: o.PID, Fence: o.Fence})
		}
		k := p.kept[o.PID]
		if k == nil {
			k = &known{views: map[string]bool{}, watches: map[string]bool{}}
		}
		k.open, k.gateway, k.inbox = o, req.Gateway, req.Inbox
		p.here[o.PID], p.kept[o.PID] = k, k
	}
	for i, views := range [][]proto.View{req.Ended, req.Began} {
		for _, v := range views {
			if k := p.fenced(v.PID, v.Fence); k != nil {
				set(k.views, v.ChatID, i == 1)
			}
		}
	}
	for i, watches := range [][]proto.Watch{req.Unwatched, req.Watched} {
		for _, w := range watches {
			if k := p.fenced(w.PID, w.Fence); k != nil {
				for _, user := range w.UserIDs {
					set(k.watches, user, i == 1)
				}
			}
		}
	}
	return res, nil
}

func set(m map[string]bool, key string, in bool) {
	if in {
		m[key] = true
	} else {
		delete(m, key)
	}
}

func (p *presenceService) fenced(pid string, fence uint64) *known {
	if k := p.kept[pid]; k != nil && k.open.Fence == fence {
		return k
	}
	p.bad = append(p.bad, "a view or a watch of a session that is not known")
	return nil
}

func (p *presenceService) lease(_ context.Context, req proto.LeaseReq) (proto.LeaseRes, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.down:
		return proto.LeaseRes{}, errDown
	case req.Begin:
		p.leases[req.Gateway] = true
	case req.End:
		delete(p.leases, req.Gateway)
	}
	return proto.LeaseRes{Known: p.leases[req.Gateway]}, nil
}

func (p *presenceService) subscribe(ctx context.Context, req proto.SubscribePresenceReq) (proto.SubscribePresenceRes, error) {
	actor := actorOf(ctx)
	p.mu.Lock()
	down, made := p.down, p.made
	res := proto.SubscribePresenceRes{Presences: []proto.Presence{}, Denied: []string{}}
	for _, user := range req.UserIDs {
		p.asked = append(p.asked, actor.User+" "+user)
		state, ok := p.users[user]
		if p.denied[[2]string{actor.User, user}] {
			res.Denied = append(res.Denied, user)
			ok = false
		}
		if !ok {
			state = proto.Presence{UserID: user, Status: proto.StatusOffline}
		}
		res.Presences = append(res.Presences, state)
	}
	p.mu.Unlock()
	if down {
		return proto.SubscribePresenceRes{}, errDown
	}
	if made != nil {
		made()
	}
	return res, nil
}

func (p *presenceService) update(ctx context.Context, req proto.UpdatePresenceReq) (proto.UpdatePresenceRes, error) {
	actor := actorOf(ctx)
	p.mu.Lock()
	updating := p.updating
	p.mu.Unlock()
	if updating != nil {
		updating()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		return proto.UpdatePresenceRes{}, errDown
	}
	own := &proto.OwnPresence{By: actor.Device, At: time.Now().UnixMilli()}
	if s := req.Wanted(); s == proto.StatusBusy || s == proto.StatusOffline {
		own.Status = s
	}
	body, err := wire.Marshal(own)
	require.NoError(p.t, err)
	_, err = p.host.JetStream().Publish(ctx, proto.UserStatus(token(p.t, actor.User)), body)
	require.NoError(p.t, err)
	return proto.UpdatePresenceRes{Status: req.Wanted(), EffectiveStatus: req.Wanted(), LastSeen: 1, Own: own}, nil
}

// asks has fn bring the gateway to ask again, and waits until it has.
func (p *presenceService) asks(fn func()) {
	p.t.Helper()
	p.with(func() { p.asked = nil })
	fn()
	p.await("presence was asked", func() bool { return len(p.asked) > 0 })
}

// is sets how a user is there without telling anybody.
func (p *presenceService) is(user string, status proto.Status, version uint64) proto.Presence {
	p.mu.Lock()
	defer p.mu.Unlock()
	state := proto.Presence{UserID: user, Status: status, Version: version}
	if status == proto.StatusOffline {
		state.LastSeen = 1700000000000
	}
	p.users[user] = state
	return state
}

// becomes is is, and tells it.
func (p *presenceService) becomes(user string, status proto.Status, version uint64) {
	p.t.Helper()
	p.publish(p.is(user, status, version))
}

func (p *presenceService) publish(state proto.Presence) {
	p.t.Helper()
	body, err := wire.Marshal(state)
	require.NoError(p.t, err)
	p.notice(state.UserID, proto.PresenceEvent.Name, body)
}

func (p *presenceService) notice(user, event string, body []byte) {
	p.t.Helper()
	require.NoError(p.t, p.host.PublishEphemeral(proto.PresenceEph(token(p.t, user)), event, services.Except{}, body))
}

func (p *presenceService) deny(watcher, user string, no bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.denied[[2]string{watcher, user}] = no
}

// viewing is the users of whom some socket is told to have a chat open.
func (p *presenceService) viewing(chat string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	users := map[string]bool{}
	for _, k := range p.here {
		if k.views[chat] {
			users[k.open.UserID] = true
		}
	}
	return slices.Sorted(maps.Keys(users))
}
