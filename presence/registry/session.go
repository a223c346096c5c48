package registry

import "supmesh.dev/proto"

// Of names one session of one user.
type Of struct{ User, PID proto.Token }

func (o Of) member() string { return string(o.User) + "/" + string(o.PID) }

// Session is what is kept of a session.
type Session struct {
	Fence   uint64 // 0: there is no such session
	Device  string
	Socket  string        // of its last connection
	Was     string        // of the connection that this one continued
	Closed  bool          // its gateway has said that it is over
	Moved   proto.Token   // it goes on as this one
	Views   []proto.Token // chats it has open
	Watches []proto.Token // users whose presence it has subscribed
}

// OpenedBy reports whether this socket has opened the session, now or before another.
func (s *Session) OpenedBy(socket string) bool {
	return s.Fence > 0 && socket != "" && (s.Socket == socket || s.Was == socket)
}

// FenceOf returns the fence of the session's connection by this socket; 0 if the session
// has a newer connection.
func (s *Session) FenceOf(socket string) uint64 {
	if s.Socket != socket || s.Moved != "" {
		return 0
	}
	return s.Fence
}

// Begin is a session that a gateway has a connection of.
type Begin struct {
	Of
	Gateway proto.Token
	Fence   uint64
	Device  string
	Since   int64
	Socket  string
	Session // what it takes over
}

// Begun is what became of a Begin.
type Begun int64

// The outcomes of a Begin.
const (
	BeginRefused  Begun = iota // a newer connection has the session, or this one has ended
	BeginDone                  // the session has the connection, and what it takes over
	BeginRepeated              // it had the connection: what it takes over is not added again
)

// Note is what a connection has begun, or ended, to have: chats and watches.
type Note struct {
	Of
	Fence   uint64
	Seq     uint64 // of the report: a note of an older one than the session's last is refused
	Ended   bool
	Views   []proto.Token
	Watches []proto.Token
}

// Left is a session whose connection is gone.
type Left struct {
	Of
	Gateway proto.Token
	Fence   uint64
	Lost    bool // it may be there: its gateway is not heard of
}
