package engineio

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
	"unicode/utf8"

	"supmesh.dev/gateway/engineio/slowhttp"
	"supmesh.dev/gateway/wsconn"
)

// polling is the part of a session that only HTTP long-polling needs. Session.mu guards all of it but recv.
type polling struct {
	// recv is held while the packets of a POST, or the switch to a websocket, are handled: one after the other, so that
	// what came first is delivered first.
	recv sync.Mutex

	queue    []*wsconn.Frame
	bytes    int           // payload bytes queued, control packets not counted
	waiting  chan struct{} // wakes the pending poll; nil if there is none
	last     []byte        // the packet that ends the transport, once it has been decided
	posting  bool          // a POST is being read or handled
	taken    chan struct{} // closed when the queue has been emptied; nil if nobody waits for it
	upgraded bool          // a websocket has taken over
	over     bool          // the session id is gone, or the last packet has been fetched
	probe    *probe        // the websocket that wants to take over

	lingerUntil time.Time // how long a finished session waits for its last poll
}

// noopEvery paces the empty answers to a client that keeps polling while it upgrades.
const noopEvery = 100 * time.Millisecond

func (srv *Server) openPolling(w http.ResponseWriter, s *Session) {
	p := &polling{queue: []*wsconn.Frame{srv.openPacket(s.id, `"websocket"`)}}
	s.poll = p
	if !srv.add(s) {
		stopRefusal.write(w)
		return
	}
	srv.handler.Open(s)
	s.startHeartbeat()
	s.mu.Lock()
	body := s.takeLocked(p, nil)
	s.mu.Unlock()
	s.answer(w, body)
}

// push queues frames for the next poll, all or none.
func (p *polling) push(frames []*wsconn.Frame, limit int) error {
	total := p.bytes
	for _, f := range frames {
		total += len(f.Payload()) + frameOverhead
	}
	if total > limit && p.bytes > 0 || total > limit && len(frames) > 1 {
		return ErrFull
	}
	p.queue = append(p.queue, frames...)
	p.bytes = total
	p.wake()
	return nil
}

// pushControl queues a packet that no bound may hold back.
func (p *polling) pushControl(f *wsconn.Frame) {
	p.queue = append(p.queue, f)
	p.wake()
}

// end makes last the final packet of this transport.
func (p *polling) end(last []byte) {
	p.last = last
	p.wake()
}

// empty forgets what is queued.
func (p *polling) empty() {
	p.queue, p.bytes = nil, 0
	if p.taken != nil {
		close(p.taken)
		p.taken = nil
	}
}

func (p *polling) wake() {
	if p.waiting != nil {
		select {
		case p.waiting <- struct{}{}:
		default:
		}
	}
}

// takeLocked empties the queue into the body of an answer; idle is the body if there is nothing to say. The answer that
// carries the last packet of the transport also ends the session id.
func (s *Session) takeLocked(p *polling, idle []byte) []byte {
	size := 0
	for _, f := range p.queue {
		size += encodedLen(f)
	}
	body := make([]byte, 0, size+2)
	for _, f := range p.queue {
		body = appendPacket(body, f, s.stamper)
	}
	p.empty()
	if p.last != nil {
		if len(body) > 0 {
			body = append(body, separator)
		}
		body = append(body, p.last...)
		p.over = true
		s.srv.remove(s)
		if s.finished {
			s.srv.deadlines.Remove(&s.beat)
		}
	}
	if len(body) == 0 {
		return idle
	}
	return body
}

// servePoll holds a GET until there is something to answer.
func (s *Session) servePoll(w http.ResponseWriter, r *http.Request) {
	if r.Body == nil || r.Body == http.NoBody {
		// A poll lasts as long as nothing happens: the read deadline of the server must not cut it. Not every ResponseWriter
		// can do this; those then keep the deadlines of their server.
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	}
	s.mu.Lock()
	p := s.poll
	if p == nil {
		s.mu.Unlock()
		errBadRequest.write(w)
		return
	}
	if p.waiting != nil {
		s.mu.Unlock()
		s.fail(ReasonTransportError, payloadClose)
		errBadRequest.write(w)
		return
	}
	body := s.takeLocked(p, nil)
	if body != nil {
		s.mu.Unlock()
		s.answer(w, body)
		return
	}
	woken := make(chan struct{}, 1)
	p.waiting = woken
	var noop <-chan time.Time
	upgrading := p.probe != nil && p.probe.answered
	if upgrading {
		timer := time.NewTimer(noopEvery)
		defer timer.Stop()
		noop = timer.C
	}
	s.mu.Unlock()

	select {
	case <-woken:
	case <-noop:
	case <-r.Context().Done():
		s.mu.Lock()
		p.waiting = nil
		upgraded := p.upgraded
		s.mu.Unlock()
		if !upgraded {
			s.fail(ReasonTransportError, payloadClose)
		}
		return
	}
	s.mu.Lock()
	p.waiting = nil
	upgraded := p.upgraded
	body = payloadNoop
	if !upgraded { // else all that is queued goes to the websocket
		body = s.takeLocked(p, payloadNoop)
	}
	s.mu.Unlock()
	if upgraded && upgrading { // sent beside or behind the upgrade packet, like one that arrives after it
		errBadRequest.write(w)
		return
	}
	s.answer(w, body)
}

