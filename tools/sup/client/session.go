package client

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/coder/websocket"

	"supmesh.dev/proto"
)

// client is what outlives a connection. Only session's loop touches it.
type client struct {
	opts    Options
	screen  *screen
	chat    string    // the open one
	pending []pending // typed and not settled, in order
	nextAck uint64
	waiting map[uint64]request
	shown   map[string]uint64 // chat → highest seq shown and not yet confirmed
	ended   bool              // no more input
}

// pending is a message that may have to be sent again. The mesh stores one
// tempId once, so that is always safe.
type pending struct {
	proto.SendMessageReq
	again time.Time // when to send it again; zero while it is under way
}

// request is what an ack belongs to.
type request struct {
	event  string
	tempID string
}

// beat paces message:delivered, where one event confirms everything before it,
// and is how soon a message is sent again.
const beat = 500 * time.Millisecond

// session runs one connection; its error says why it ended.
func (c *client) session(ctx context.Context, lines *<-chan string) error {
	conn, err := dial(ctx, c.opts)
	if err != nil {
		return err
	}
	defer func() { _ = conn.CloseNow() }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	clear(c.waiting)
	frames, failed := c.receive(ctx, conn)
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	connected := false
	for {
		input := *lines
		if !connected {
			input = nil // typed lines wait
		}
		select {
		case <-ctx.Done():
			_ = conn.Close(websocket.StatusNormalClosure, "")
			return ctx.Err()
		case err := <-failed:
			return err
		case f := <-frames:
			if f.Event == proto.ConnectedEvent.Name {
				connected = true
			}
			err = c.frame(ctx, conn, f)
		case line, ok := <-input:
			if !ok {
				c.ended, *lines = true, nil
				break
			}
			err = c.command(ctx, conn, line)
		case now := <-ticker.C:
			if err = c.confirm(ctx, conn); err == nil {
				err = c.sendAgain(ctx, conn, now)
			}
		}
		if err == nil && c.ended && connected && len(c.pending) == 0 && len(c.waiting) == 0 {
			err = errStop
		}
		if err == errStop { //nolint:errorlint // returned as it is, by this package
			_ = c.confirm(ctx, conn)
			_ = conn.Close(websocket.StatusNormalClosure, "")
		}
		if err != nil {
			return err
		}
	}
}

// receive reads frames until the connection fails. Both channels are only
// written while ctx lives.
func (c *client) receive(ctx context.Context, conn *websocket.Conn) (<-chan frame, <-chan error) {
	frames, failed := make(chan frame), make(chan error, 1)
	go func() {
		for {
			f, err := read(ctx, conn)
			if err != nil {
				failed <- err
				return
			}
			select {
			case frames <- f:
			case <-ctx.Done():
				return
			}
		}
	}()
	return frames, failed
}

func (c *client) frame(ctx context.Context, conn *websocket.Conn, f frame) error {
	switch {
	case f.Ack != 0:
		c.acked(f)
	case f.Event == proto.ConnectedEvent.Name:
		return c.connected(ctx, conn, f.Data)
	case f.Event == proto.MessageNew.Name:
		var m proto.NewMessage
		if err := json.Unmarshal(f.Data, &m); err != nil {
			return fmt.Errorf("read message: %w", err)
		}
		c.screen.message(m)
		c.shown[m.Message.ChatID] = max(c.shown[m.Message.ChatID], m.Message.Seq)
	case f.Event == proto.ErrorEventEvent.Name:
		var e proto.ErrorEvent
		if err := json.Unmarshal(f.Data, &e); err != nil {
			return fmt.Errorf("read error: %w", err)
		}
		c.screen.linef("! %s: %s", clean(string(e.Code)), clean(e.Message))
	case f.Event == "ping":
		return write(ctx, conn, "pong", nil, 0)
	default:
		c.screen.event(f.Event, f.Data)
	}
	return nil
}

// connected opens the chat again and sends what had no ack, oldest first.
func (c *client) connected(ctx context.Context, conn *websocket.Conn, data json.RawMessage) error {
	var hello proto.Connected
	if err := json.Unmarshal(data, &hello); err != nil {
		return fmt.Errorf("read connected: %w", err)
	}
	c.screen.linef("* connected as %s", clean(hello.UserID))
	if c.chat != "" {
		if err := c.emit(ctx, conn, proto.JoinChat.Event, proto.JoinChatReq{ChatID: c.chat}, ""); err != nil {
			return err
		}
	}
	for i := range c.pending {
		c.pending[i].again = time.Unix(1, 0) // long due
	}
	return c.sendAgain(ctx, conn, time.Now())
}

