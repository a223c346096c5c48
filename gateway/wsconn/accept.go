package wsconn

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/coder/websocket"
)

const (
	// readBuffer is the buffer of a connection that reads in its own goroutine; polled ones borrow one while they read.
	readBuffer = 512
	// writeBuffer is the library's: it writes pongs and close frames only, and wire cuts them whatever the pieces are.
	writeBuffer = 16
)

// AcceptOptions are the choices of one upgrade.
type AcceptOptions struct {
	// CheckOrigin decides whether the request's Origin may connect; a refusal is answered with 403. Nil: the Origin's host
	// must be the request's, or there is none.
	CheckOrigin func(*http.Request) bool
}

// Accept upgrades the request. On an error the response has been written. The HTTP handler must return after Accept, so that
// its memory is released; the connection lives on. Nothing is read until Serve is called, and one of Serve, Close and Abort
// has to be.
//
// A request with two Origin headers is refused: which of them a browser has written cannot be told. Of the subprotocols that
// the client offers the first is chosen: a browser fails a connection that chooses none (WHATWG WebSockets, section 3).
func (e *Engine) Accept(w http.ResponseWriter, r *http.Request, opts AcceptOptions) (*Conn, error) {
	if len(r.Header.Values("Origin")) > 1 || opts.CheckOrigin != nil && !opts.CheckOrigin(r) {
		http.Error(w, http.StatusText(http.StatusForbidden), http.StatusForbidden)
		return nil, fmt.Errorf("accept websocket: origin %q is not allowed", r.Header.Values("Origin"))
	}
	c := &Conn{engine: e}
	ws, err := websocket.Accept(&upgrade{ResponseWriter: w, conn: c}, r, &websocket.AcceptOptions{
		Subprotocols:       firstOffered(r.Header),
		InsecureSkipVerify: opts.CheckOrigin != nil,
	})
	if err != nil {
		return nil, fmt.Errorf("accept websocket: %w", err)
	}
	ws.SetReadLimit(e.cfg.ReadLimit)
	c.ws = ws
	if c.polled {
		c.br = bufio.Reader{}
	} else {
		c.br.Reset((*wire)(c)) // drops the reader the library put in between
	}
	if err := e.register(c); err != nil {
		_ = c.nc.Close()
		_ = ws.CloseNow()
		return nil, fmt.Errorf("accept websocket: %w", err)
	}
	return c, nil
}

// firstOffered is the first subprotocol that the client offers, if it offers any (RFC 6455, section 4.1).
func firstOffered(h http.Header) []string {
	for offered := range strings.SplitSeq(strings.Join(h.Values("Sec-WebSocket-Protocol"), ","), ",") {
		if offered = strings.TrimSpace(offered); offered != "" {
			return []string{offered}
		}
	}
	return nil
}

// upgrade hands the library our transport instead of the socket. Hijack is net/http's public seam for that.
type upgrade struct {
	http.ResponseWriter
	conn *Conn
}

func (u *upgrade) Unwrap() http.ResponseWriter { return u.ResponseWriter }

func (u *upgrade) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, rw, err := http.NewResponseController(u.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, fmt.Errorf("hijack: %w", err)
	}
	c := u.conn
	c.attach(nc)
	// What the client sent right behind the request is in net/http's buffer, which is not kept.
	if n := rw.Reader.Buffered(); n > 0 {
		sent, _ := rw.Reader.Peek(n)
		c.early = append([]byte(nil), sent...)
	}
	size := readBuffer
	if c.polled {
		size = 1
	}
	w := (*wire)(c)
	c.br = *bufio.NewReaderSize(w, size)
	c.bw = *bufio.NewWriterSize(w, writeBuffer)
	return w, bufio.NewReadWriter(&c.br, &c.bw), nil
}

// attach takes over the socket and finds out what it can do.
func (c *Conn) attach(nc net.Conn) {
	e := c.engine
	nc = withoutPreamble(nc)
	c.nc = nc
	c.seen.Store(e.now())
	c.in.tokens = e.cfg.ReadBurst
	socket := socketOf(nc)
	tcp, ok := socket.(*net.TCPConn)
	if !ok {
		return
	}
	if e.cfg.SocketWriteBuffer > 0 {
		_ = tcp.SetWriteBuffer(e.cfg.SocketWriteBuffer)
	}
	if socket == nc && directIO {
		// Only a plain TCPConn: a type around it might do more than pass bytes on.
		if raw, err := tcp.SyscallConn(); err == nil {
			c.raw = raw
			c.polled = e.poller != nil
		}
	}
}

// withoutPreamble returns the socket below a connection that has read a header of its own from the socket before it passed
// bytes on, as github.com/pires/go-proxyproto does. By the time of an upgrade it has nothing buffered any more: the request
// came behind the header, and net/http reads with a larger buffer.
func withoutPreamble(nc net.Conn) net.Conn {
	if p, ok := nc.(interface{ TCPConn() (*net.TCPConn, bool) }); ok {
		if tcp, ok := p.TCPConn(); ok {
			return tcp
		}
	}
	return nc
}

// socketOf is what is below TLS, or nc itself.
func socketOf(nc net.Conn) net.Conn {
	if t, ok := nc.(*tls.Conn); ok {
		return t.NetConn()
	}
	return nc
}
