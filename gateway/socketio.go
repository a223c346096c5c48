package gateway

import (
	"context"
	"errors"
	"strings"
	"time"

	"supmesh.dev/gateway/auth"
	"supmesh.dev/gateway/engineio"
	"supmesh.dev/gateway/socketio"
	"supmesh.dev/gateway/wsconn"
	"supmesh.dev/proto"
	"supmesh.dev/services/wire"
)

// socketEdge is the Socket.IO profile: it turns what socketio says into
// sessions, and sessions into what socketio sends.
type socketEdge struct{ svc *Service }

var _ socketio.Handler = socketEdge{}

// connectTimeout bounds how long a CONNECT may stand open in all.
const connectTimeout = 10 * time.Second

// Connect decides about a CONNECT. Whatever is not the client's fault closes
// the transport, so that the client comes back; a CONNECT_ERROR is final.
func (e socketEdge) Connect(socket *socketio.Socket, object []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(e.svc.ctx, connectTimeout)
	defer cancel()
	request := socket.Session().Request()
	if request == nil { // a second CONNECT on the session, after a disconnect
		request = &engineio.Request{}
	}
	who, returns, err := e.svc.identify(ctx, object, request.Query(), request.Authorization)
	if err != nil {
		return nil, e.refuse(err)
	}
	s, err := e.svc.welcome(ctx, socketPeer{socket}, strings.Clone(socket.ID()), who, returns)
	if err != nil {
		e.svc.metrics.refused(refusalOf(err))
		e.svc.host.Log().WarnContext(ctx, "connect", "error", err)
		return nil, socketio.ErrCloseTransport
	}
	socket.SetUserData(s)
	socket.Session().SetStamper(e.svc.sealer.Load().For(who.User))
	socket.Session().ForgetRequest()
	return wire.Marshal(struct {
		SID string `json:"sid"`
		PID string `json:"pid"`
	}{s.id, s.pid})
}

func (e socketEdge) refuse(err error) error {
	var r *auth.Refusal
	if !errors.As(err, &r) {
		e.svc.metrics.refused(refusedUnavailable)
		e.svc.host.Log().Warn("identify", "error", err)
		return socketio.ErrCloseTransport
	}
	e.svc.metrics.refused(refusal(r.Code))
	data, err := wire.Marshal(struct {
		Code      proto.Code `json:"code"`
		Retryable bool       `json:"retryable"`
		RequestID string     `json:"requestId"`
	}{r.Code, r.Code.Row().Retryable, newRequestID()})
	if err != nil {
		return err
	}
	return &socketio.ConnectError{Message: r.Message, Data: data}
}

// Connected starts the session.
func (e socketEdge) Connected(socket *socketio.Socket) {
	ctx, cancel := context.WithTimeout(e.svc.ctx, connectTimeout)
	defer cancel()
	if s, ok := socket.UserData().(*Session); ok {
		e.svc.start(ctx, s)
	}
}

// Event takes an event of the client.
func (e socketEdge) Event(socket *socketio.Socket, event socketio.Event) {
	if s, ok := socket.UserData().(*Session); ok {
		e.svc.dispatch(s, event.Name, event.Data, ackID{number: event.AckID})
	}
}

// Ack is never called: the gateway asks its clients for no acks.
func (socketEdge) Ack(*socketio.Socket, socketio.Ack) {}

// Disconnected ends the session.
func (e socketEdge) Disconnected(socket *socketio.Socket, reason socketio.Reason) {
	if s, ok := socket.UserData().(*Session); ok {
		e.svc.metrics.disconnected(string(reason))
		if reason == socketio.ReasonClientDisconnect {
			s.leave()
		}
		s.gone()
	}
}

// socketPeer is the peer of a Socket.IO session.
type socketPeer struct{ socket *socketio.Socket }

func (socketPeer) profile() int                   { return profileSocketIO }
func (p socketPeer) send(f *wsconn.Frame) error   { return p.socket.Send(f) }
func (p socketPeer) ack(id ackID, b []byte) error { return p.socket.SendAck(id.number, b) }
func (p socketPeer) queued() int                  { return p.socket.Session().QueuedBytes() }
func (p socketPeer) probe(d time.Duration)        { p.socket.Session().Probe(d) }
func (socketPeer) watch() time.Duration           { return 0 } // Engine.IO has its own heartbeat

// close tells the client to stay away only where that is meant: after a
// DISCONNECT packet it does not come back by itself (CONTRACT §1).
func (p socketPeer) close(code proto.CloseCode) {
	stay := code == proto.CloseRevoked || code == proto.CloseIdle
	p.socket.Disconnect(!stay)
}
