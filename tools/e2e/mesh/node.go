package mesh

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Node is one Node process that holds stock socket.io-client sockets.
type Node struct {
	mu      sync.Mutex // guards writing to stdin and the maps
	stdin   io.Writer
	clients map[string]*Stock
	acks    map[string]chan json.RawMessage
	next    atomic.Int64
}

// Stock is one stock socket.io-client socket.
type Stock struct {
	inbox
	ID   string
	node *Node

	mu    sync.Mutex
	notes []Note
}

// Note is something a client said of its connection: connect, upgrade, connect_error, disconnect.
type Note struct {
	Type      string
	SID       string
	Recovered bool
	Transport string
	Active    bool // the client will try again by itself
	Reason    string
	Error     struct {
		Message string
		Data    map[string]any
	}
}

// StartNode runs the driver until the test ends.
func StartNode(t testing.TB) *Node {
	t.Helper()
	dir := filepath.Join(Root(), "e2e", "node")
	require.DirExists(t, filepath.Join(dir, "node_modules"), "npm packages are missing: run make deps")
	cmd := exec.Command("node", "driver.mjs")
	cmd.Dir = dir
	errs := &tail{}
	cmd.Stderr = errs
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	n := &Node{stdin: stdin, clients: map[string]*Stock{}, acks: map[string]chan json.RawMessage{}}
	read := make(chan struct{})
	go func() {
		defer close(read)
		n.read(t, stdout)
	}()
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Process.Kill()
		<-read
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("--- node, stderr:\n%s", errs)
		}
	})
	return n
}

func (n *Node) read(t testing.TB, r io.Reader) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var line struct {
			Note
			ID, Ref, Event, Offset string
			Data                   json.RawMessage
			Res                    []json.RawMessage
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Errorf("driver said %q: %v", lines.Text(), err)
			continue
		}
		n.mu.Lock()
		client, ack := n.clients[line.ID], n.acks[line.Ref]
		n.mu.Unlock()
		switch line.Type {
		case "event":
			client.put(Received{Event: line.Event, Data: line.Data, Offset: line.Offset})
		case "ack":
			if len(line.Res) == 0 {
				line.Res = []json.RawMessage{[]byte("null")}
			}
			ack <- line.Res[len(line.Res)-1]
		case "driver_error":
			t.Errorf("driver: %s", lines.Text())
		default:
			if client != nil {
				client.note(line.Note)
			}
		}
	}
}

func (n *Node) command(t testing.TB, cmd map[string]any) {
	t.Helper()
	raw, err := json.Marshal(cmd)
	require.NoError(t, err)
	n.mu.Lock()
	defer n.mu.Unlock()
	_, err = n.stdin.Write(append(raw, '\n'))
	require.NoError(t, err, "the driver is gone")
}

// Dial makes a client and waits until it is connected and has its `connected` event.
// Options are socket.io-client's own; transports websocket by default.
func (n *Node) Dial(t testing.TB, url, token string, options map[string]any) *Stock {
	t.Helper()
	s := n.Open(t, url, map[string]any{"token": token}, options)
	s.AwaitNote(t, "connect", 1)
	s.Await(t, "connected", 1)
	return s
}

// Open makes a client without waiting for anything.
func (n *Node) Open(t testing.TB, url string, auth, options map[string]any) *Stock {
	t.Helper()
	s := &Stock{ID: fmt.Sprintf("stock-%d", n.next.Add(1)), node: n}
	n.mu.Lock()
	n.clients[s.ID] = s
	n.mu.Unlock()
	if options == nil {
		options = map[string]any{"transports": []string{"websocket"}}
	}
	n.command(t, map[string]any{"cmd": "connect", "id": s.ID, "url": url, "auth": auth, "options": options})
	return s
}

func (s *Stock) note(n Note) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notes = append(s.notes, n)
}

// Notes is everything of a type the client said of its connection.
func (s *Stock) Notes(kind string) []Note {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Note
	for _, n := range s.notes {
		if n.Type == kind {
			out = append(out, n)
		}
	}
	return out
}

// AwaitNote waits for the n-th note of a type.
func (s *Stock) AwaitNote(t testing.TB, kind string, n int) Note {
	t.Helper()
	Eventually(t, 30*time.Second, s.ID+" notes "+kind, func() bool { return len(s.Notes(kind)) >= n })
	return s.Notes(kind)[n-1]
}

// EmitAsync sends an event and gives the channel its ack will come on.
func (s *Stock) EmitAsync(t testing.TB, event string, args ...any) <-chan json.RawMessage {
	t.Helper()
	if args == nil {
		args = []any{}
	}
	ref, ack := fmt.Sprintf("ref-%d", s.node.next.Add(1)), make(chan json.RawMessage, 16)
	s.node.mu.Lock()
	s.node.acks[ref] = ack
	s.node.mu.Unlock()
	s.node.command(t, map[string]any{"cmd": "emit", "id": s.ID, "event": event, "args": args, "ref": ref})
	return ack
}

// Emit sends an event and waits for its ack.
func (s *Stock) Emit(t testing.TB, event string, args ...any) Ack {
	t.Helper()
	return awaitAck(t, event, s.EmitAsync(t, event, args...))
}

// EmitNoAck sends an event without an ack id.
func (s *Stock) EmitNoAck(t testing.TB, event string, args ...any) {
	t.Helper()
	s.node.command(t, map[string]any{"cmd": "emit", "id": s.ID, "event": event, "args": args, "noAck": true})
}

// Disconnect closes as an app does: it will not come back by itself.
func (s *Stock) Disconnect(t testing.TB) {
	t.Helper()
	n := len(s.Notes("disconnect")) // before the command: the note may come at once
	s.node.command(t, map[string]any{"cmd": "disconnect", "id": s.ID})
	s.AwaitNote(t, "disconnect", n+1)
}

// Leave emits events without acks and disconnects in the same turn of the client's event
// loop. Each event is its name and its arguments.
func (s *Stock) Leave(t testing.TB, events ...[]any) {
	t.Helper()
	s.node.command(t, map[string]any{"cmd": "leave", "id": s.ID, "events": events})
}

// Reconnect connects again after Disconnect and waits until it is connected.
func (s *Stock) Reconnect(t testing.TB) {
	t.Helper()
	n := len(s.Notes("connect"))
	s.node.command(t, map[string]any{"cmd": "reconnect", "id": s.ID})
	s.AwaitNote(t, "connect", n+1)
}

// Drop loses the transport: the client comes back by itself.
func (s *Stock) Drop(t testing.TB) {
	t.Helper()
	s.node.command(t, map[string]any{"cmd": "drop", "id": s.ID})
}

// Freeze stops reading the transport while it stays open.
func (s *Stock) Freeze(t testing.TB) {
	t.Helper()
	s.node.command(t, map[string]any{"cmd": "freeze", "id": s.ID})
	s.AwaitNote(t, "frozen", 1)
}

func awaitAck(t testing.TB, event string, ack <-chan json.RawMessage) Ack {
	t.Helper()
	select {
	case raw := <-ack:
		return AckOf(raw)
	case <-time.After(30 * time.Second):
		t.Fatalf("no ack of %s", event)
		return Ack{}
	}
}
