package wsconn

import (
	"context"
	"errors"
	"io"
	"os"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"
)

// Values of Conn.reading: who may read.
const (
	readIdle   = iota // nobody reads; whoever sets readActive takes the role
	readActive        // a goroutine reads
	readAgain         // a goroutine reads, and the poller has news for it
)

var (
	// errIdle goes up through the library when the socket is empty and every message complete. The library has then consumed
	// nothing, so that the next Reader call goes on as if it had not been called.
	errIdle = errors.New("wsconn: nothing to read")
	// errClosing ends the reader because this side closes.
	errClosing = errors.New("wsconn: closing")
)

// failure is why reading ended, where the library's error cannot tell.
type failure struct {
	broken LocalClose // a guard's verdict
	socket error
}

// kit is what a reader needs while it reads and an idle connection does not hold.
type kit struct {
	message []byte
	in      kitIO
}

const kitMessage = 4 << 10

func newKit() *kit {
	k := &kit{message: make([]byte, 0, kitMessage)}
	k.in.init()
	return k
}

func (c *Conn) startReading() {
	if c.polled {
		early := len(c.early) > 0 // a worker of the poller may read it from add on
		if err := c.engine.poller.add(c); err == nil {
			if early && c.takeReading() {
				c.engine.poller.dispatch(c)
			}
			return
		}
		// Out of watches: fall back, or find out below that the socket is closed.
		c.polled = false
		c.br.Reset((*wire)(c))
	}
	if c.takeReading() {
		go c.readLoop()
	}
}

func (c *Conn) takeReading() bool { return c.reading.CompareAndSwap(readIdle, readActive) }

// interruptRead makes a waiting reader end: phaseClosing has been set before.
func (c *Conn) interruptRead() {
	if c.takeReading() {
		go c.finish(errClosing)
		return
	}
	c.expireRead()
}

func (c *Conn) expireRead() { _ = c.nc.SetReadDeadline(time.Unix(1, 0)) }

// readLoop is the reader of a connection that is not polled. It waits in Peek, where the stack is shallow: the garbage
// collector gives back what the depth of a message needed.
func (c *Conn) readLoop() {
	for {
		_, err := c.br.Peek(1)
		if err == nil {
			err = c.readMessages()
		}
		if err != nil && err != errIdle { //nolint:errorlint // readMessages returns it bare
			c.finish(err)
			return
		}
	}
}

// readMessages delivers what is buffered and what belongs to it.
func (c *Conn) readMessages() error {
	k := c.kit
	if k == nil {
		k = c.engine.kits.Get().(*kit) //nolint:forcetypeassert // the pool holds nothing else
		defer c.engine.kits.Put(k)
	}
	c.inside = true
	defer func() { c.inside = false }()
	for {
		typ, r, err := c.ws.Reader(context.Background())
		if err != nil {
			if errors.Is(err, errIdle) {
				return errIdle
			}
			return err //nolint:wrapcheck // finish judges it
		}
		if err := k.readAll(r); err != nil {
			return err
		}
		if c.phase.Load()&phaseClosing != 0 {
			return errClosing
		}
		if typ == websocket.MessageText && !utf8.Valid(k.message) {
			c.failure.broken = LocalClose{Code: closeUTF8, Reason: "text is not valid UTF-8"}
			return errClosing
		}
		c.handler.Message(c, typ == websocket.MessageBinary, k.message)
		if c.phase.Load()&phaseClosing != 0 {
			return errClosing
		}
		if c.br.Buffered() == 0 && len(c.early) == 0 {
			return nil
		}
	}
}

// readAll reads one message into k.message. Memory grows with what has come, not with what was announced.
func (k *kit) readAll(r io.Reader) error {
	const keep = 64 << 10
	b := k.message[:0]
	if cap(b) > keep {
		b = make([]byte, 0, kitMessage)
	}
	for {
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		if err == nil {
			continue
		}
		k.message = b
		if err == io.EOF { // the library returns it bare at the end of a message
			return nil
		}
		return err //nolint:wrapcheck // finish judges it
	}
}

