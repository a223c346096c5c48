package gateway

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"supmesh.dev/gateway/auth"
	"supmesh.dev/gateway/engineio/deadline"
	"supmesh.dev/gateway/wsconn"
	"supmesh.dev/proto"
	"supmesh.dev/services/wire"
)

type phase uint8

const (
	opening phase = iota // not yet connected: gets nothing
	open
	closed
)

// Session is one connection of one user's device, whatever its profile. It is
// small, since there is one per client: what only a busy session needs is
// behind a pointer and goes when it is idle.
type Session struct {
	svc   *Service
	peer  peer
	id    string // of the socket, public
	pid   string // of the session: a return presents it
	user  proto.Token
	actor proto.Actor
	timer deadline.Entry
	// opened is there between the answer to the connection and start.
	opened *opened

	expires atomic.Int64  // of the token, Unix milliseconds
	active  atomic.Int64  // last event, Unix milliseconds
	fence   atomic.Uint64 // given by presence; 0: none yet
	since   int64         // Unix milliseconds
	ended   int64         // Unix milliseconds, of the end of the connection; mu guards it

	// settling is held by whoever finds the session its places in chats: when it opens,
	// and in a recheck. It is taken before every other lock.
	settling sync.Mutex

	mu        sync.Mutex
	topics    []*topic
	lanes     *lane  // those with requests
	header    string // actor's, once there is a request
	bytes     int    // of the requests in lanes
	strikes   int    // protocol errors since window
	window    int64  // Unix seconds
	watches   map[proto.Token]*watched
	changes   map[proto.Token]passedChange // while opening, by chat
	ends      map[proto.Token]uint64       // by chat: position of the last end of membership that it was told
	calls     *callNotes                   // nil: it has had nothing to do with calls
	own       *proto.OwnPresence           // newest that is known of what the user has set; nil: nothing
	phase     phase
	briefed   bool      // signaling has said what of calls it is to be told
	away      bool      // the device's own status
	ownKnown  bool      // presence has said what the user has set
	announced bool      // presence has been told of it, or is
	taken     bool      // another connection continues it
	final     bool      // it will not return
	revoked   bool      // its token is void: nothing more is done for it
	stale     bool      // while opening: memberships changed, or may have
	unsure    bool      // while opening: copies may have been dropped
	behind    bool      // a goroutine sends what is owed
	warned    bool      // auth:expiring has been sent
	ending    bool      // close has been called
	counted   bool      // greeted, and in the metric of connections
	drainTold bool      // server:drain has been sent
	asked     bool      // waits for signaling to be asked about it; asker.mu guards it
	watchAt   time.Time // when the peer's liveness is looked at
}

func (svc *Service) newSession(p peer, id string, who auth.Identity) (*Session, error) {
	user, err := proto.EncodeID(who.User)
	if err != nil {
		return nil, err
	}
	s := &Session{
		svc: svc, peer: p, id: id, pid: randomID(), user: user, since: time.Now().UnixMilli(),
		actor: proto.Actor{
			User: who.User, Device: who.Device, Name: who.Name, Avatar: who.Avatar,
			Socket: id, Gateway: svc.host.InstanceID(),
		},
	}
	s.expires.Store(who.Expires.UnixMilli())
	s.touch()
	return s, nil
}

func (s *Session) touch() { s.active.Store(time.Now().UnixMilli()) }

// enter and exit keep the session's list of topics; a closed one enters none.
func (s *Session) enter(t *topic) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == closed {
		return false
	}
	s.topics = append(s.topics, t)
	return true
}

func (s *Session) exit(t *topic) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.topics, t); i >= 0 {
		s.topics = slices.Delete(s.topics, i, i+1)
	}
}

// markStale says that copies may have been dropped, and so what was learnt while
// opening may be out of date; false if the session is open already.
func (s *Session) markStale() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != opening {
		return false
	}
	s.stale, s.unsure = true, true
	return true
}

// noteChange says that the user's membership of a chat changed; false if the session
// is open already.
func (s *Session) noteChange(token proto.Token, c passedChange) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != opening {
		return false
	}
	s.stale = true
	if s.changes == nil {
		s.changes = make(map[proto.Token]passedChange)
	}
	if c.last >= s.changes[token].last {
		s.changes[token] = c
	}
	return true
}

