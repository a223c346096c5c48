package socketio

import (
	"errors"
	"sync"
	"time"

	"supmesh.dev/gateway/engineio"
	"supmesh.dev/gateway/engineio/deadline"
)

var (
	errState      = errors.New("packet does not fit the state of its namespace")
	errConnects   = errors.New("too many failed connects")
	errDisconnect = errors.New("a disconnect has no payload")
)

// client is one session: the sockets of its namespaces, nearly always one.
type client struct {
	srv     *Server
	session *engineio.Session
	idle    deadline.Entry // when a client without a namespace is closed, or ended is to be looked at
	pending *assembly      // a packet whose attachments have not all come; only the reading goroutine uses it

	mu         sync.Mutex
	sockets    []*Socket // one per namespace: connecting, connected, or left by the server
	ended      []*Socket // disconnected by the server, Disconnected still to be called
	delivering bool      // a message is being handled
	closed     bool
	refused    int // failed connects
}

// begin and end bracket the handling of one message, during which no Disconnected may come from elsewhere.
func (c *client) begin() {
	c.mu.Lock()
	c.delivering = true
	c.mu.Unlock()
}

func (c *client) end() {
	c.mu.Lock()
	c.delivering = false
	ended := c.takeEndedLocked()
	c.mu.Unlock()
	c.report(ended)
}

func (c *client) takeEndedLocked() []*Socket {
	ended := c.ended
	c.ended = nil
	if len(ended) > 0 && !c.busyLocked() {
		c.srv.deadlines.Set(&c.idle, c, c.srv.cfg.LeaveTimeout)
	}
	return ended
}

func (c *client) report(ended []*Socket) {
	for _, s := range ended {
		s.finish(ReasonServerDisconnect)
	}
}

// busyLocked reports whether the client is in, or about to be in, any namespace.
func (c *client) busyLocked() bool {
	for _, s := range c.sockets {
		if s.state.Load() <= stateConnected {
			return true
		}
	}
	return false
}

// Expire implements deadline.Expirer.
func (c *client) Expire() {
	c.mu.Lock()
	switch {
	case c.closed:
		c.mu.Unlock()
	case c.delivering:
		// end looks after what has ended; a Connect that still runs decides whether the client is idle.
		c.srv.deadlines.Set(&c.idle, c, time.Second)
		c.mu.Unlock()
	case len(c.ended) > 0:
		ended := c.takeEndedLocked()
		c.mu.Unlock()
		c.report(ended)
	default:
		busy := c.busyLocked()
		c.mu.Unlock()
		if !busy {
			c.session.Close(ReasonConnectTimeout)
		}
	}
}

// close ends what is left when the session has ended.
func (c *client) close(reason Reason) {
	c.mu.Lock()
	c.closed = true
	ended, sockets := c.ended, c.sockets
	c.ended, c.sockets = nil, nil
	c.mu.Unlock()
	c.srv.deadlines.Remove(&c.idle)
	if c.pending != nil { // no message follows, so nobody else uses it
		c.srv.deadlines.Remove(&c.pending.entry)
	}
	c.report(ended)
	for _, s := range sockets {
		if s.state.Swap(stateLeft) == stateConnected {
			s.finish(reason)
		}
	}
}

func (c *client) receiveText(data []byte) error {
	if c.pending != nil {
		return errAttachments
	}
	p, err := Decode(data)
	if err != nil {
		return err
	}
	switch p.Type {
	case Connect:
		return c.connect(p)
	case Disconnect:
		return c.disconnect(p)
	case BinaryEvent, BinaryAck:
		if c.find(p.Namespace) == nil { // rather than keep attachments for nobody
			return errState
		}
		if p.Attachments > c.srv.cfg.MaxAttachments {
			return errAttachments
		}
		if p.Attachments > 0 {
			c.assemble(p)
		}
		if p.Attachments > 0 && !c.srv.cfg.DropAttachments {
			return nil
		}
		return c.dispatch(p, nil)
	default:
		return c.dispatch(p, nil)
	}
}

