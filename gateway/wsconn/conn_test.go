package wsconn

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
)

type echo struct{ closed chan error }

func (echo) Message(c *Conn, binary bool, data []byte) {
	if binary {
		_ = c.Send(Binary(data))
		return
	}
	_ = c.Send(Text(data))
}

func (e echo) Closed(_ *Conn, err error) { e.closed <- err }

func TestEcho(t *testing.T) {
	engine, err := New(Config{})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- engine.Run(ctx) }()
	h := echo{closed: make(chan error, 1)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := engine.Accept(w, r, AcceptOptions{})
		if err == nil {
			c.Serve(h)
		}
	}))
	defer server.Close()
	client, _, err := websocket.Dial(t.Context(), server.URL, nil)
	require.NoError(t, err)
	require.NoError(t, client.Write(t.Context(), websocket.MessageText, []byte("hello")))
	_, data, err := client.Read(t.Context())
	require.NoError(t, err)
	require.Equal(t, "hello", string(data))
	require.NoError(t, client.Close(1000, "bye"))
	require.Equal(t, CloseError{Code: 1000, Reason: "bye"}, <-h.closed)
	cancel()
	require.NoError(t, <-done)
}