// read is where all inbound bytes come from. It returns errIdle instead of waiting when waiting is not for the caller.
func (c *Conn) read(p []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(p, c.early)
		if c.early = c.early[n:]; len(c.early) == 0 {
			c.early = nil
		}
		return c.received(p[:n])
	}
	if err := c.throttle(); err != nil {
		return 0, err
	}
	if c.polled {
		n, err := c.readDirect(p)
		if err == nil {
			return c.received(p[:n])
		}
		if err != errIdle { //nolint:errorlint // readDirect returns it bare
			c.failure.socket = err
			return 0, err
		}
	}
	if c.in.border() && (c.polled || c.inside) {
		return 0, errIdle
	}
	return c.readWaiting(p)
}

// readDirect makes one non-blocking read of a polled connection; errIdle means that the socket is empty.
func (c *Conn) readDirect(p []byte) (int, error) {
	if c.drained && !c.hangup.Load() {
		return 0, errIdle
	}
	n, err := c.kit.in.receive(c.raw, p)
	// A short read has emptied the socket; what comes later raises an event of its own. Not so a FIN that had come before.
	c.drained = err == nil && n < len(p)
	return n, err
}

// readWaiting blocks until bytes come, for no longer than the next part of their message may take.
func (c *Conn) readWaiting(p []byte) (int, error) {
	c.drained = false
	if !c.in.border() {
		by := c.engine.start.Add(time.Duration(c.in.since) + c.engine.cfg.MessageTimeout)
		_ = c.nc.SetReadDeadline(by)
		c.timed = true
		c.partial.Store(true)
	} else if c.timed {
		_ = c.nc.SetReadDeadline(time.Time{})
		c.timed = false
	}
	// After the deadline was set: an interruption in between would be lost otherwise.
	if c.phase.Load()&phaseClosing != 0 {
		return 0, errClosing
	}
	n, err := c.nc.Read(p)
	if n > 0 {
		return c.received(p[:n])
	}
	switch {
	case c.phase.Load()&phaseClosing != 0:
		return 0, errClosing
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.failure.broken = LocalClose{Code: closePolicy, Reason: tooSlow}
		return 0, errClosing
	}
	c.failure.socket = err
	return 0, err //nolint:wrapcheck // io.EOF must stay bare for the library
}

// received lets the guards look at p.
func (c *Conn) received(p []byte) (int, error) {
	now := c.engine.now()
	c.in.spend(len(p), now-c.seen.Load(), &c.engine.cfg)
	c.seen.Store(now)
	if broken := c.in.feed(p, now, &c.engine.cfg); broken != "" {
		c.failure.broken = LocalClose{Code: closePolicy, Reason: broken}
		return 0, errClosing
	}
	if c.in.border() && c.partial.Load() {
		c.partial.Store(false)
	}
	return len(p), nil
}

// throttle sleeps as long as the peer is over its rate: not reading fills the peer's window. A peer that does not take the
// answers to what it has sent is read more slowly too, but it is read: its pongs must come through. The clock of an
// unfinished message stands still meanwhile.
func (c *Conn) throttle() error {
	const (
		slice   = 50 * time.Millisecond // a closing connection is noticed after that
		crowded = time.Second           // the longest wait for room in the queue, for each read
	)
	for rest := c.in.debt(&c.engine.cfg); rest > 0; rest -= slice {
		if err := c.nap(min(rest, slice)); err != nil {
			return err
		}
	}
	for rest := crowded; rest > 0 && c.QueuedBytes() > c.engine.cfg.MaxQueueBytes/2; rest -= slice {
		if err := c.nap(slice); err != nil {
			return err
		}
	}
	return nil
}

func (c *Conn) nap(d time.Duration) error {
	time.Sleep(d) //nolint:forbidigo // standing still is what it does; a closing connection is looked for after each slice
	c.in.since += int64(d)
	if c.phase.Load()&phaseClosing != 0 {
		return errClosing
	}
	return nil
}

// violation tells whether reading ended because the peer broke a rule, and which close frame that deserves.
func (c *Conn) violation(err error) (LocalClose, bool) {
	switch {
	case c.failure.broken.Code != 0:
		return c.failure.broken, true
	case c.failure.socket != nil, errors.Is(err, errClosing), websocket.CloseStatus(err) != -1:
		return LocalClose{}, false
	}
	// The library sends its own close frame for most violations, and none for an unmasked frame or a bad length.
	return LocalClose{Code: closeProtocol, Reason: "protocol error"}, true
}