func (c *client) receiveBinary(data []byte) error {
	if c.pending == nil {
		return errAttachments
	}
	done, err := c.pending.add(data)
	if err != nil || !done {
		return err
	}
	whole := c.pending
	c.pending = nil
	if c.srv.cfg.DropAttachments {
		return nil // what they belong to came before them
	}
	return c.dispatch(whole.packet, whole.attachments)
}

func (c *client) find(namespace string) *Socket {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.sockets {
		if s.namespace == namespace {
			return s
		}
	}
	return nil
}

// forget removes a socket and starts the idle time if it was the last.
func (c *client) forget(s *Socket, idle time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, other := range c.sockets {
		if other == s {
			c.sockets = append(c.sockets[:i:i], c.sockets[i+1:]...)
			break
		}
	}
	if !c.busyLocked() && !c.closed {
		c.srv.deadlines.Set(&c.idle, c, idle)
	}
}

func (c *client) connect(p Packet) error {
	if p.Data != nil {
		if err := checkObject(p.Data); err != nil {
			return err
		}
	}
	if p.AckID != NoAck {
		return errState
	}
	if old := c.find(p.Namespace); old != nil {
		if old.state.Load() <= stateConnected {
			return errState
		}
		c.forget(old, c.srv.cfg.ConnectTimeout)
	}
	if !c.srv.hasNamespace(p.Namespace) {
		return c.refuse(p.Namespace, invalidNamespace)
	}
	s := &Socket{client: c, id: newSocketID(), namespace: p.Namespace}
	reply, err := c.srv.handler.Connect(s, p.Data)
	if err != nil {
		var refusal *ConnectError
		if errors.As(err, &refusal) {
			return c.refuse(p.Namespace, refusal)
		}
		c.session.Close(ReasonRefused)
		return nil
	}
	if reply == nil {
		reply = []byte(`{"sid":"` + s.id + `"}`)
	}
	c.mu.Lock()
	c.sockets = append(c.sockets, s)
	c.mu.Unlock()
	c.srv.deadlines.Remove(&c.idle)
	err = c.sendPacket(Packet{Type: Connect, Namespace: s.namespace, AckID: NoAck, Data: reply})
	s.state.Store(stateConnected) // in any case: what Connect has set up is for Disconnected to take down
	if err != nil {
		c.session.Close(engineio.ReasonForcedClose)
		return nil //nolint:nilerr // the session ends by this, not by a protocol error
	}
	c.srv.handler.Connected(s)
	return nil
}

func (c *client) refuse(namespace string, refusal *ConnectError) error {
	if c.refused++; c.refused > c.srv.cfg.MaxConnects {
		return errConnects
	}
	return c.sendPacket(Packet{
		Type: ConnectErrorPacket, Namespace: namespace, AckID: NoAck, Data: refusal.payload(),
	})
}

func (c *client) disconnect(p Packet) error {
	if p.Data != nil || p.AckID != NoAck {
		return errDisconnect
	}
	s := c.find(p.Namespace)
	if s == nil {
		return errState
	}
	was := s.state.Swap(stateLeft)
	c.forget(s, c.srv.cfg.ConnectTimeout)
	if was == stateConnected {
		s.finish(ReasonClientDisconnect)
	}
	return nil
}

// dispatch hands a complete EVENT or ACK to its socket.
func (c *client) dispatch(p Packet, attachments [][]byte) error {
	s := c.find(p.Namespace)
	if s == nil {
		return errState
	}
	switch p.Type {
	case EventPacket, BinaryEvent:
		e, err := parseEvent(p.Data, c.srv.names)
		if err != nil {
			return err
		}
		e.AckID, e.Attachments = p.AckID, attachments
		e.Dropped = p.Attachments - len(attachments)
		if s.state.Load() == stateConnected { // else it crossed our DISCONNECT
			c.srv.handler.Event(s, e)
		}
	case AckPacket, BinaryAck:
		a, err := parseAck(p)
		if err != nil {
			return err
		}
		a.Attachments = attachments
		if s.takeAck(a.ID) {
			c.srv.handler.Ack(s, a)
		}
	default:
		return errState
	}
	return nil
}
