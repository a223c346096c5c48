package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/coder/websocket"
)

// frame is a text frame of the plain profile, either way (CONTRACT §2).
type frame struct {
	Event  string          `json:"event,omitempty"`
	Data   json.RawMessage `json:"data,omitempty"`
	Ack    uint64          `json:"ack,omitempty"`
	Offset string          `json:"offset,omitempty"`
}

// maxFrame bounds what the server may send at once: a history page of 100
// messages of 64 KiB each.
const maxFrame = 16 << 20

func read(ctx context.Context, conn *websocket.Conn) (frame, error) {
	kind, raw, err := conn.Read(ctx)
	if err != nil {
		return frame{}, err
	}
	if kind != websocket.MessageText {
		return frame{}, errors.New("the server sent a binary frame")
	}
	var f frame
	if err := json.Unmarshal(raw, &f); err != nil {
		return frame{}, fmt.Errorf("read frame: %w", err)
	}
	return f, nil
}

func write(ctx context.Context, conn *websocket.Conn, event string, data any, ack uint64) error {
	var body bytes.Buffer
	e := json.NewEncoder(&body)
	e.SetEscapeHTML(false)
	if err := e.Encode(struct {
		Event string `json:"event"`
		Data  any    `json:"data,omitempty"`
		Ack   uint64 `json:"ack,omitempty"`
	}{event, data, ack}); err != nil {
		return fmt.Errorf("encode %s: %w", event, err)
	}
	return conn.Write(ctx, websocket.MessageText, bytes.TrimRight(body.Bytes(), "\n"))
}
