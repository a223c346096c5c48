package socketio

import (
	"sync/atomic"
	"time"

	"supmesh.dev/gateway/engineio"
	"supmesh.dev/gateway/wsconn"
)

// Socket is one client in one namespace. Its methods are safe for concurrent use.
type Socket struct {
	client    *client
	id        string
	namespace string
	state     atomic.Uint32
	userData  any
	acks      *pendingAcks // nil until the first EmitWithAck; client.mu guards it
}

// The states of a socket, in the order in which it goes through them.
const (
	stateConnecting uint32 = iota
	stateConnected
	stateLeft
)

// ID returns the socket's id, which its client knows too. It is not the session's id.
func (s *Socket) ID() string { return s.id }

// Namespace returns the name of the socket's namespace, "/" for the root.
func (s *Socket) Namespace() string { return s.namespace }

// Session returns the session that carries the socket.
func (s *Socket) Session() *engineio.Session { return s.client.session }

// SetUserData keeps v with the socket. Call it in Handler.Connect only; it is not synchronised.
func (s *Socket) SetUserData(v any) { s.userData = v }

// UserData returns what SetUserData was given.
func (s *Socket) UserData() any { return s.userData }

// Connected reports whether the socket can send.
func (s *Socket) Connected() bool { return s.state.Load() == stateConnected }

// Send queues a frame that was built for the socket's namespace. It never blocks; it returns ErrNotConnected, or
// engineio.ErrFull if the client does not keep up, or engineio.ErrClosed.
func (s *Socket) Send(f *wsconn.Frame) error { return s.send(f) }

func (s *Socket) send(frames ...*wsconn.Frame) error {
	if s.state.Load() != stateConnected {
		return ErrNotConnected
	}
	return s.client.session.Send(frames...)
}

// Emit sends an event to this socket alone. args are its arguments as raw JSON with commas between them; none stands for {}.
// Attachments take the place of the placeholders {"_placeholder":true,"num":n} in args. Errors are Send's.
func (s *Socket) Emit(name string, args []byte, attachments ...[]byte) error {
	return s.emit(NoAck, name, args, attachments)
}

func (s *Socket) emit(ackID int64, name string, args []byte, attachments [][]byte) error {
	head := s.head(EventPacket, BinaryEvent, ackID, attachments)
	payload := appendEvent(make([]byte, 0, len(name)+len(args)+len(s.namespace)+24), head, name, args)
	return s.sendWith(payload, attachments)
}

// SendAck answers the event that had this ack id. data is the arguments of the client's callback, as in Emit, but may be nil.
// Errors are Send's.
func (s *Socket) SendAck(id int64, data []byte, attachments ...[]byte) error {
	if len(attachments) == 0 {
		var buf [64]byte
		head := append(s.head(AckPacket, BinaryAck, id, nil).appendHead(append(buf[:0], messageType)), '[')
		return s.send(wsconn.TextOf(head, data, arrayEnd))
	}
	head := s.head(AckPacket, BinaryAck, id, attachments)
	payload := appendArray(make([]byte, 0, len(data)+len(s.namespace)+24), head, data)
	return s.sendWith(payload, attachments)
}

func (s *Socket) head(plain, binary Type, ackID int64, attachments [][]byte) Packet {
	p := Packet{Type: plain, Namespace: s.namespace, AckID: ackID, Attachments: len(attachments)}
	if len(attachments) > 0 {
		p.Type = binary
	}
	return p
}

func (s *Socket) sendWith(payload []byte, attachments [][]byte) error {
	if len(attachments) == 0 {
		return s.send(wsconn.Text(payload))
	}
	return s.send(framesOf(payload, attachments)...)
}

// EmitWithAck is Emit with an ack, for which Handler.Ack is then called with the returned id, in time or with ErrAckTimeout.
// It returns ErrTooManyAcks, or an error of Send; Handler.Ack is not called then.
func (s *Socket) EmitWithAck(name string, args []byte, timeout time.Duration, attachments ...[]byte) (int64, error) {
	id, err := s.addAck(timeout)
	if err != nil {
		return 0, err
	}
	if err := s.emit(id, name, args, attachments); err != nil && s.takeAck(id) {
		return 0, err
	}
	return id, nil // also if it failed but its Ack has been called meanwhile
}

// Disconnect ends the socket. Closing the transport ends every socket of the session and makes a stock client come back by
// itself. Otherwise the client gets a DISCONNECT packet behind what is queued and stays away; if it does not close the
// transport itself once it is in no namespace any more, that happens after LeaveTimeout. Handler.Disconnected follows.
func (s *Socket) Disconnect(closeTransport bool) {
	if closeTransport {
		s.client.session.Close(engineio.ReasonForcedClose)
		return
	}
	c := s.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || !s.state.CompareAndSwap(stateConnected, stateLeft) {
		return
	}
	if c.sendPacket(Packet{Type: Disconnect, Namespace: s.namespace, AckID: NoAck}) != nil {
		c.session.Close(engineio.ReasonForcedClose) // it does not read what we tell it
	}
	c.ended = append(c.ended, s)
	c.srv.deadlines.Set(&c.idle, c, 0)
}

// finish tells the application that the socket is gone.
func (s *Socket) finish(reason Reason) {
	s.failAcks()
	s.client.srv.handler.Disconnected(s, reason)
}

// sendPacket sends one of this package's own packets.
func (c *client) sendPacket(p Packet) error {
	b := make([]byte, 0, len(p.Data)+len(p.Namespace)+8)
	return c.session.Send(wsconn.Text(p.Append(append(b, messageType))))
}
