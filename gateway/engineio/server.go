package engineio

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"supmesh.dev/gateway/engineio/deadline"
	"supmesh.dev/gateway/wsconn"
)

// Handler takes what the sessions of a Server receive.
type Handler interface {
	// Open announces a session before anything is read from it. It may Send, which follows the open packet.
	Open(s *Session)
	// Message is called for one message of a session after the other; data is without the packet type and valid only during
	// the call. While it runs nothing more is read from the session.
	Message(s *Session, binary bool, data []byte)
	// Closed is called exactly once per session, after the last Message, on a goroutine of the transport or of the server:
	// it must not block.
	Closed(s *Session, reason Reason)
}

// Server serves Engine.IO v4. It is an http.Handler for polling and for websocket upgrades alike.
type Server struct {
	cfg       Config
	ws        *wsconn.Engine
	handler   Handler
	deadlines *deadline.Queue
	refuse    atomic.Pointer[refuseFunc]

	mu       sync.RWMutex
	sessions map[string]*Session
	alive    int    // sessions whose Closed has not been called
	drained  func() // set when Run is stopping: no session is taken any more, call it when alive comes down to zero
}

// NewServer returns a server whose websockets are ws's. It serves from the start; heartbeats and time-outs need Run.
func NewServer(cfg Config, ws *wsconn.Engine, h Handler) *Server {
	cfg = cfg.withDefaults()
	// Late by a hundredth is late enough to share wake-ups and early enough not to be noticed.
	granularity := min(max(min(cfg.PingInterval, cfg.PingTimeout)/100, time.Millisecond), 20*time.Millisecond)
	return &Server{
		cfg: cfg, ws: ws, handler: h, deadlines: deadline.New(granularity),
		sessions: map[string]*Session{},
	}
}

// stopTimeout bounds how long Run waits for the last sessions after its context has ended.
const stopTimeout = 5 * time.Second

// Run sends pings and ends sessions that are overdue, until ctx ends. Then it refuses handshakes, closes every session and
// returns when each one's Closed has been called, or after 5 s. It may be called once.
func (srv *Server) Run(ctx context.Context) error {
	_ = srv.deadlines.Run(ctx)

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	srv.mu.Lock()
	srv.drained = cancel
	if srv.alive == 0 {
		cancel()
	}
	srv.mu.Unlock()
	srv.Range(func(s *Session) bool {
		s.Close(ReasonShutdown)
		return true
	})
	return srv.deadlines.Run(ctx)
}

type refuseFunc = func(*http.Request) (ticket any, refusal *Refusal)

// SetRefuse makes the server call refuse for every handshake. A refusal that is not nil is the answer, and no session is
// made. Otherwise the session keeps the ticket. Requests of existing sessions are not asked about. Nil takes everyone again.
func (srv *Server) SetRefuse(refuse func(*http.Request) (ticket any, refusal *Refusal)) {
	if refuse == nil {
		srv.refuse.Store(nil)
		return
	}
	srv.refuse.Store(&refuse)
}

// Len returns the number of sessions, those that wait for a last poll included.
func (srv *Server) Len() int {
	srv.mu.RLock()
	defer srv.mu.RUnlock()
	return len(srv.sessions)
}

// Range calls f for the sessions that exist now, until f returns false. f may do anything to them.
func (srv *Server) Range(f func(*Session) bool) {
	srv.mu.RLock()
	all := make([]*Session, 0, len(srv.sessions))
	for _, s := range srv.sessions {
		all = append(all, s)
	}
	srv.mu.RUnlock()
	for _, s := range all {
		if !f(s) {
			return
		}
	}
}

