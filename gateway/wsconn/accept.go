package wsconn

import (
	"net/http"

	"github.com/coder/websocket"
)

// AcceptOptions are the choices of one upgrade.
type AcceptOptions struct {
	// CheckOrigin decides whether the request's Origin may connect; a refusal is answered with 403. Nil: only the host itself.
	CheckOrigin func(*http.Request) bool
	// Subprotocols this server speaks, in order of preference.
	Subprotocols []string
}

// Handler takes what a connection receives.
type Handler interface {
	// Message is called for one message after the other. Text has been checked to be UTF-8. data is valid during the call only.
	// While it runs, nothing more is read from the connection.
	Message(c *Conn, binary bool, data []byte)
	// Closed is called once, after the last Message. err says why: a CloseError (peer), a LocalClose (this side), the error
	// given to Abort, or the error of the socket.
	Closed(c *Conn, err error)
}

func acceptOptions(r *http.Request, opts AcceptOptions) (*websocket.AcceptOptions, bool) {
	if opts.CheckOrigin == nil {
		return &websocket.AcceptOptions{Subprotocols: opts.Subprotocols}, true
	}
	if !opts.CheckOrigin(r) {
		return nil, false
	}
	return &websocket.AcceptOptions{Subprotocols: opts.Subprotocols, InsecureSkipVerify: true}, true
}
