package echo

import (
	"supmesh.dev/gateway/engineio"
	"supmesh.dev/gateway/wsconn"
)

// Messages is an Engine.IO handler that sends every message back.
type Messages struct{}

// Open implements engineio.Handler.
func (Messages) Open(*engineio.Session) {}

// Message implements engineio.Handler.
func (Messages) Message(s *engineio.Session, binary bool, data []byte) {
	frame := wsconn.Binary(data)
	if !binary {
		frame = wsconn.Text(append([]byte{'4'}, data...))
	}
	_ = s.Send(frame) // a session that is gone reports itself
}

// Closed implements engineio.Handler.
func (Messages) Closed(*engineio.Session, engineio.Reason) {}
