package wsconn

import (
	"encoding/binary"
	"errors"
	"net"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"
)

// Bits of Conn.phase. They are only ever set.
const (
	phaseClosing   = 1 << iota // a close frame is queued, or the connection is being dropped
	phaseReadDone              // the reader has ended and Closed has been called
	phaseWriteDone             // the close frame is with the kernel
	phaseDead                  // the socket is closed
)

// maxCloseReason is what a control frame leaves for the reason (RFC 6455 sections 5.5 and 5.5.1).
const maxCloseReason = 123

// ending says why and how a connection ends. It is set once, under Conn.mu.
type ending struct {
	why     error
	library bool        // the library wrote the close frame: a peer's close explains it better
	by      time.Time   // when the socket is closed at the latest
	timer   *time.Timer // does so; nil when it was dropped at once
}

// Close sends what is queued, then a close frame, and ends the connection within Config.CloseTimeout. It returns at once; a
// second Close does nothing. A reason over 123 bytes is cut; a code that may not be sent (RFC 6455 section 7.4) becomes 1011.
func (c *Conn) Close(code int, reason string) {
	c.startClose(closeFrame(code, reason), LocalClose{Code: code, Reason: reason}, false)
}

// Abort drops the connection now, with what is queued. Handler.Closed gets err, unless there was a reason before.
func (c *Conn) Abort(err error) {
	c.mu.Lock()
	if c.ending == nil {
		c.ending = &ending{why: err}
	}
	c.mu.Unlock()
	c.phase.Or(phaseClosing)
	c.teardown()
}

// startClose queues the close frame, unless one is queued, and bounds the rest of the connection's life.
func (c *Conn) startClose(f *Frame, why error, library bool) {
	timeout := c.engine.cfg.CloseTimeout
	c.mu.Lock()
	if c.ending != nil {
		c.mu.Unlock()
		return
	}
	c.ending = &ending{why: why, library: library, by: time.Now().Add(timeout)}
	c.ending.timer = time.AfterFunc(timeout, c.giveUp)
	dirty := c.enqueue(f)
	c.mu.Unlock()
	c.phase.Or(phaseClosing)
	if dirty {
		c.shard.push(c)
	}
	c.interruptRead()
}

// libraryClose queues a close frame of the library: its verdict, or the echo of the peer's own. The library does not look at
// the peer's reason, which must be UTF-8 (RFC 6455 sections 5.5.1 and 8.1).
func (c *Conn) libraryClose(f *Frame) {
	why := LocalClose{Code: 1005}
	if p := f.Payload(); len(p) >= 2 {
		why.Code, why.Reason = int(binary.BigEndian.Uint16(p)), string(p[2:])
	}
	if !utf8.ValidString(why.Reason) {
		c.Close(closeUTF8, "close reason is not valid UTF-8")
		return
	}
	c.startClose(f, why, true)
}

// reason is what Closed reports.
func (c *Conn) reason() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ending.why
}

// closeWritten is called by whoever has written the close frame.
func (c *Conn) closeWritten() {
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // the peer sees the end even if it never answers
	}
	if c.phase.Or(phaseWriteDone)&phaseReadDone != 0 {
		c.teardown()
	}
}

// giveUp ends a graceful close that took too long.
func (c *Conn) giveUp() {
	if c.phase.Load()&phaseWriteDone == 0 {
		c.discardUnsent()
	}
	c.teardown()
}

// discardUnsent makes closing the socket forget what the peer does not take. Without it the kernel keeps up to a socket
// buffer of it for minutes, for every stalled peer.
func (c *Conn) discardUnsent() {
	if tcp, ok := socketOf(c.nc).(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
}

// teardown closes the socket, once, and sees to it that the reader ends.
func (c *Conn) teardown() {
	before := c.phase.Or(phaseDead | phaseClosing)
	if before&phaseDead != 0 {
		return
	}
	c.mu.Lock()
	if c.ending != nil && c.ending.timer != nil {
		c.ending.timer.Stop()
	}
	c.mu.Unlock()
	// The socket itself first: closing TLS would write to it, and wait for up to 5 s if it is full.
	_ = socketOf(c.nc).Close()
	_ = c.nc.Close()
	if before&phaseReadDone != 0 {
		c.engine.unregister(c)
		return
	}
	c.interruptRead()
}

// finish ends the reader's role: it closes properly if the peer broke a rule, calls Closed, and lets the close frame out.
func (c *Conn) finish(err error) {
	if v, ok := c.violation(err); ok {
		c.Close(v.Code, v.Reason)
	}
	_ = c.ws.CloseNow() // releases the library's state; the socket is ours
	c.mu.Lock()
	if c.ending == nil {
		c.ending = &ending{why: err}
	}
	var peer websocket.CloseError
	if c.ending.library && errors.As(err, &peer) {
		c.ending.why = CloseError{Code: int(peer.Code), Reason: peer.Reason}
	}
	why, by, h := c.ending.why, c.ending.by, c.handler
	graceful := c.ending.timer != nil
	c.finished = true
	c.mu.Unlock()
	if h != nil {
		h.Closed(c, why)
	}
	if graceful {
		c.linger(by)
	} else {
		c.teardown()
	}
	before := c.phase.Or(phaseReadDone)
	switch {
	case before&phaseDead != 0:
		c.engine.unregister(c)
	case before&phaseWriteDone != 0:
		c.teardown()
	}
}

// linger reads and forgets until the peer has ended its side too. Closing a socket with unread bytes in it sends a reset, and
// a reset can overtake the close frame: the peer would never learn the code.
func (c *Conn) linger(by time.Time) {
	const enough = 1 << 20
	_ = c.nc.SetReadDeadline(by)
	scratch := make([]byte, readBuffer) // small: many connections may be closed at once
	for total := 0; total < enough; {
		n, err := c.nc.Read(scratch)
		if err != nil {
			return
		}
		total += n
	}
}

func closeFrame(code int, reason string) *Frame {
	if code == 1005 {
		return build(opClose, nil)
	}
	if code < 1000 || code > 4999 || code == 1004 || code == 1006 || (code > 1014 && code < 3000) {
		code = 1011
	}
	if len(reason) > maxCloseReason {
		reason = reason[:maxCloseReason]
		for len(reason) > 0 && !utf8.ValidString(reason) {
			reason = reason[:len(reason)-1]
		}
	}
	payload := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(reason)), uint16(code)) // checked above
	return build(opClose, append(payload, reason...))
}
