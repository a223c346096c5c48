package trial

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"supmesh.dev/tools/e2e/mesh"
)

// ackWait is how long a client waits for an ack before it sends the event again.
const ackWait = 20 * time.Second

var errClosed = errors.New("the connection is closed")

// conn is one connection of the plain profile. Its events go to on, in the order of arrival.
type conn struct {
	ws   *websocket.Conn
	on   func(mesh.Received)
	done chan struct{} // closed when the connection has ended

	mu   sync.Mutex
	next int
	acks map[int]chan json.RawMessage
}

// dial connects to /ws of a gateway; an error means that the gateway is away.
func dial(ctx context.Context, url, token string, on func(mesh.Received)) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, ackWait)
	defer cancel()
	ws, res, err := websocket.Dial(ctx, strings.Replace(url, "http", "ws", 1)+"/ws", &websocket.DialOptions{
		HTTPHeader: map[string][]string{"Authorization": {"Bearer " + token}},
	})
	if res != nil && res.Body != nil {
		_ = res.Body.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", url, err)
	}
	ws.SetReadLimit(8 << 20)
	c := &conn{ws: ws, on: on, done: make(chan struct{}), acks: map[int]chan json.RawMessage{}}
	go c.read()
	return c, nil
}

func (c *conn) read() {
	defer close(c.done)
	for {
		_, data, err := c.ws.Read(context.Background())
		if err != nil {
			return
		}
		var frame struct {
			Event, Offset string
			Data          json.RawMessage
			Ack           *int
		}
		if err := json.Unmarshal(data, &frame); err != nil {
			c.on(mesh.Received{Event: "malformed", Data: data})
			continue
		}
		if frame.Ack == nil {
			c.on(mesh.Received{Event: frame.Event, Data: frame.Data, Offset: frame.Offset})
			continue
		}
		c.mu.Lock()
		ack := c.acks[*frame.Ack]
		delete(c.acks, *frame.Ack)
		c.mu.Unlock()
		if ack != nil {
			ack <- frame.Data
		}
	}
}

// send writes an event; its ack comes on the channel, if the connection lives that long.
func (c *conn) send(event string, data any) (<-chan json.RawMessage, error) {
	ack := make(chan json.RawMessage, 1)
	c.mu.Lock()
	c.next++
	id := c.next
	c.acks[id] = ack
	c.mu.Unlock()
	raw, err := json.Marshal(map[string]any{"event": event, "data": data, "ack": id})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), ackWait)
	defer cancel()
	return ack, c.ws.Write(ctx, websocket.MessageText, raw)
}

// ask sends an event and waits for its ack.
func (c *conn) ask(event string, data any) (mesh.Ack, error) {
	ack, err := c.send(event, data)
	if err != nil {
		return mesh.Ack{}, err
	}
	deadline := time.NewTimer(ackWait)
	defer deadline.Stop()
	select {
	case raw := <-ack:
		return mesh.AckOf(raw), nil
	case <-c.done:
		return mesh.Ack{}, errClosed
	case <-deadline.C:
		return mesh.Ack{}, fmt.Errorf("no ack of %s within %s", event, ackWait)
	}
}

// close ends the connection and waits for its reader.
func (c *conn) close() {
	_ = c.ws.CloseNow()
	<-c.done
}
