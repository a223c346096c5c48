package engineio

import (
	"errors"
	"io"
	"net/http"

	"supmesh.dev/gateway/wsconn"
)

// frameOverhead is the longest header of a frame that a server sends (RFC 6455, section 5.2).
const frameOverhead = 10

// Close codes of RFC 6455, section 7.4.1. Engine.IO clients do not look at them.
const (
	closeNormal    = 1000
	closeGoingAway = 1001
	closeProtocol  = 1002
)

func closeCode(reason Reason) int {
	switch reason {
	case ReasonShutdown:
		return closeGoingAway
	case ReasonParseError:
		return closeProtocol
	default:
		return closeNormal
	}
}

// originChecked makes wsconn take the request as it is: ServeHTTP has already decided about its origin.
var originChecked = wsconn.AcceptOptions{CheckOrigin: func(*http.Request) bool { return true }}

// webSocket is a Session seen by its websocket.
type webSocket Session

func (srv *Server) openWebSocket(w http.ResponseWriter, r *http.Request, s *Session) {
	conn, err := srv.ws.Accept(w, r, originChecked)
	if err != nil {
		return // Accept has answered
	}
	s.ws = conn
	if !srv.add(s) {
		conn.Serve(discard{})
		conn.Close(closeGoingAway, string(ReasonShutdown))
		return
	}
	_ = conn.Send(srv.openPacket(s.id, "")) // a closed connection reports itself through Closed
	srv.handler.Open(s)
	s.startHeartbeat()
	conn.Serve((*webSocket)(s)) // only now: nothing the client says can come before Open
}

// Message implements wsconn.Handler.
func (t *webSocket) Message(_ *wsconn.Conn, binary bool, data []byte) {
	s := (*Session)(t)
	if !s.isOpen() {
		return
	}
	if binary {
		s.srv.handler.Message(s, true, data)
		return
	}
	p, err := decodeText(data)
	if err != nil {
		s.fail(ReasonParseError, nil)
		return
	}
	s.receive(p)
}

// receive handles a packet of an open session, whatever its transport.
func (s *Session) receive(p packet) {
	switch p.kind {
	case packetMessage:
		s.srv.handler.Message(s, p.binary, p.data)
	case packetPong:
		s.pong()
	case packetClose:
		s.fail(ReasonTransportClose, payloadNoop)
	case packetPing: // since v4 pings come from the server only
		s.fail(ReasonTransportError, payloadClose)
	case packetOpen, packetUpgrade, packetNoop:
		// Meaningless from this side, and ignored as the reference implementation does.
	}
}

// Closed implements wsconn.Handler.
func (t *webSocket) Closed(_ *wsconn.Conn, err error) {
	s := (*Session)(t)
	s.mu.Lock()
	if s.state == stateOpen {
		s.state, s.reason = stateEnded, closedReason(err)
	}
	s.mu.Unlock()
	s.srv.deadlines.Remove(&s.beat)
	s.srv.remove(s)
	s.finish()
}

func closedReason(err error) Reason {
	var local wsconn.LocalClose
	switch {
	case errors.As(err, new(wsconn.CloseError)) || errors.Is(err, io.EOF):
		return ReasonTransportClose
	case errors.As(err, &local): // wsconn itself closed: a frame too big, text that is not UTF-8, too slow
		return ReasonParseError
	case errors.Is(err, wsconn.ErrStopped):
		return ReasonShutdown
	default:
		return ReasonTransportError
	}
}

// discard is the handler of a websocket that is about to be closed.
type discard struct{}

func (discard) Message(*wsconn.Conn, bool, []byte) {}
func (discard) Closed(*wsconn.Conn, error)         {}