func (c *client) sendAgain(ctx context.Context, conn *websocket.Conn, now time.Time) error {
	for i := range c.pending {
		p := &c.pending[i]
		if p.again.IsZero() || now.Before(p.again) {
			continue
		}
		p.again = time.Time{}
		if err := c.emit(ctx, conn, proto.SendMessage.Event, p.SendMessageReq, p.TempID); err != nil {
			return err
		}
	}
	return nil
}

// emit sends an event that will be acked.
func (c *client) emit(ctx context.Context, conn *websocket.Conn, event string, data any, tempID string) error {
	c.nextAck++
	c.waiting[c.nextAck] = request{event, tempID}
	return write(ctx, conn, event, data, c.nextAck)
}

func (c *client) command(ctx context.Context, conn *websocket.Conn, line string) error {
	cmd, ok := parse(line)
	if !ok {
		return nil
	}
	switch cmd.word {
	case "":
		if c.chat == "" {
			c.screen.linef("! no chat is open: /join CHAT")
			return nil
		}
		m := proto.SendMessageReq{ChatID: c.chat, EncryptedContent: cmd.rest, MessageType: "text", TempID: rand.Text()}
		c.pending = append(c.pending, pending{SendMessageReq: m})
		return c.emit(ctx, conn, proto.SendMessage.Event, m, m.TempID)
	case "join":
		if cmd.rest == "" {
			c.screen.linef("! /join CHAT")
			return nil
		}
		c.chat = cmd.rest
		return c.emit(ctx, conn, proto.JoinChat.Event, proto.JoinChatReq{ChatID: c.chat}, "")
	case "history":
		n, ok := count(cmd.rest)
		if !ok || c.chat == "" {
			c.screen.linef("! /history [1..100], in an open chat")
			return nil
		}
		return c.emit(ctx, conn, proto.History.Event, proto.HistoryReq{ChatID: c.chat, Limit: new(n)}, "")
	case "quit":
		return errStop
	default:
		c.screen.linef("%s", help)
		return nil
	}
}

// confirm tells the server what has been shown.
func (c *client) confirm(ctx context.Context, conn *websocket.Conn) error {
	for chat, seq := range c.shown {
		delete(c.shown, chat)
		if err := c.emit(ctx, conn, proto.MarkDelivered.Event, proto.DeliveredReq{ChatID: chat, UpToSeq: seq}, ""); err != nil {
			return err
		}
	}
	return nil
}

// acked shows what an answer says, and settles the message it belongs to,
// unless the same message may do better a little later.
func (c *client) acked(f frame) {
	req, known := c.waiting[f.Ack]
	if !known {
		return
	}
	delete(c.waiting, f.Ack)
	fail := failure(f.Data)
	if !fail.Success {
		c.screen.linef("! %s: %s: %s", req.event, clean(string(fail.Code)), clean(fail.Message))
	}
	c.pending = slices.DeleteFunc(c.pending, func(p pending) bool {
		return p.TempID == req.tempID && (fail.Success || !fail.Retryable)
	})
	for i := range c.pending {
		if p := &c.pending[i]; p.TempID == req.tempID {
			p.again = time.Now().Add(max(beat, time.Duration(fail.RetryAfterMs)*time.Millisecond))
		}
	}
	if fail.Success {
		c.answer(req, f.Data)
	}
}

// failure reads an ack as a failure; for a success only Success is set.
func failure(data json.RawMessage) proto.Failure {
	var either struct{ Success bool }
	var fail proto.Failure
	switch {
	case json.Unmarshal(data, &either) == nil && either.Success:
		return proto.Failure{Success: true}
	case json.Unmarshal(data, &fail) != nil:
		return proto.Failure{Code: proto.InternalError, Message: "unreadable answer"}
	}
	return fail
}

// answer shows a success.
func (c *client) answer(req request, data json.RawMessage) {
	switch req.event {
	case proto.SendMessage.Event:
		var res proto.SendMessageRes
		if json.Unmarshal(data, &res) == nil {
			c.screen.linef("#%s you: %s", clean(res.Message.ChatID), clean(res.Message.EncryptedContent))
		}
	case proto.JoinChat.Event:
		var res proto.JoinChatRes
		if json.Unmarshal(data, &res) == nil {
			c.screen.linef("* in #%s, %d messages so far", clean(res.ChatID), res.LastSeq)
		}
	case proto.History.Event:
		var res proto.HistoryRes
		if json.Unmarshal(data, &res) != nil {
			return
		}
		for _, raw := range res.Messages {
			var m proto.NewMessage
			if json.Unmarshal(raw, &m) == nil {
				c.screen.message(m)
			}
		}
	}
}