// noteLeft says that the session is told how a membership ended, of which there may be
// more copies. It returns false if it has been told.
func (s *Session) noteLeft(token proto.Token, position uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ends == nil {
		s.ends = make(map[proto.Token]uint64)
	}
	if position <= s.ends[token] {
		return false
	}
	s.ends[token] = position
	return true
}

// hasLeft is up to where the session has been told of a chat that it is not served from.
func (s *Session) hasLeft(token proto.Token) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ends[token]
}

func (s *Session) takeStale() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.stale
	s.stale, s.unsure = false, false
	return was
}

func (s *Session) is(p phase) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.phase == p
}

// send queues a frame of the session's profile; full says that the client does
// not keep up, and the caller is to close it once it holds no lock.
func (s *Session) send(f *wsconn.Frame) (full bool) { return isFull(s.peer.send(f)) }

// emit sends a server event that is not durable.
func (s *Session) emit(name string, payload any) {
	data, err := wire.Marshal(payload)
	if err != nil {
		s.svc.host.Log().Error("encode event", "event", name, "error", err)
		return
	}
	if s.send(eventFrame(s.peer.profile(), name, data)) {
		s.closeSlow()
	}
}

// fail sends an `error` event.
func (s *Session) fail(err *proto.Error, event string) {
	s.emit(proto.ErrorEventEvent.Name, proto.ErrorEvent{
		Message: err.Message, Code: err.Code, Event: event, Field: err.Field,
		RetryAfterMs: err.RetryAfter.Milliseconds(), RequestID: newRequestID(),
	})
}

// close ends the connection in the way that belongs to the code; only the
// first call counts. The rest follows in gone.
func (s *Session) close(code proto.CloseCode) {
	s.mu.Lock()
	was := s.ending
	s.ending = true
	s.final = s.final || !was && (code == proto.CloseRevoked || code == proto.CloseIdle)
	dropped := 0
	if code == proto.CloseRevoked {
		s.revoked = true
		dropped = s.dropQueuedLocked()
	}
	s.mu.Unlock()
	s.svc.metrics.dropped(dropReasonRevoked, dropped)
	if !was {
		s.svc.metrics.closed(code)
		s.peer.close(code)
	}
}

func (s *Session) closeSlow() { s.close(proto.CloseSlowConsumer) }

// gone is called when the connection has ended; only the first call counts. Requests
// that were read before are carried out all the same.
func (s *Session) gone() {
	s.mu.Lock()
	if s.phase == closed {
		s.mu.Unlock()
		return
	}
	s.phase, s.ended = closed, time.Now().UnixMilli()
	topics, watches, counted := s.topics, s.watches, s.counted
	s.topics, s.watches = nil, nil
	dropped := s.svc.leaving.enterLocked(s)
	idle := [...]bool{s.laneLocked(servicePresence) == nil, s.laneLocked(serviceCalls) == nil}
	s.mu.Unlock()
	s.svc.metrics.dropped(dropReasonFull, dropped)
	for i, service := range [...]string{servicePresence, serviceCalls} {
		if idle[i] { // before what follows: a return may be on its way
			s.reportEnd(service)
		}
	}
	s.svc.timers.Remove(&s.timer)
	for _, w := range watches {
		s.svc.watched.leave(w, s)
	}
	for _, t := range topics {
		s.svc.hub.release(t, s)
	}
	if counted {
		s.svc.metrics.connections.add(s.peer.profile(), -1)
	}
}

// strike counts frames that are no frames of the plain profile; over maxStrikes a minute
// (CONTRACT §3) the connection is closed for good. An event that is refused, or unknown, is
// no strike: an app that repeats it must not lock its user out.
func (s *Session) strike() {
	now := time.Now().Unix()
	s.mu.Lock()
	if now-s.window >= 60 {
		s.window, s.strikes = now, 0
	}
	s.strikes++
	over := s.strikes > maxStrikes
	s.mu.Unlock()
	if over {
		s.close(proto.CloseProtocolError)
	}
}

const maxStrikes = 20
