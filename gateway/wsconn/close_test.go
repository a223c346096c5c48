package wsconn

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
)

// counter tells when it has seen a number of messages.
type counter struct {
	echo
	left int
	all  chan struct{}
}

func newCounter(n int) *counter { return &counter{echo: newEcho(), left: n, all: make(chan struct{})} }

func (c *counter) Message(*Conn, bool, []byte) {
	if c.left--; c.left == 0 {
		close(c.all)
	}
}

func (e *edge) reset(client *raw) {
	nc := client.Conn
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	require.NoError(e.t, nc.(*net.TCPConn).SetLinger(0)) //nolint:forcetypeassert // dialled as TCP
	require.NoError(e.t, nc.Close())
}

// accepted starts a server and one raw client and returns both ends.
func accepted(t *testing.T, start startFunc, cfg Config, h Handler) (*edge, *Conn, *raw) {
	t.Helper()
	conns := make(chan *Conn, 1)
	e := start(cfg, func(c *Conn) Handler {
		conns <- c
		return h
	})
	client := e.dialRaw()
	return e, receive(t, conns, "connection"), client
}

func TestPeerCloses(t *testing.T) {
	t.Parallel()
	everyVariant(t, func(t *testing.T, start startFunc) {
		for _, tt := range []struct {
			payload []byte
			want    CloseError
		}{
			{nil, CloseError{Code: 1005}},
			{[]byte("\x03\xe8bye"), CloseError{Code: 1000, Reason: "bye"}},
			{[]byte("\x0f\xa1"), CloseError{Code: 4001}},
		} {
			h := newEcho()
			e := start(Config{}, always(h))
			client := e.dialRaw()
			client.write(append(clientFrame(finBit|opText, []byte("x")), clientFrame(finBit|opClose, tt.payload)...))
			_, payload, err := client.frame()
			require.NoError(t, err)
			require.Equal(t, "x", string(payload))
			code, err := client.closeCode()
			require.NoError(t, err)
			require.Equal(t, tt.want.Code, code)
			require.Equal(t, tt.want, h.why(t))
			_ = client.Close()
			e.waitEmpty()
		}
	})
}

func TestCloseFlushesAndIsLast(t *testing.T) {
	t.Parallel()
	everyVariant(t, func(t *testing.T, start startFunc) {
		h := newEcho()
		e, c, client := accepted(t, start, Config{}, h)
		for range 100 {
			require.NoError(t, c.Send(Text([]byte("queued"))))
		}
		c.Close(4408, "too slow")
		require.ErrorIs(t, c.Send(Text([]byte("late"))), ErrClosed)
		c.Ping()
		c.Close(4000, "again")
		for range 100 {
			_, payload, err := client.frame()
			require.NoError(t, err)
			require.Equal(t, "queued", string(payload))
		}
		code, err := client.closeCode()
		require.NoError(t, err)
		require.Equal(t, 4408, code)
		require.Equal(t, LocalClose{Code: 4408, Reason: "too slow"}, h.why(t))
		_ = client.Close()
		e.waitEmpty()
	})
}

func TestCloseReachesALibraryClient(t *testing.T) {
	t.Parallel()
	everyVariant(t, func(t *testing.T, start startFunc) {
		h := newEcho()
		conns := make(chan *Conn, 1)
		e := start(Config{}, func(c *Conn) Handler {
			conns <- c
			return h
		})
		client := e.dial()
		receive(t, conns, "connection").Close(1012, strings.Repeat("é", 100))
		_, _, err := client.Read(t.Context())
		var ce websocket.CloseError
		require.ErrorAs(t, err, &ce)
		require.Equal(t, websocket.StatusServiceRestart, ce.Code)
		require.Equal(t, strings.Repeat("é", 61), ce.Reason)
		require.Equal(t, LocalClose{Code: 1012, Reason: strings.Repeat("é", 100)}, h.why(t))
		e.waitEmpty()
	})
}

// A peer that does not answer the close frame keeps the socket no longer than the close timeout.
func TestCloseOfASilentPeer(t *testing.T) {
	t.Parallel()
	everyVariant(t, func(t *testing.T, start startFunc) {
		h := newEcho()
		e, c, _ := accepted(t, start, Config{CloseTimeout: 100 * time.Millisecond}, h)
		began := time.Now()
		c.Close(1012, "")
		_ = h.why(t)
		e.waitEmpty()
		require.Less(t, time.Since(began), wait)
	})
}

// closer closes from within Message.
type closer struct{ echo }