// answer writes a payload. If that fails its packets are lost, so the session cannot go on.
func (s *Session) answer(w http.ResponseWriter, body []byte) {
	writeHead(w, http.StatusOK, "text/plain; charset=UTF-8", len(body))
	err := slowhttp.Write(w, body, s.srv.cfg.WriteTimeout)
	if err == nil {
		err = http.NewResponseController(w).Flush()
	}
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		s.fail(ReasonTransportError, payloadClose)
	}
}

// servePost delivers the packets of a POST and answers "ok" when the handler has had them all.
func (s *Session) servePost(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	p := s.poll
	if p == nil {
		s.mu.Unlock()
		errBadRequest.write(w)
		return
	}
	if p.posting {
		s.mu.Unlock()
		s.fail(ReasonTransportError, payloadClose)
		errBadRequest.write(w)
		return
	}
	p.posting = true
	s.mu.Unlock()

	if refusal := s.receivePost(p, w, r); refusal != nil {
		refusal.write(w)
		return
	}
	writeBody(w, http.StatusOK, "text/html", []byte("ok"))
}

func (s *Session) receivePost(p *polling, w http.ResponseWriter, r *http.Request) *wireError {
	defer func() { // also when the handler panics, which costs this request only
		s.mu.Lock()
		p.posting = false
		if p.probe != nil {
			p.probe.answerLocked()
		}
		s.mu.Unlock()
		s.finish()
	}()
	return s.post(p, w, r)
}

func (s *Session) post(p *polling, w http.ResponseWriter, r *http.Request) *wireError {
	body, err := s.readBody(w, r)
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		s.fail(ReasonParseError, payloadClose) // the packets in it are lost, so the session cannot go on
		return &errTooLarge
	case err != nil:
		s.fail(ReasonTransportError, payloadClose)
		return &errBadRequest
	case r.Header.Get("Content-Type") == "application/octet-stream" || !utf8.Valid(body):
		s.fail(ReasonParseError, payloadClose) // raw binary bodies went with protocol v3
		return &errBadRequest
	}

	p.recv.Lock()
	defer p.recv.Unlock()
	s.mu.Lock()
	upgraded, takes := p.upgraded, s.takesLocked()
	s.mu.Unlock()
	switch {
	case upgraded: // behind the upgrade packet: its place in the order is lost
		return &errBadRequest
	case !takes: // the client does not know yet; its poll tells it
		return nil
	}
	if err := s.deliver(r.Context(), p, body); err != nil {
		s.fail(ReasonParseError, payloadClose)
		return &errBadRequest
	}
	return nil
}

func (s *Session) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	limit := int64(s.srv.cfg.MaxPayload)
	if r.ContentLength > limit {
		w.Header().Set("Connection", "close") // rather than read it all to keep the connection
		return nil, &http.MaxBytesError{Limit: limit}
	}
	var body bytes.Buffer
	body.Grow(int(min(max(r.ContentLength, 0), 4096)) + bytes.MinRead)
	_, err := io.Copy(&body, http.MaxBytesReader(w, r.Body, limit))
	return body.Bytes(), err
}

// deliver hands over the packets of a payload until the session ends or a packet is malformed. A client that goes meanwhile
// ends the session, but not this: what it had sent before counts.
func (s *Session) deliver(ctx context.Context, p *polling, payload []byte) error {
	for fetched := true; ; {
		one, rest, more, err := nextPacket(payload)
		if err != nil {
			return err
		}
		s.receive(one)
		s.mu.Lock()
		takes := s.takesLocked()
		s.mu.Unlock()
		if !more || !takes || one.kind == packetClose || one.kind == packetPing {
			return nil
		}
		payload = rest
		fetched = fetched && s.awaitRoom(ctx, p)
	}
}

// awaitRoom waits while more than half of what may be queued is: the answers to a long payload would fill the queue before
// the client, whose poll is on its way, can fetch the first of them. It returns false if the client does not come for them
// within LingerTimeout.
func (s *Session) awaitRoom(ctx context.Context, p *polling) bool {
	s.mu.Lock()
	if s.state != stateOpen || p.bytes <= s.srv.cfg.MaxQueueBytes/2 {
		s.mu.Unlock()
		return true
	}
	if p.taken == nil {
		p.taken = make(chan struct{})
	}
	taken := p.taken
	s.mu.Unlock()
	timer := time.NewTimer(s.srv.cfg.LingerTimeout)
	defer timer.Stop()
	select {
	case <-taken:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}
