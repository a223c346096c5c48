package wsconn

import (
	"bufio"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coder/websocket"
)

// Handler takes what a connection receives.
type Handler interface {
	// Message is called for one message after the other. Text has been checked to be UTF-8. data is valid during the call only.
	// While it runs, nothing more is read from the connection.
	Message(c *Conn, binary bool, data []byte)
	// Closed is called once, after the last Message. err says why: a CloseError (peer), a LocalClose (this side), the error
	// given to Abort, or the error of the socket. The socket may still be open for up to Config.CloseTimeout.
	Closed(c *Conn, err error)
}

// Conn is one accepted websocket. Its size is most of what an idle connection costs.
type Conn struct {
	// UserData belongs to whoever accepted the connection; set it before Serve.
	UserData any

	engine *Engine
	shard  *shard
	ws     *websocket.Conn
	nc     net.Conn
	raw    syscall.RawConn // nil: no direct non-blocking input and output (TLS, other systems)
	slot   uint32          // in the Engine's registry
	polled bool            // idle in the poller, not in a goroutine

	// The reader's own; whoever has taken the role (reading) may touch it.
	inside  bool // the library is reading, so that an idle socket must return to readLoop
	drained bool // the socket was empty after the last read
	timed   bool // a read deadline is set
	kit     *kit
	br      bufio.Reader
	bw      bufio.Writer
	early   []byte // came with the upgrade request
	cut     cutter
	in      inbound
	failure failure

	reading atomic.Uint32 // readIdle, readActive or readAgain
	phase   atomic.Uint32 // bits, see close.go
	hangup  atomic.Bool   // the poller saw the peer's FIN or an error
	partial atomic.Bool   // the rest of a message is being waited for
	seen    atomic.Int64  // Engine time of the last inbound byte

	mu       sync.Mutex // guards what follows
	writing  bool       // on the shard's list, or being written
	finished bool       // Closed has been or is being called
	handler  Handler
	stamper  Stamper
	queue    *batch // nil: nothing waits
	bytes    int    // queued, or taken and not yet written
	ending   *ending
}

// Serve starts reading into h and returns at once. If the connection has ended already, h.Closed is called soon.
func (c *Conn) Serve(h Handler) {
	c.mu.Lock()
	c.handler = h
	finished := c.finished
	c.mu.Unlock()
	if finished {
		go h.Closed(c, c.reason())
		return
	}
	c.startReading()
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

// Send queues the frame and returns at once: nil, ErrFull or ErrClosed. Frames leave in the order of the calls. It may be
// called from any goroutine.
func (c *Conn) Send(f *Frame) error {
	c.mu.Lock()
	if c.ending != nil {
		c.mu.Unlock()
		return ErrClosed
	}
	if c.bytes+len(f.wire) > c.engine.cfg.MaxQueueBytes && c.bytes > 0 && !f.isControl() {
		c.mu.Unlock()
		return ErrFull
	}
	dirty := c.enqueue(f)
	c.mu.Unlock()
	if dirty {
		c.shard.push(c)
	}
	return nil
}

// enqueue appends to the queue under mu and tells whether the shard has to be told.
func (c *Conn) enqueue(f *Frame) (dirty bool) {
	if c.queue == nil {
		c.queue = c.engine.queues.Get().(*batch) //nolint:forcetypeassert // the pool holds nothing else
	}
	c.queue.frames = append(c.queue.frames, f)
	c.bytes += len(f.wire)
	dirty = !c.writing
	c.writing = true
	return dirty
}

var pingFrame = build(opPing, nil)

// Ping sends a websocket ping; the answer shows in LastSeen.
func (c *Conn) Ping() { _ = c.Send(pingFrame) }

// QueuedBytes is how many bytes have been accepted and not yet been taken by the kernel.
func (c *Conn) QueuedBytes() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes
}

// LastSeen is when the last bytes, of whatever frame, came from the peer.
func (c *Conn) LastSeen() time.Time { return c.engine.start.Add(time.Duration(c.seen.Load())) }

// Receiving reports whether the rest of an inbound message, or of a frame, is being waited for. While it is, nothing else can
// come from the peer.
func (c *Conn) Receiving() bool { return c.partial.Load() }

// RemoteAddr is the peer's address as the socket knows it.
func (c *Conn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

// Subprotocol is the negotiated subprotocol, "" if none.
func (c *Conn) Subprotocol() string { return c.ws.Subprotocol() }
