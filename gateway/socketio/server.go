package socketio

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"slices"
	"time"

	"supmesh.dev/gateway/engineio"
	"supmesh.dev/gateway/engineio/deadline"
)

// Handler takes what the sockets of a Server receive. Except where noted, its methods are called one at a time for one
// session, on the goroutine that reads the session's transport.
type Handler interface {
	// Connect decides about a CONNECT. auth is the client's auth object as raw JSON, nil if it sent none, valid during the
	// call. It may take seconds: nothing more is read from the session meanwhile, so no event can overtake it.
	// The reply is the JSON object that the client gets, "sid" included; nil stands for {"sid":s.ID()}. A *ConnectError is
	// passed on to the client; any other error closes the transport.
	Connect(s *Socket, auth []byte) (reply []byte, err error)
	// Connected follows a successful Connect when its answer has been queued: from now on the socket can send.
	Connected(s *Socket)
	// Event takes an event. It must not block for long: the client's later events wait, and so does its pong.
	Event(s *Socket, e Event)
	// Ack is called exactly once for every successful EmitWithAck. With an error it comes on another goroutine, possibly
	// beside an Event, and must not block.
	Ack(s *Socket, a Ack)
	// Disconnected is called exactly once after a successful Connect, and nothing after it. When the server has ended the
	// socket it comes on another goroutine, but never beside an Event of the session. It must not block.
	Disconnected(s *Socket, reason Reason)
}

// Server is the engineio.Handler that speaks Socket.IO.
type Server struct {
	cfg       Config
	handler   Handler
	names     map[string]string
	deadlines *deadline.Queue
}

var _ engineio.Handler = (*Server)(nil)

// NewServer returns a server to be given to engineio.NewServer. Its time-outs need Run.
func NewServer(cfg Config, h Handler) *Server {
	cfg = cfg.withDefaults()
	names := make(map[string]string, len(cfg.EventNames))
	for _, name := range cfg.EventNames {
		names[name] = name
	}
	return &Server{cfg: cfg, handler: h, names: names, deadlines: deadline.New(5 * time.Millisecond)}
}

// Run serves the time-outs until ctx ends and returns nil. Let it end after the engineio.Server's Run.
func (srv *Server) Run(ctx context.Context) error { return srv.deadlines.Run(ctx) }

// Open implements engineio.Handler.
func (srv *Server) Open(s *engineio.Session) {
	c := &client{srv: srv, session: s}
	s.SetUserData(c)
	srv.deadlines.Set(&c.idle, c, srv.cfg.ConnectTimeout)
}

// Message implements engineio.Handler.
func (srv *Server) Message(s *engineio.Session, binary bool, data []byte) {
	c := s.UserData().(*client)
	c.begin()
	defer c.end()
	var err error
	if binary {
		err = c.receiveBinary(data)
	} else {
		err = c.receiveText(data)
	}
	if err != nil {
		s.Close(engineio.ReasonParseError)
	}
}

// Closed implements engineio.Handler.
func (srv *Server) Closed(s *engineio.Session, reason engineio.Reason) {
	s.UserData().(*client).close(reason)
}

func (srv *Server) hasNamespace(name string) bool {
	return slices.Contains(srv.cfg.Namespaces, name)
}

// newSocketID is public, unlike a session's id: it is in the answer to CONNECT and good for nothing else.
func newSocketID() string {
	var b [15]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand since Go 1.24)
	return base64.RawURLEncoding.EncodeToString(b[:])
}
