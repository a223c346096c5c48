package socketio

import (
	"errors"

	"github.com/go-json-experiment/json/jsontext"

	"supmesh.dev/gateway/engineio"
)

var (
	// ErrCloseTransport is returned by Handler.Connect to close the transport instead of answering: the client comes back
	// by itself, which it does not after a ConnectError.
	ErrCloseTransport = errors.New("socketio: close the transport")
	// ErrNotConnected is returned by the sending methods of a socket that is not, or no longer, connected.
	ErrNotConnected = errors.New("socketio: not connected")
	// ErrTooManyAcks is returned by EmitWithAck while MaxPendingAcks acks are missing.
	ErrTooManyAcks = errors.New("socketio: too many pending acks")
	// ErrAckTimeout ends an EmitWithAck whose ack has not come in time.
	ErrAckTimeout = errors.New("socketio: ack timeout")
)

// Reason says why a socket was disconnected: a reason of its session, or one of those below.
type Reason = engineio.Reason

// Reasons in the words of the reference implementation.
const (
	ReasonClientDisconnect Reason = "client namespace disconnect"
	ReasonServerDisconnect Reason = "server namespace disconnect"
	ReasonConnectTimeout   Reason = "connect timeout"
	ReasonRefused          Reason = "connection refused" // Handler.Connect returned ErrCloseTransport
)

// ConnectError refuses a CONNECT. The client gets connect_error with this message and data, and does not retry by itself.
type ConnectError struct {
	Message string
	Data    []byte // raw JSON, nil for none
}

func (e *ConnectError) Error() string { return "connect refused: " + e.Message }

// payload is the data of a CONNECT_ERROR packet.
func (e *ConnectError) payload() []byte {
	b := append([]byte(nil), `{"message":`...)
	b, _ = jsontext.AppendQuote(b, e.Message) // an error only reports invalid UTF-8, which it has replaced
	if e.Data != nil {
		b = append(b, `,"data":`...)
		b = append(b, e.Data...)
	}
	return append(b, '}')
}

// invalidNamespace is the reference implementation's answer to a CONNECT of a namespace that does not exist.
var invalidNamespace = &ConnectError{Message: "Invalid namespace"}
