package wsconn

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"
)

func (h *hijack) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	h.nc = nc
	return nc, rw, err
}

// Conn is one accepted websocket.
type Conn struct {
	// UserData belongs to whoever accepted the connection; set it before Serve.
	UserData any

	engine *Engine
	ws     *websocket.Conn
	nc     net.Conn
	wake   chan struct{}
	gone   chan struct{}
	seen   atomic.Int64

	mu      sync.Mutex
	handler Handler
	stamper Stamper
	queue   []*Frame
	bytes   int
	served  bool
	closing bool
	code    int
	reason  string
	err     error
	once    sync.Once
}

// Serve starts reading into h and returns at once.
func (c *Conn) Serve(h Handler) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.handler, c.served = h, true
	c.engine.wg.Add(1)
	go c.readLoop()
}

// SetHandler replaces the handler, from within Message or before Serve only.
func (c *Conn) SetHandler(h Handler) {
	c.mu.Lock()
	c.handler = h
	c.mu.Unlock()
}

// SetStamper sets what fills the slots of Stamped frames; call it before the first of them is sent.
func (c *Conn) SetStamper(s Stamper) {
	c.mu.Lock()
	c.stamper = s
	c.mu.Unlock()
}

// Send queues the frame and returns at once: nil, ErrFull or ErrClosed. Frames leave in the order of the calls.
func (c *Conn) Send(f *Frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return ErrClosed
	}
	if c.bytes > 0 && c.bytes+len(f.wire) > c.engine.cfg.MaxQueueBytes {
		return ErrFull
	}
	c.queue = append(c.queue, f)
	c.bytes += len(f.wire)
	c.signal()
	return nil
}

// Ping sends a websocket ping; the answer shows in LastSeen.
func (c *Conn) Ping() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing {
		c.queue = append(c.queue, build(opPing, nil))
		c.signal()
	}
}

// Close sends what is queued, then a close frame, and ends the connection within Config.CloseTimeout. It returns at once.
func (c *Conn) Close(code int, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return
	}
	c.closing, c.code, c.reason, c.err = true, code, reason, LocalClose{Code: code, Reason: reason}
	time.AfterFunc(c.engine.cfg.CloseTimeout, c.drop)
	c.signal()
}

// Abort drops the connection without a close frame; Handler.Closed gets err.
func (c *Conn) Abort(err error) {
	c.mu.Lock()
	if c.err == nil {
		c.err = err
	}
	c.closing = true
	c.mu.Unlock()
	c.drop()
}

// QueuedBytes is how many bytes wait to be written.
func (c *Conn) QueuedBytes() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes
}

// LastSeen is when the last byte came from the peer.
func (c *Conn) LastSeen() time.Time { return time.Unix(0, c.seen.Load()) }

// RemoteAddr is the peer's address as the socket knows it.
func (c *Conn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

// Subprotocol is the negotiated subprotocol, "" if none.
func (c *Conn) Subprotocol() string { return c.ws.Subprotocol() }

func (c *Conn) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *Conn) drop() {
	c.once.Do(func() {
		close(c.gone)
		_ = c.nc.Close()
		c.mu.Lock()
		served := c.served
		c.mu.Unlock()
		if !served {
			c.forget()
		}
	})
}

func (c *Conn) forget() {
	_ = c.ws.CloseNow()
	c.engine.mu.Lock()
	delete(c.engine.conns, c)
	c.engine.mu.Unlock()
}

func (c *Conn) writeLoop() {
	for {
		c.mu.Lock()
		frames, closing, stamper := c.queue, c.closing, c.stamper
		c.queue = nil
		c.mu.Unlock()
		var buf []byte
		for _, f := range frames {
			buf = f.appendWire(buf, stamper)
		}
		_ = c.nc.SetWriteDeadline(time.Now().Add(c.engine.cfg.WriteTimeout))
		if _, err := c.nc.Write(buf); err != nil {
			c.Abort(err)
			return
		}
		c.mu.Lock()
		for _, f := range frames {
			if !f.isControl() {
				c.bytes -= len(f.wire)
			}
		}
		code, reason := c.code, c.reason
		c.mu.Unlock()
		if closing {
			if code != 0 {
				_ = c.ws.Close(websocket.StatusCode(code), reason)
			}
			c.drop()
			return
		}
		select {
		case <-c.wake:
		case <-c.gone:
			return
		}
	}
}

func (c *Conn) readLoop() {
	defer c.engine.wg.Done()
	var err error
	for {
		var typ websocket.MessageType
		var data []byte
		typ, data, err = c.ws.Read(context.Background())
		if err != nil {
			break
		}
		c.seen.Store(time.Now().UnixNano())
		if typ == websocket.MessageText && !utf8.Valid(data) {
			c.Close(1007, "text is not valid UTF-8")
			continue
		}
		c.mu.Lock()
		h, closing := c.handler, c.closing
		c.mu.Unlock()
		if !closing {
			h.Message(c, typ == websocket.MessageBinary, data)
		}
	}
	var ce websocket.CloseError
	if errors.As(err, &ce) {
		err = CloseError{Code: int(ce.Code), Reason: ce.Reason}
	}
	c.Abort(err)
	c.forget()
	c.mu.Lock()
	h, why := c.handler, c.err
	c.mu.Unlock()
	h.Closed(c, why)
}
