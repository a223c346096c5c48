package mesh

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"supmesh.dev/services/servicestest/wait"
)

// Wire is a bare Engine.IO websocket, for frames that no stock client would send.
type Wire struct {
	conn   *websocket.Conn
	frames chan string // closed when the server closes
	closed chan error
}

// DialWire opens the websocket transport and swallows the open packet; nothing more is sent.
func DialWire(t testing.TB, url string) *Wire {
	t.Helper()
	target := strings.Replace(url, "http", "ws", 1) + "/socket.io/?EIO=4&transport=websocket"
	conn, res, err := websocket.Dial(t.Context(), target, nil)
	if res != nil && res.Body != nil {
		_ = res.Body.Close()
	}
	require.NoError(t, err)
	conn.SetReadLimit(8 << 20)
	w := &Wire{conn: conn, frames: make(chan string, 1024), closed: make(chan error, 1)}
	go func() {
		defer close(w.frames)
		for {
			_, data, err := conn.Read(context.Background())
			if err != nil {
				w.closed <- err
				return
			}
			w.frames <- string(data)
		}
	}()
	t.Cleanup(func() {
		_ = conn.CloseNow()
		for range w.frames { // until the reader has ended
		}
	})
	require.True(t, strings.HasPrefix(w.Next(t), "0{"), "the open packet comes first")
	return w
}

// Login sends CONNECT with a token and waits for `connected`.
func (w *Wire) Login(t testing.TB, token string) {
	t.Helper()
	w.Write(t, `40{"token":"`+token+`"}`)
	require.True(t, strings.HasPrefix(w.Next(t), "40{"))
	require.Contains(t, w.Next(t), `"connected"`)
}

// Write sends one text frame.
func (w *Wire) Write(t testing.TB, frame string) {
	t.Helper()
	require.NoError(t, w.conn.Write(t.Context(), websocket.MessageText, []byte(frame)))
}

// WriteBinary sends one binary frame; an error is fine: the server may be closing.
func (w *Wire) WriteBinary(t testing.TB, frame []byte) {
	t.Helper()
	_ = w.conn.Write(t.Context(), websocket.MessageBinary, frame)
}

// invited begins the frame of a notification, such as the one of who has just been
// added to a chat: it comes whenever it comes.
const invited = `42["notification:new"`

// Next is the next frame that is neither a ping nor a notification, or "" when the
// server has closed.
func (w *Wire) Next(t testing.TB) string {
	t.Helper()
	for {
		select {
		case f := <-w.frames:
			if f == "2" {
				w.Write(t, "3")
				continue
			}
			if strings.HasPrefix(f, invited) {
				continue
			}
			return f
		case <-time.After(wait.Patience):
			t.Fatal("no frame came")
		}
	}
}

// AwaitClose waits until the server closes the transport.
func (w *Wire) AwaitClose(t testing.TB) {
	t.Helper()
	deadline := time.After(wait.Patience)
	for {
		select {
		case _, open := <-w.frames:
			if !open {
				return
			}
		case <-deadline:
			t.Fatal("the server did not close")
		}
	}
}