// ServeHTTP answers one request. Its checks and their order are the protocol's.
func (srv *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.TrimSuffix(r.URL.Path, "/") != srv.cfg.Path {
		http.NotFound(w, r)
		return
	}
	if !srv.allowOrigin(w, r) {
		errForbidden.write(w)
		return
	}
	if r.Method == http.MethodOptions {
		preflight(w, r)
		return
	}
	query := ParseQuery(r.URL.RawQuery)
	transport := query.Get("transport")
	if transport != transportPolling && transport != transportWebSocket {
		errUnknownTransport.write(w)
		return
	}
	if query.Has("j") { // JSONP would let any page read the session
		errBadRequest.write(w)
		return
	}
	upgrade := strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
	if sid := query.Get("sid"); sid != "" {
		srv.serveSession(w, r, sid, transport, upgrade)
		return
	}
	switch {
	case r.Method != http.MethodGet:
		errHandshakeMethod.write(w)
	case upgrade != (transport == transportWebSocket):
		errBadRequest.write(w)
	case query.Get("EIO") != "4":
		errVersion.write(w)
	default:
		srv.handshake(w, r, transport)
	}
}

func (srv *Server) serveSession(w http.ResponseWriter, r *http.Request, sid, transport string, upgrade bool) {
	srv.mu.RLock()
	s := srv.sessions[sid]
	srv.mu.RUnlock()
	if s != nil && s.overdue() {
		s.fail(ReasonPingTimeout, payloadClose)
		s = nil
	}
	switch {
	case s == nil:
		errUnknownSID.write(w)
	case upgrade && transport == transportWebSocket:
		s.serveUpgrade(w, r)
	case upgrade || transport != transportPolling:
		errBadRequest.write(w)
	case r.Method == http.MethodGet:
		s.servePoll(w, r)
	case r.Method == http.MethodPost:
		s.servePost(w, r)
	default:
		errBadRequest.write(w)
	}
}

func (srv *Server) handshake(w http.ResponseWriter, r *http.Request, transport string) {
	var ticket any
	var refusal *Refusal
	if srv.isStopping() {
		refusal = stopRefusal
	} else if refuse := srv.refuse.Load(); refuse != nil {
		ticket, refusal = (*refuse)(r)
	}
	if refusal != nil {
		refusal.write(w)
		return
	}
	s := &Session{srv: srv, id: srv.cfg.NewID(), ticket: ticket}
	s.request.Store(copyRequest(r))
	if transport == transportWebSocket {
		srv.openWebSocket(w, r, s)
	} else {
		srv.openPolling(w, s)
	}
}

// stopRefusal turns handshakes away once Run has begun to stop.
var stopRefusal = &Refusal{RetryAfter: time.Second}

func (srv *Server) isStopping() bool {
	srv.mu.RLock()
	defer srv.mu.RUnlock()
	return srv.drained != nil
}

// add makes the session known and reports false if the server is stopping.
func (srv *Server) add(s *Session) bool {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.drained != nil {
		return false
	}
	srv.sessions[s.id] = s
	srv.alive++
	return true
}

func (srv *Server) remove(s *Session) {
	srv.mu.Lock()
	delete(srv.sessions, s.id)
	srv.mu.Unlock()
}

// ended counts a session whose Closed has been called.
func (srv *Server) ended() {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	srv.alive--
	if srv.alive == 0 && srv.drained != nil {
		srv.drained()
	}
}

// openPacket is the first packet of a session.
func (srv *Server) openPacket(sid string, upgrades string) *wsconn.Frame {
	b := make([]byte, 0, 160)
	b = append(b, packetOpen)
	b = append(b, `{"sid":`...)
	b = strconv.AppendQuote(b, sid)
	b = append(b, `,"upgrades":[`...)
	b = append(b, upgrades...)
	b = append(b, `],"pingInterval":`...)
	b = strconv.AppendInt(b, srv.cfg.PingInterval.Milliseconds(), 10)
	b = append(b, `,"pingTimeout":`...)
	b = strconv.AppendInt(b, srv.cfg.PingTimeout.Milliseconds(), 10)
	b = append(b, `,"maxPayload":`...)
	b = strconv.AppendInt(b, int64(srv.cfg.MaxPayload), 10)
	b = append(b, '}')
	return wsconn.Text(b)
}
