package mesh

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"supmesh.dev/services/servicestest/wait"
)

// Plain is one client of the plain websocket profile.
type Plain struct {
	inbox
	conn *websocket.Conn
	next atomic.Int64
	done chan struct{}

	mu       sync.Mutex
	acks     map[int64]chan json.RawMessage
	closeErr error
}

// DialPlain connects to /ws with a Bearer token and waits for its `connected` event.
func DialPlain(t testing.TB, url, token string) *Plain {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; {
		p := OpenPlain(t, url, token)
		if p.greeted() || time.Now().After(end) {
			p.Await(t, "connected", 1)
			return p
		}
	}
}

// greeted waits until the server has greeted the client, and is false if it sent
// it away to come back: something was not there yet.
func (p *Plain) greeted() bool {
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		if len(p.Events("connected")) > 0 {
			return true
		}
		select {
		case <-p.done:
			p.mu.Lock()
			defer p.mu.Unlock()
			return websocket.CloseStatus(p.closeErr) != websocket.StatusTryAgainLater
		case <-time.After(2 * time.Millisecond):
		}
	}
	return true
}

// OpenPlain connects to /ws without waiting; an empty token is left out.
func OpenPlain(t testing.TB, url, token string) *Plain {
	t.Helper()
	target := strings.Replace(url, "http", "ws", 1) + "/ws"
	opts := &websocket.DialOptions{HTTPHeader: map[string][]string{}}
	if token != "" {
		opts.HTTPHeader["Authorization"] = []string{"Bearer " + token}
	}
	conn, res, err := websocket.Dial(t.Context(), target, opts)
	if res != nil && res.Body != nil {
		_ = res.Body.Close()
	}
	require.NoError(t, err)
	conn.SetReadLimit(8 << 20)
	p := &Plain{conn: conn, acks: map[int64]chan json.RawMessage{}, done: make(chan struct{})}
	go p.read()
	t.Cleanup(func() {
		_ = conn.CloseNow()
		<-p.done
	})
	return p
}

func (p *Plain) read() {
	defer close(p.done)
	for {
		_, data, err := p.conn.Read(context.Background())
		if err != nil {
			p.mu.Lock()
			p.closeErr = err
			p.mu.Unlock()
			return
		}
		var frame struct {
			Event, Offset string
			Data          json.RawMessage
			Ack           *int64
		}
		if err := json.Unmarshal(data, &frame); err != nil {
			p.put(Received{Event: "malformed", Data: data})
			continue
		}
		if frame.Ack == nil {
			p.put(Received{Event: frame.Event, Data: frame.Data, Offset: frame.Offset})
			continue
		}
		p.mu.Lock()
		ack := p.acks[*frame.Ack]
		p.mu.Unlock()
		if ack != nil {
			ack <- frame.Data
		}
	}
}

// EmitAsync sends an event and gives the channel its ack will come on.
func (p *Plain) EmitAsync(t testing.TB, event string, args ...any) <-chan json.RawMessage {
	t.Helper()
	id, ack := p.next.Add(1), make(chan json.RawMessage, 16)
	p.mu.Lock()
	p.acks[id] = ack
	p.mu.Unlock()
	frame := map[string]any{"event": event, "ack": id}
	if len(args) > 0 {
		frame["data"] = args[0]
	}
	raw, err := json.Marshal(frame)
	require.NoError(t, err)
	p.Write(t, raw)
	return ack
}

// Emit sends an event and waits for its ack.
func (p *Plain) Emit(t testing.TB, event string, args ...any) Ack {
	t.Helper()
	return awaitAck(t, event, p.EmitAsync(t, event, args...))
}

// Write sends one text frame as it is.
func (p *Plain) Write(t testing.TB, frame []byte) {
	t.Helper()
	require.NoError(t, p.conn.Write(t.Context(), websocket.MessageText, frame))
}

// TryWrite sends one text frame to a server that may have closed by now.
func (p *Plain) TryWrite(frame []byte) {
	_ = p.conn.Write(context.Background(), websocket.MessageText, frame)
}

// WriteBinary sends one binary frame.
func (p *Plain) WriteBinary(t testing.TB, frame []byte) {
	t.Helper()
	require.NoError(t, p.conn.Write(t.Context(), websocket.MessageBinary, frame))
}

// Drop loses the connection without a close frame and waits until it is gone.
func (p *Plain) Drop() {
	_ = p.conn.CloseNow()
	<-p.done
}

// CloseCode waits for the server's close and gives its code.
func (p *Plain) CloseCode(t testing.TB) websocket.StatusCode {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(wait.Patience):
		t.Fatal("the server did not close")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return websocket.CloseStatus(p.closeErr)
}

// Client is what both profiles' clients can do.
type Client interface {
	Emit(t testing.TB, event string, args ...any) Ack
	EmitAsync(t testing.TB, event string, args ...any) <-chan json.RawMessage
	Events(name string) []Received
	Await(t testing.TB, name string, n int) []Received
	Messages(t testing.TB) []SentMessage
	Forget()
}

// AwaitAck waits for the ack of an EmitAsync.
func AwaitAck(t testing.TB, event string, ack <-chan json.RawMessage) Ack {
	t.Helper()
	return awaitAck(t, event, ack)
}
