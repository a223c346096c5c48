package wsconn

import (
	"errors"
	"fmt"
)

var (
	// ErrFull is Send's answer when the connection's queue holds Config.MaxQueueBytes: the peer reads too slowly.
	ErrFull = errors.New("wsconn: outbound queue is full")
	// ErrClosed is Send's answer once the connection is closed or closing.
	ErrClosed = errors.New("wsconn: connection is closed")
	// ErrStopped is what Handler.Closed and Accept report when the Engine has stopped.
	ErrStopped = errors.New("wsconn: engine is stopped")
)

// CloseError tells Handler.Closed that the peer closed the connection with a close frame. Code is 1005 if it gave none.
type CloseError struct {
	Code   int
	Reason string
}

func (e CloseError) Error() string {
	return fmt.Sprintf("closed by the peer with %d %q", e.Code, e.Reason)
}

// LocalClose tells Handler.Closed that this side closed the connection, by Close or because the peer broke a rule.
type LocalClose struct {
	Code   int
	Reason string
}

func (e LocalClose) Error() string {
	return fmt.Sprintf("closed by this side with %d %q", e.Code, e.Reason)
}