func (closer) Message(c *Conn, _ bool, data []byte) {
	_ = c.Send(Text(data))
	c.Close(1000, "done")
}

func TestCloseFromMessage(t *testing.T) {
	t.Parallel()
	everyVariant(t, func(t *testing.T, start startFunc) {
		h := closer{newEcho()}
		e := start(Config{}, always(h))
		client := e.dialRaw()
		client.write(append(clientFrame(finBit|opText, []byte("a")), clientFrame(finBit|opText, []byte("b"))...))
		_, payload, err := client.frame()
		require.NoError(t, err)
		require.Equal(t, "a", string(payload))
		code, err := client.closeCode() // and no "b" in between
		require.NoError(t, err)
		require.Equal(t, 1000, code)
		_ = h.why(t)
		_ = client.Close()
		e.waitEmpty()
	})
}

func TestEndBeforeServe(t *testing.T) {
	t.Parallel()
	everyVariant(t, func(t *testing.T, start startFunc) {
		boom := errors.New("boom")
		for name, end := range map[string]func(*Conn){
			"close": func(c *Conn) { c.Close(1013, "") },
			"abort": func(c *Conn) { c.Abort(boom) },
		} {
			h := newEcho()
			e, c, client := accepted(t, start, Config{CloseTimeout: 100 * time.Millisecond}, nil)
			end(c)
			e.waitEmpty()
			c.Serve(h)
			why := h.why(t)
			if name == "close" {
				require.Equal(t, LocalClose{Code: 1013}, why)
				code, err := client.closeCode()
				require.NoError(t, err)
				require.Equal(t, 1013, code)
			} else {
				require.Equal(t, boom, why)
			}
		}
	})
}

func TestAbort(t *testing.T) {
	t.Parallel()
	everyVariant(t, func(t *testing.T, start startFunc) {
		h := newEcho()
		e, c, client := accepted(t, start, Config{}, h)
		boom := errors.New("boom")
		c.Abort(boom)
		c.Abort(io.EOF)
		require.Equal(t, boom, h.why(t))
		require.ErrorIs(t, c.Send(Text(nil)), ErrClosed)
		_, err := client.closeCode()
		require.Error(t, err)
		e.waitEmpty()
	})
}

// Everybody ends a connection at once: Closed still comes once, and nothing is left.
func TestEndsRace(t *testing.T) {
	t.Parallel()
	everyVariant(t, func(t *testing.T, start startFunc) {
		for range 20 {
			h := newEcho()
			e, c, client := accepted(t, start, Config{CloseTimeout: 50 * time.Millisecond}, h)
			var all sync.WaitGroup
			all.Go(func() { c.Close(1000, "") })
			all.Go(func() { c.Abort(io.ErrUnexpectedEOF) })
			all.Go(func() { _ = c.Send(Text(make([]byte, 100_000))) })
			all.Go(func() { _, _ = client.Write(clientFrame(finBit|opClose, nil)) })
			all.Go(func() { _, _ = client.Write(clientFrame(finBit|opText, []byte("x"))) })
			all.Go(func() { _ = client.Close() })
			all.Wait()
			_ = h.why(t)
			e.waitEmpty()
			require.Empty(t, h.closed)
			e.stop()
		}
	})
}

func TestEngineStop(t *testing.T) {
	t.Parallel()
	everyVariant(t, func(t *testing.T, start startFunc) {
		before := openFiles(t)
		h := echo{closed: make(chan error, 100)}
		var mu sync.Mutex
		var conns []*Conn
		e := start(Config{}, func(c *Conn) Handler {
			mu.Lock()
			defer mu.Unlock()
			conns = append(conns, c)
			if len(conns)%5 == 0 {
				return nil // never served
			}
			return h
		})
		var clients []*raw
		for i := range 20 {
			clients = append(clients, e.dialRaw())
			if i%3 == 0 {
				clients[i].write([]byte{finBit | opText, 0x84}) // in the middle of a message
			}
		}
		require.Eventually(t, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(conns) == 20
		}, wait, time.Millisecond)
		for _, c := range conns[:4] { // sockets that are full
			for c.Send(Binary(make([]byte, 100_000))) == nil { // until the queue is full
			}
		}
		e.stop()
		for range 16 {
			require.ErrorIs(t, h.why(t), ErrStopped)
		}
		for _, client := range clients {
			_ = client.Close()
		}
		e.server.Close()
		require.Eventually(t, func() bool { return openFiles(t) <= before }, wait, time.Millisecond, "files are left open")
		require.Error(t, e.engine.Run(context.Background()))
	})
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(entries)
}
