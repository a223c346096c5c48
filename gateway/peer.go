package gateway

import (
	"errors"
	"time"

	"supmesh.dev/gateway/engineio"
	"supmesh.dev/gateway/plain"
	"supmesh.dev/gateway/socketio"
	"supmesh.dev/gateway/wsconn"
	"supmesh.dev/proto"
)

// The two wire profiles of the contract.
const (
	profileSocketIO = iota
	profilePlain
	profiles
)

var profileNames = [profiles]string{"socketio", "plain"}

// peer is the client's end of a session in one profile. No method blocks.
type peer interface {
	profile() int
	send(f *wsconn.Frame) error
	ack(id ackID, body []byte) error
	queued() int // bytes that wait for the client
	close(code proto.CloseCode)
	// probe closes the connection unless the client answers a ping within d.
	probe(d time.Duration)
	// watch looks after the connection's liveness where the profile leaves that
	// to the session, and says when to call again; 0 is never.
	watch() time.Duration
}

// ackID is the client's mark on an event that it wants acked.
type ackID struct {
	number int64  // of Socket.IO; socketio.NoAck for none
	raw    string // of the plain profile, as it came; "" for none
}

func (a ackID) wanted() bool { return a.raw != "" || a.number != socketio.NoAck }

func eventFrame(profile int, name string, data []byte) *wsconn.Frame {
	if profile == profilePlain {
		return plain.EventFrame(name, data)
	}
	return socketio.EventFrame(name, data)
}

func durableFrame(profile int, name string, data []byte, position uint64) *wsconn.Frame {
	if profile == profilePlain {
		return plain.DurableEventFrame(name, data, position)
	}
	return socketio.DurableEventFrame(name, data, position)
}

func isFull(err error) bool {
	return err != nil && (errors.Is(err, wsconn.ErrFull) || errors.Is(err, engineio.ErrFull))
}
