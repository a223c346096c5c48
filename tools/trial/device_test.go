package trial

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"supmesh.dev/tools/e2e/mesh"
)

// device is one device of a user: it comes back by itself and confirms what it gets.
type device interface {
	// send emits an event; the ack comes on the channel, or never.
	send(t *testing.T, event string, data any) <-chan json.RawMessage
	// drain gives the events since the last call.
	drain() []mesh.Received
}

// stock is a device with the stock socket.io-client.
type stock struct {
	*mesh.Stock
	taken int
}

func openStock(t *testing.T, node *mesh.Node, url, token string) *stock {
	t.Helper()
	return &stock{Stock: node.Open(t, url, map[string]any{"token": token}, map[string]any{
		"transports": []string{"websocket"}, "reconnectionDelay": 200, "reconnectionDelayMax": 1000, "confirm": true,
	})}
}

func (s *stock) send(t *testing.T, event string, data any) <-chan json.RawMessage {
	t.Helper()
	return s.EmitAsync(t, event, data)
}

func (s *stock) drain() []mesh.Received {
	all := s.Events("")
	fresh := all[s.taken:]
	s.taken = len(all)
	return fresh
}

// plain is a device with a plain websocket. It tries the gateways in turn.
type plain struct {
	urls   []string
	token  string
	cancel context.CancelFunc
	ended  chan struct{}

	mu     sync.Mutex
	events []mesh.Received
	conn   *conn // nil while there is none
	wake   chan struct{}
	newest map[string]uint64 // chat → seq to confirm
}

func openPlain(t *testing.T, token string, urls ...string) *plain {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	p := &plain{urls: urls, token: token, cancel: cancel, ended: make(chan struct{}), wake: make(chan struct{}, 1), newest: map[string]uint64{}}
	go p.run(ctx)
	t.Cleanup(func() {
		cancel()
		<-p.ended
	})
	return p
}

// run holds one connection at a time until ctx ends.
func (p *plain) run(ctx context.Context) {
	defer close(p.ended)
	for i := 0; ctx.Err() == nil; i++ {
		c, err := dial(ctx, p.urls[i%len(p.urls)], p.token, p.take)
		if err != nil {
			rest(ctx, 100*time.Millisecond+rand.N(200*time.Millisecond))
			continue
		}
		p.hold(c)
		p.confirm(ctx, c)
		p.hold(nil)
		c.close()
	}
}

func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (p *plain) hold(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conn = c
	clear(p.newest)
}

func (p *plain) take(e mesh.Received) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, e)
	var m mesh.SentMessage
	if e.Event == "message:new" && json.Unmarshal(e.Data, &m) == nil {
		p.newest[m.Message.ChatID] = max(p.newest[m.Message.ChatID], m.Message.Seq)
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
}

// confirm tells the server what has come, chat by chat, until the connection ends.
func (p *plain) confirm(ctx context.Context, c *conn) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.done:
			return
		case <-p.wake:
		}
		for chat, seq, ok := p.unconfirmed(); ok; chat, seq, ok = p.unconfirmed() {
			ack, err := c.ask("message:delivered", cursor{ChatID: chat, UpToSeq: seq})
			if err != nil {
				return
			}
			if ack.Success {
				raw, _ := json.Marshal(cursor{ChatID: chat, UpToSeq: seq})
				p.take(mesh.Received{Event: confirmed, Data: raw})
			}
		}
	}
}

func (p *plain) unconfirmed() (chat string, seq uint64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for chat, seq = range p.newest {
		delete(p.newest, chat)
		return chat, seq, true
	}
	return "", 0, false
}

func (p *plain) send(_ *testing.T, event string, data any) <-chan json.RawMessage {
	p.mu.Lock()
	c := p.conn
	p.mu.Unlock()
	if c == nil {
		return nil
	}
	ack, err := c.send(event, data)
	if err != nil {
		return nil
	}
	return ack
}

func (p *plain) drain() []mesh.Received {
	p.mu.Lock()
	defer p.mu.Unlock()
	fresh := p.events
	p.events = nil
	return fresh
}
