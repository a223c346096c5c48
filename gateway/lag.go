package gateway

import (
	"sync"
	"sync/atomic"
	"time"

	"supmesh.dev/gateway/engineio/deadline"
	"supmesh.dev/gateway/typing"
	"supmesh.dev/gateway/wsconn"
	"supmesh.dev/proto"
)

const (
	// roomFor is what may wait for a client before what is not durable is kept
	// back; less where MAX_QUEUE_BYTES is small.
	roomFor = 64 << 10
	// lagLook is how often those who are kept waiting are looked at.
	lagLook = 100 * time.Millisecond
	// maxLatest bounds what is kept back for one client; more is dropped, but for
	// presence, which a client knows no end of and has a bound of its own.
	maxLatest = 128
)

// latest names a value of which only the newest counts: an indicator, whether a
// user has a chat open, or how a user is there.
type latest struct {
	chat, user    proto.Token
	thread, event string
}

func latestOf(t *topic, key typing.Key) latest {
	return latest{chat: t.token, user: key.User, thread: key.Thread}
}

func latestPresence(user proto.Token) latest {
	return latest{user: user, event: proto.PresenceEvent.Name}
}

// lag is what clients that do not keep up have not been sent: of each value the
// newest. It never fills a queue, and so never closes a slow client.
type lag struct {
	svc     *Service
	behind  atomic.Int64 // clients in waiting; with none, nobody takes the lock
	timer   deadline.Entry
	mu      sync.Mutex
	waiting map[*Session]map[latest]*wsconn.Frame
}

func (svc *Service) roomFor() int { return min(roomFor, svc.cfg.MaxQueue/4) }

// sendLatest sends a frame that is not durable. For a client that is behind it
// is kept, in place of an older one of the same value. The caller holds the lock
// of the topic, or of the watched user, which keeps the values of one name in order.
func (svc *Service) sendLatest(s *Session, what latest, f *wsconn.Frame) {
	l := &svc.lag
	if l.behind.Load() == 0 && s.peer.queued() <= svc.roomFor() && !s.send(f) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := l.waiting[s]
	if kept == nil && s.peer.queued() <= svc.roomFor() && !s.send(f) {
		return
	}
	if kept == nil {
		if l.waiting == nil {
			l.waiting = make(map[*Session]map[latest]*wsconn.Frame)
		}
		kept = make(map[latest]*wsconn.Frame)
		l.waiting[s] = kept
		if l.behind.Add(1) == 1 {
			svc.timers.Set(&l.timer, l, lagLook)
		}
	}
	if _, renewed := kept[what]; !renewed && len(kept) >= maxLatest && what.event != proto.PresenceEvent.Name {
		svc.metrics.shed.Add(svc.ctx, 1)
		return
	}
	kept[what] = f
}

// forget drops what is kept back of a chat for a session that has closed it.
func (l *lag) forget(s *Session, chat proto.Token) {
	if l.behind.Load() == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for what := range l.waiting[s] {
		if what.chat == chat {
			delete(l.waiting[s], what)
		}
	}
}

// drop drops one value that is kept back for a session.
func (l *lag) drop(s *Session, what latest) {
	if l.behind.Load() == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.waiting[s], what)
}

// Expire sends what was kept back to those who have caught up. It implements
// deadline.Expirer.
func (l *lag) Expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for s, kept := range l.waiting {
		switch {
		case s.is(closed):
		case s.peer.queued() > l.svc.roomFor():
			continue
		default:
			for what, f := range kept {
				if s.peer.queued() > l.svc.roomFor() || s.send(f) {
					break
				}
				delete(kept, what)
			}
			if len(kept) > 0 {
				continue
			}
		}
		delete(l.waiting, s)
		l.behind.Add(-1)
	}
	if len(l.waiting) > 0 {
		l.svc.timers.Set(&l.timer, l, lagLook)
	}
}
