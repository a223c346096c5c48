package gateway

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

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
	s, ok := socket.UserData().(*Session)
	switch {
	case !ok:
	case event.Dropped > 0 && e.svc.events[event.Name] != nil:
		e.svc.refuseBinary(s, &event)
	default:
		e.svc.dispatch(s, event.Name, event.Data, ackID{number: event.AckID})
	}
}

// refuseBinary answers an event with attachments: no event of the contract
// takes binary (CONTRACT §3). A placeholder would be stored in its place.
func (svc *Service) refuseBinary(s *Session, event *socketio.Event) {
	s.touch()
	q := request{route: svc.events[event.Name], data: event.Data, ack: ackID{number: event.AckID}}
	failure := proto.Errorf(proto.InvalidPayload, "payload must not contain binary")
	if field := binaryField(event.Data); field != "" {
		failure = proto.FieldError(field, errors.New("must not contain binary"))
	}
	s.answer(&q, nil, failure, newRequestID())
}

// binaryField is the first field of a payload in which a placeholder stands for
// an attachment (Socket.IO protocol v5, "Binary"); "" if it is in none.
func binaryField(data []byte) string {
	d := jsontext.NewDecoder(bytes.NewReader(data), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if token, err := d.ReadToken(); err != nil || token.Kind() != '{' {
		return ""
	}
	for d.PeekKind() == '"' {
		token, err := d.ReadToken()
		if err != nil {
			return ""
		}
		name := token.String()
		value, err := d.ReadValue()
		if err != nil {
			return ""
		}
		if bytes.Contains(value, []byte(`"_placeholder"`)) {
			return name[:min(len(name), maxFieldName)]
		}
	}
	return ""
}

// maxFieldName bounds the field that a failure names, in bytes: it is the client's text.
const maxFieldName = 64

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
