package gateway

import (
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"supmesh.dev/proto"
	"supmesh.dev/services/wire"
)

// watched is a user whose presence sessions here have subscribed. It exists, and
// is subscribed, as long as there are any.
//
// Locks are taken in this order: shard, watched, session.
type watched struct {
	user  string
	token proto.Token

	mu       sync.Mutex
	sub      subscription
	watchers []watcher
	last     *proto.Presence // the newest change that came here; nil: none has
}

// watcher is one session that has subscribed.
type watcher struct {
	session *Session
	version uint64 // of what it was told last; 0: that is none
	doubt   uint32 // Unix seconds: since when presence does not know the user any more; 0: it does
	sight   sight
}

// sight is whether a session may see the user.
type sight uint8

const (
	unclear sight = iota // presence has not said yet
	sighted
	denied
)

// watchHub knows the watched users, in shards.
type watchHub struct {
	svc    *Service
	seed   maphash.Seed
	shards [hubShards]watchShard
}

type watchShard struct {
	mu    sync.RWMutex
	users map[proto.Token]*watched
}

func newWatchHub(svc *Service) *watchHub { return &watchHub{svc: svc, seed: maphash.MakeSeed()} }

func (h *watchHub) shard(user proto.Token) *watchShard {
	return &h.shards[maphash.String(h.seed, string(user))%hubShards]
}

// get is a watched user, nil if nobody here watches.
func (h *watchHub) get(user proto.Token) *watched {
	s := h.shard(user)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.users[user]
}

// watch has a session watch a user; fresh says that it did not already. From
// here on no change is missed. nil if the session has closed.
func (h *watchHub) watch(s *Session, user string) (w *watched, fresh bool, err error) {
	token, err := proto.EncodeID(user)
	if err != nil {
		return nil, false, err
	}
	shard := h.shard(token)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	w = shard.users[token]
	if w == nil {
		w = &watched{user: user, token: token}
		if w.sub, err = h.svc.store.subscribe(proto.PresenceEph(token)); err != nil {
			return nil, false, err
		}
		if shard.users == nil {
			shard.users = make(map[proto.Token]*watched)
		}
		shard.users[token] = w
		h.svc.metrics.watched.Add(1)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.findLocked(s) != nil {
		return w, false, nil
	}
	if !s.beginWatch(w) {
		h.pruneLocked(shard, w)
		return nil, false, nil
	}
	sees := unclear
	if s.user == token {
		sees = sighted
	}
	w.watchers = append(w.watchers, watcher{session: s, sight: sees})
	h.svc.metrics.watches.Add(1)
	return w, true, nil
}

// leave ends a session's watching of a user.
func (h *watchHub) leave(w *watched, s *Session) {
	shard := h.shard(w.token)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	i := w.indexLocked(s)
	if i < 0 {
		return
	}
	last := len(w.watchers) - 1
	w.watchers[i] = w.watchers[last]
	w.watchers[last] = watcher{}
	w.watchers = w.watchers[:last]
	s.endWatch(w)
	h.svc.metrics.watches.Add(-1)
	h.svc.lag.drop(s, latestPresence(w.token))
	h.pruneLocked(shard, w)
}

func (h *watchHub) pruneLocked(shard *watchShard, w *watched) {
	if len(w.watchers) == 0 {
		w.sub.end()
		delete(shard.users, w.token)
		h.svc.metrics.watched.Add(-1)
	}
}

func (w *watched) indexLocked(s *Session) int {
	return slices.IndexFunc(w.watchers, func(x watcher) bool { return x.session == s })
}

func (w *watched) findLocked(s *Session) *watcher {
	if i := w.indexLocked(s); i >= 0 {
		return &w.watchers[i]
	}
	return nil
}

// seen is the version of the newest change that has come here.
func (w *watched) seen() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seenLocked()
}

func (w *watched) seenLocked() uint64 {
	if w.last == nil {
		return 0
	}
	return w.last.Version
}

// sessions is who watches.
func (w *watched) sessions() []*Session {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]*Session, len(w.watchers))
	for i := range w.watchers {
		out[i] = w.watchers[i].session
	}
	return out
}

// passPresence takes what came on the subject of a watched user. It is called by
// the goroutine of the fan-out.
func (svc *Service) passPresence(user proto.Token, e *ephemeral) {
	w := svc.watched.get(user)
	if w == nil {
		return
	}
	switch e.event {
	case proto.RecheckPresence:
		svc.checks.watched(w)
		return
	case proto.PresenceEvent.Name:
	default: // of a later version
		return
	}
	p := new(proto.Presence)
	if err := wire.Restore(e.body, p); err != nil {
		svc.host.Log().Warn("presence does not parse", "error", err)
		return
	}
	frames := ephemeralFrames{event: e.event, body: e.body}
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.Status == proto.StatusUnknown || p.Version <= w.seenLocked() {
		return
	}
	w.last = p
	passed := int64(0)
	for i := range w.watchers {
		x := &w.watchers[i]
		if x.sight == sighted && p.Version > x.version {
			x.version, x.doubt = p.Version, 0
			svc.sendLatest(x.session, latestPresence(w.token), frames.of(x.session))
			passed++
		}
	}
	svc.metrics.presences.Add(svc.ctx, passed)
}

// learn takes presence's answer about a user for one session, and sends it what
// it does not know; always says to send whatever that is. seen is what had come
// here before presence was asked. It gives what the session knows now; ok is false
// where nobody can say.
func (svc *Service) learn(w *watched, s *Session, p proto.Presence, no bool, seen uint64, always bool) (now proto.Presence, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	x := w.findLocked(s)
	if x == nil || p.Status == proto.StatusUnknown {
		return p, x == nil
	}
	was, sees := x.sight, sighted
	if no {
		sees, p.Version = denied, 0
	}
	if sees == sighted && was == sighted && !always && x.doubted(p.Version, time.Duration(svc.checks.doubt.Load())) {
		return p, true
	}
	meanwhile := w.seenLocked() != seen
	if sees == sighted && meanwhile && w.last.Version > p.Version {
		p = *w.last // a change overtook the answer
	}
	x.sight = sees
	// A version that is smaller is of a registry that was lost, or none at all; a
	// change that came meanwhile is newer than the answer.
	if always || was != sees || sees == sighted && p.Version != x.version && (p.Version > x.version || !meanwhile) {
		x.version = p.Version
		body, err := wire.Marshal(p)
		if err != nil {
			svc.host.Log().Error("encode presence", "error", err)
			return p, true
		}
		svc.sendLatest(s, latestPresence(w.token), eventFrame(s.peer.profile(), proto.PresenceEvent.Name, body))
	}
	return p, true
}

// doubted says whether an answer is not to be believed yet: that presence knows
// nothing of a user of whom it knew. It may have lost everything, and hear of the
// user again from the user's gateway; nobody is to look offline for that.
func (x *watcher) doubted(version uint64, wait time.Duration) bool {
	if version > 0 || x.version == 0 {
		x.doubt = 0
		return false
	}
	now := time.Now()
	if x.doubt == 0 {
		x.doubt = uint32(now.Unix()) // until 2106
	}
	return now.Sub(time.Unix(int64(x.doubt), 0)) < wait
}
