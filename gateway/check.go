package gateway

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"supmesh.dev/proto"
	"supmesh.dev/services"
)

const (
	// checkWorkers is how many questions to presence are under way.
	checkWorkers = 4
	// checkPace is what a worker lets pass between two: 2,000 a second of all.
	checkPace = 2 * time.Millisecond
	// checkAgain is when what nobody could answer is asked again.
	checkAgain = time.Second
	// checkEvery is how often everything is asked again, in case that a change was lost.
	checkEvery = 2 * time.Minute
	// checkDoubt is how long gateways are given to tell presence of their
	// connections again, should it have lost them.
	checkDoubt = 30 * time.Second
	// checkTick is how exact delays are.
	checkTick = 100 * time.Millisecond
	// maxRelated bounds the membership changes that are waited for.
	maxRelated = 1 << 16
)

// relatedAfter is when a membership change is asked about: soon, and again when
// whoever answers must have heard of it.
var relatedAfter = [...]time.Duration{time.Second, 10 * time.Second}

// checks has presence asked again whom sessions here may see, and how those are
// there: after what may change it, after what may have been missed, and slowly
// always.
type checks struct {
	svc   *Service
	every time.Duration
	doubt atomic.Int64 // nanoseconds
	after [len(relatedAfter)]time.Duration
	wake  chan struct{}

	mu    sync.Mutex
	due   map[*Session]map[*watched]struct{}
	order []*Session // of due, oldest first
	later [len(relatedAfter)][]related
}

// related is a user whose chats have changed.
type related struct {
	at   time.Time
	user proto.Token
}

func newChecks(svc *Service) *checks {
	c := &checks{
		svc: svc, every: checkEvery, after: relatedAfter, wake: make(chan struct{}, 1), due: make(map[*Session]map[*watched]struct{}),
	}
	c.doubt.Store(int64(checkDoubt))
	return c
}

// add has some of a session's subscriptions asked about.
func (c *checks) add(s *Session, list []*watched) {
	if len(list) == 0 {
		return
	}
	c.mu.Lock()
	due := c.due[s]
	if due == nil {
		due = make(map[*watched]struct{}, len(list))
		c.due[s] = due
		c.order = append(c.order, s)
	}
	for _, w := range list {
		due[w] = struct{}{}
	}
	c.mu.Unlock()
	c.stir()
}

func (c *checks) stir() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// session, watched and everything add what their names say.
func (c *checks) session(s *Session) { c.add(s, s.watchList()) }

func (c *checks) watched(w *watched) {
	for _, s := range w.sessions() {
		c.add(s, []*watched{w})
	}
}

func (c *checks) everything() {
	for _, s := range c.svc.hub.everyone() {
		c.session(s)
	}
}

// related notes that the chats of users have changed, and with them perhaps who
// may see whom. It is called by the goroutine of the fan-out.
func (c *checks) related(lists ...[]proto.Token) {
	now := time.Now()
	for _, users := range lists {
		for _, user := range users {
			if !c.concerns(user) {
				continue
			}
			c.mu.Lock()
			for i, d := range c.after {
				if len(c.later[i]) < maxRelated { // or it is found slowly
					c.later[i] = append(c.later[i], related{now.Add(d), user})
				}
			}
			c.mu.Unlock()
		}
	}
}

// concerns says whether a user is watched here, or watches.
func (c *checks) concerns(user proto.Token) bool {
	if c.svc.watched.get(user) != nil {
		return true
	}
	for _, s := range c.svc.hub.sessions(user) {
		if len(s.watchList()) > 0 {
			return true
		}
	}
	return false
}

// run adds what is due until ctx ends.
func (c *checks) run(ctx context.Context) error {
	tick := time.NewTicker(checkTick)
	defer tick.Stop()
	slow := time.NewTicker(c.every / hubShards)
	defer slow.Stop()
	for shard := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			c.ripen(now)
		case <-slow.C:
			for _, s := range c.svc.hub.someone(shard) {
				c.session(s)
			}
			shard = (shard + 1) % hubShards
		}
	}
}

// ripen adds the users whose chats changed long enough ago.
func (c *checks) ripen(now time.Time) {
	var users []proto.Token
	c.mu.Lock()
	for i := range c.later {
		n := 0
		for n < len(c.later[i]) && !now.Before(c.later[i][n].at) {
			users = append(users, c.later[i][n].user)
			n++
		}
		if c.later[i] = c.later[i][n:]; len(c.later[i]) == 0 {
			c.later[i] = nil
		}
	}
	c.mu.Unlock()
	for _, user := range users {
		if w := c.svc.watched.get(user); w != nil {
			c.watched(w)
		}
		for _, s := range c.svc.hub.sessions(user) {
			c.session(s)
		}
	}
}

// work asks until ctx ends.
func (c *checks) work(ctx context.Context) error {
	for {
		s, list := c.take()
		if s == nil {
			select {
			case <-ctx.Done():
				return nil
			case <-c.wake:
			}
			continue
		}
		pause := checkPace
		left, err := c.svc.lookAt(ctx, s, list, false, nil)
		if err != nil {
			c.svc.host.Log().DebugContext(ctx, "ask presence again", "error", err)
		}
		if err != nil && !proto.AsError(err).Code.Row().Retryable {
			left = nil // it would be refused again
		}
		if len(left) > 0 {
			pause = checkAgain
		}
		if !wait(ctx, pause) {
			return nil
		}
		c.add(s, left)
	}
}

// take is one session with as much as one question may hold; nil if none is due.
func (c *checks) take() (s *Session, list []*watched) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for s == nil && len(c.order) > 0 {
		s = c.order[0]
		c.order = c.order[1:]
		due := c.due[s]
		if s.is(closed) {
			delete(c.due, s)
			s = nil
			continue
		}
		for w := range due {
			if len(list) == proto.MaxSubscribe {
				break
			}
			list = append(list, w)
			delete(due, w)
		}
		if len(due) == 0 {
			delete(c.due, s)
		} else {
			c.order = append(c.order, s)
		}
	}
	if len(c.order) > 0 {
		c.stir() // another worker
	}
	return s, list
}

// lookAt asks presence how users are there for a session that watches them, and
// sends it what it does not know. left is those of whom nobody can say; res, if
// there is one, takes the answer.
func (svc *Service) lookAt(ctx context.Context, s *Session, list []*watched, always bool, res *proto.SubscribePresenceRes) (left []*watched, err error) {
	req := proto.SubscribePresenceReq{UserIDs: make([]string, len(list))}
	seen := make([]uint64, len(list))
	for i, w := range list {
		req.UserIDs[i], seen[i] = w.user, w.seen()
	}
	if len(list) == 0 { // it has closed
		return nil, nil
	}
	answer, err := services.Do(ctx, svc.host, proto.SubscribePresence, s.actor, req)
	if err != nil {
		return list, err
	}
	presences := make(map[string]proto.Presence, len(answer.Presences))
	for _, p := range answer.Presences {
		presences[p.UserID] = p
	}
	no := make(map[string]bool, len(answer.Denied))
	for _, user := range answer.Denied {
		no[user] = true
	}
	for i, w := range list {
		p, ok := presences[w.user]
		if ok {
			p, ok = svc.learn(w, s, p, no[w.user], seen[i], always)
		}
		switch {
		case !ok:
			left = append(left, w)
		case res != nil:
			res.Presences = append(res.Presences, p)
			if no[w.user] {
				res.Denied = append(res.Denied, w.user)
			}
		}
	}
	return left, nil
}
