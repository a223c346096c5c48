package wsconn

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if peer := os.Getenv(peerVariable); peer != "" {
		runPeer(peer) // this process is the other end of a benchmark
		return
	}
	goleak.VerifyTestMain(m)
}

// wait is long because only a failing test waits for it, and the machine may be busy.
const wait = 60 * time.Second

// variants are the ways a connection can be served; the whole suite holds for each.
var variants = []struct {
	name        string
	poller, tls bool
}{
	{name: "poller", poller: true},
	{name: "goroutine"},
	{name: "tls", poller: true, tls: true},
}

func everyVariant(t *testing.T, test func(t *testing.T, start func(Config, func(*Conn) Handler) *edge)) {
	t.Helper()
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			test(t, func(cfg Config, accept func(*Conn) Handler) *edge {
				cfg.Poller = v.poller
				return startEdge(t, cfg, v.tls, accept)
			})
		})
	}
}

// edge is a real server with an Engine behind it.
type edge struct {
	t      testing.TB
	engine *Engine
	server *httptest.Server
	stop   func() // ends Run and waits for it
}

func startEdge(t testing.TB, cfg Config, secure bool, accept func(*Conn) Handler) *edge {
	t.Helper()
	e := newEdge(t, cfg, secure, accept)
	e.run()
	return e
}

// newEdge starts a server whose Engine does not run yet.
func newEdge(t testing.TB, cfg Config, secure bool, accept func(*Conn) Handler) *edge {
	t.Helper()
	engine, err := New(cfg)
	require.NoError(t, err)
	e := &edge{t: t, engine: engine}
	e.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := engine.Accept(w, r, AcceptOptions{})
		if err != nil {
			return
		}
		if h := accept(c); h != nil {
			c.Serve(h)
		}
	}))
	if secure {
		e.server.StartTLS()
	} else {
		e.server.Start()
	}
	t.Cleanup(func() {
		if e.stop == nil {
			e.run()
		}
		e.stop()
		e.server.Close()
	})
	return e
}

func (e *edge) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.engine.Run(ctx) }()
	e.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			require.NoError(e.t, err)
		case <-time.After(wait):
			require.Fail(e.t, "Run did not return")
		}
	})
}

// dial connects a library client.
func (e *edge) dial() *websocket.Conn {
	e.t.Helper()
	client, _, err := websocket.Dial(context.Background(), e.server.URL, &websocket.DialOptions{HTTPClient: e.server.Client()})
	require.NoError(e.t, err)
	client.SetReadLimit(-1)
	e.t.Cleanup(func() { _ = client.CloseNow() })
	return client
}

// raw is a client that writes and reads bytes, and may do what no library would.
type raw struct {
	net.Conn
	t  testing.TB
	br *bufio.Reader
}

// dialRaw upgrades and sends the given bytes in the same write as the request.
func (e *edge) dialRaw(behind ...byte) *raw {
	e.t.Helper()
	address := e.server.Listener.Addr().String()
	nc, err := net.Dial("tcp", address)
	require.NoError(e.t, err)
	e.t.Cleanup(func() { _ = nc.Close() })
	if e.server.TLS != nil {
		nc = tls.Client(nc, &tls.Config{InsecureSkipVerify: true}) // the test's own certificate
	}
	require.NoError(e.t, nc.SetDeadline(time.Now().Add(wait)))
	request := "GET / HTTP/1.1\r\nHost: " + address + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
	_, err = nc.Write(append([]byte(request), behind...))
	require.NoError(e.t, err)
	r := &raw{Conn: nc, t: e.t, br: bufio.NewReader(nc)}
	response, err := http.ReadResponse(r.br, nil)
	require.NoError(e.t, err)
	require.NoError(e.t, response.Body.Close())
	require.Equal(e.t, http.StatusSwitchingProtocols, response.StatusCode)
	return r
}

func (r *raw) write(p []byte) {
	r.t.Helper()
	_, err := r.Write(p)
	require.NoError(r.t, err)
}

// frame reads one frame of the server.
func (r *raw) frame() (opcode byte, payload []byte, err error) {
	b := make([]byte, 2, maxHeader)
	if _, err := io.ReadFull(r.br, b); err != nil {
		return 0, nil, err
	}
	switch b[1] {
	case 126:
		b = b[:4]
	case 127:
		b = b[:maxHeader]
	}
	if _, err := io.ReadFull(r.br, b[2:]); err != nil {
		return 0, nil, err
	}
	header, size := frameSize(b)
	payload = make([]byte, size-uint64(header))
	_, err = io.ReadFull(r.br, payload)
	return b[0] & 0x0f, payload, err
}

// closeCode reads until the close frame and then the end of the stream.
func (r *raw) closeCode() (int, error) {
	for {
		opcode, payload, err := r.frame()
		if err != nil {
			return 0, err
		}
		if opcode != opClose {
			continue
		}
		code := 1005
		if len(payload) >= 2 {
			code = int(binary.BigEndian.Uint16(payload))
		}
		if rest, err := io.Copy(io.Discard, r.br); err != nil || rest > 0 {
			return code, fmt.Errorf("after the close frame: %d bytes, %w", rest, err)
		}
		return code, nil
	}
}

// clientFrame builds a frame as a client has to: masked.
func clientFrame(opcode byte, payload []byte) []byte {
	f := build(opcode&0x0f, payload)
	out := append([]byte(nil), f.wire[:f.header]...)
	out[0] = opcode
	out[1] |= 0x80
	mask := [4]byte{1, 2, 3, 4}
	out = append(out, mask[:]...)
	for i, b := range payload {
		out = append(out, b^mask[i%4])
	}
	return out
}

// echo answers every message with itself and reports the end.
type echo struct{ closed chan error }

func newEcho() echo { return echo{closed: make(chan error, 1)} }

func (echo) Message(c *Conn, binary bool, data []byte) {
	if binary {
		_ = c.Send(Binary(data))
		return
	}
	_ = c.Send(Text(data))
}

func (e echo) Closed(_ *Conn, err error) { e.closed <- err }

func (e echo) why(t testing.TB) error {
	t.Helper()
	return receive(t, e.closed, "Closed")
}

func receive[T any](t testing.TB, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(wait):
		require.FailNow(t, "no "+what+" in time")
		panic("unreachable")
	}
}

func always(h Handler) func(*Conn) Handler { return func(*Conn) Handler { return h } }
