package gateway

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"supmesh.dev/gateway/auth"
	"supmesh.dev/gateway/engineio"
	"supmesh.dev/gateway/engineio/deadline"
	"supmesh.dev/gateway/plain"
	"supmesh.dev/gateway/socketio"
	"supmesh.dev/gateway/wsconn"
	"supmesh.dev/proto"
	"supmesh.dev/services/wire"
)

// plainConn is one connection of the plain profile: the websocket's handler
// and the session's peer.
type plainConn struct {
	svc     *Service
	conn    *wsconn.Conn
	session *Session       // nil until the client is known; set by the goroutine that reads
	timer   deadline.Entry // the deadline of the first frame
	from    clientAddr
}

var (
	_ wsconn.Handler   = (*plainConn)(nil)
	_ peer             = (*plainConn)(nil)
	_ deadline.Expirer = (*plainConn)(nil)
)

// serveWS upgrades a request of the plain profile.
func (svc *Service) serveWS(w http.ResponseWriter, r *http.Request) {
	from, wait := svc.admission.admit(r)
	if wait > 0 {
		turnAway(w, wait)
		return
	}
	conn, err := svc.sockets.Accept(w, r, wsconn.AcceptOptions{CheckOrigin: svc.allowOrigin})
	if err != nil { // answered
		return
	}
	p := &plainConn{svc: svc, conn: conn, from: from}
	svc.admission.count(from, 1)
	query, authorization := engineio.ParseQuery(r.URL.RawQuery), strings.Clone(r.Header.Get("Authorization"))
	switch { // an empty token, or a header that is a proxy's, is no token
	case query.Get("token") != "" || auth.Bearer(authorization) != "":
		p.connect(nil, query, authorization)
	default:
		svc.timers.Set(&p.timer, p, svc.cfg.AuthTimeout)
	}
	conn.Serve(p)
}

// Expire implements deadline.Expirer: no auth frame has come.
func (p *plainConn) Expire() {
	p.svc.metrics.refused(refusedAuthLate)
	p.refuse(&proto.Error{Code: proto.AuthenticationRequired, Message: "no auth frame in time"}, proto.CloseAuthDeadline)
}

// Message takes one frame of the client.
func (p *plainConn) Message(_ *wsconn.Conn, binary bool, data []byte) {
	if binary {
		p.conn.Close(int(proto.CloseUnsupported), proto.CloseUnsupported.Row().Reason)
		return
	}
	f, err := plain.Split(data)
	id := ackID{number: socketio.NoAck, raw: string(f.Ack)}
	switch s := p.session; {
	case s == nil && (err != nil || string(f.Event) != "auth"):
		p.refuse(&proto.Error{Code: proto.AuthenticationRequired, Message: "Authentication required"}, proto.CloseProtocolError)
	case s == nil:
		p.svc.timers.Remove(&p.timer)
		p.authenticate(f.Data, id)
	case err != nil:
		q := request{ack: id, event: eventName(string(f.Event)), data: f.Data}
		s.answer(&q, nil, proto.AsError(err), newRequestID())
		s.strike()
	default:
		p.svc.dispatch(s, string(f.Event), f.Data, id)
	}
}

// authenticate takes the auth frame. `connected` comes first, then the ack.
func (p *plainConn) authenticate(data []byte, id ackID) {
	p.connect(data, nil, "")
	if s := p.session; s != nil && id.wanted() {
		s.acked(id, successBody(newRequestID()))
	}
}

// connect identifies the client and starts its session, or says why not and closes.
func (p *plainConn) connect(object []byte, query map[string][]string, authorization string) {
	ctx, cancel := context.WithTimeout(p.svc.ctx, connectTimeout)
	defer cancel()
	who, returns, err := p.svc.identify(ctx, object, query, authorization)
	if err == nil {
		var s *Session
		if s, err = p.svc.welcome(ctx, p, p.svc.newSocketID(), who, returns); err == nil {
			p.session = s
			p.conn.SetStamper(p.svc.sealer.Load().For(who.User))
			p.svc.start(ctx, s)
			return
		}
	}
	var r *auth.Refusal
	var e *proto.Error
	switch {
	case errors.As(err, &r):
		p.svc.metrics.refused(refusal(r.Code))
		code := proto.CloseRevoked
		switch r.Code {
		case proto.TokenExpired:
			code = proto.CloseTokenExpired
		case proto.AuthenticationRequired, proto.InvalidPayload:
			code = proto.CloseProtocolError
		default:
		}
		p.refuse(r.Proto(), code)
	case errors.As(err, &e) && e.Code == proto.ConnectionLimit:
		p.svc.metrics.refused(refusalOf(err))
		p.refuse(e, proto.CloseConnectionLimit)
	default:
		p.svc.metrics.refused(refusedUnavailable)
		p.svc.host.Log().WarnContext(ctx, "connect", "error", err)
		p.refuse(&proto.Error{Code: proto.ServiceUnavailable, Message: "come back in a moment", RetryAfter: time.Second}, proto.CloseOverloaded)
	}
}

// refuse says why there is no session, and closes.
func (p *plainConn) refuse(e *proto.Error, code proto.CloseCode) {
	data, err := wire.Marshal(proto.ErrorEvent{Message: e.Message, Code: e.Code, RetryAfterMs: e.RetryAfter.Milliseconds(), RequestID: newRequestID()})
	if err == nil {
		_ = p.conn.Send(plain.EventFrame(proto.ErrorEventEvent.Name, data)) // the close says the rest
	}
	p.close(code)
}

// Closed ends the session, if there is one.
func (p *plainConn) Closed(*wsconn.Conn, error) {
	p.svc.timers.Remove(&p.timer)
	p.svc.admission.count(p.from, -1)
	if s := p.session; s != nil {
		p.svc.metrics.disconnected("websocket closed")
		s.gone()
	}
}

func (*plainConn) profile() int                   { return profilePlain }
func (p *plainConn) send(f *wsconn.Frame) error   { return p.conn.Send(f) }
func (p *plainConn) ack(id ackID, b []byte) error { return p.conn.Send(plain.AckFrame(id.raw, b)) }
func (p *plainConn) queued() int                  { return p.conn.QueuedBytes() }
func (p *plainConn) close(code proto.CloseCode)   { p.conn.Close(int(code), code.Row().Reason) }

// errSilent drops a connection whose peer has not been heard of.
var errSilent = errors.New("no answer to pings")

// probe implements peer. The timer has no other use once the client is known.
func (p *plainConn) probe(d time.Duration) {
	p.conn.Ping()
	p.svc.timers.Set(&p.timer, &plainProbe{p, time.Now()}, d)
}

// plainProbe is a probe that waits for its answer.
type plainProbe struct {
	conn *plainConn
	at   time.Time
}

// Expire implements deadline.Expirer: the time for the answer is over.
func (p *plainProbe) Expire() {
	if p.conn.conn.LastSeen().Before(p.at) {
		p.conn.conn.Abort(errSilent)
	}
}

func (p *plainConn) watch() time.Duration {
	interval := millis(p.svc.cfg.PingInterval)
	if time.Since(p.conn.LastSeen()) > interval+millis(p.svc.cfg.PingTimeout) {
		p.conn.Abort(errSilent)
		return 0
	}
	p.conn.Ping()
	return interval
}
