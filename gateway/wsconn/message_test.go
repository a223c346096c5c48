package wsconn

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
)

type startFunc = func(Config, func(*Conn) Handler) *edge

func TestMessagesOfAllSizes(t *testing.T) {
	t.Parallel()
	everyVariant(t, func(t *testing.T, start startFunc) {
		h := newEcho()
		const limit = 300 << 10
		client := start(Config{ReadLimit: limit, ReadBurst: 64 << 20}, always(h)).dial()
		for _, size := range []int{0, 1, 125, 126, 127, 500, 511, 512, 513, 4095, 4096, 4097, 60 << 10, 65535, 65536, 200_000, limit} {
			for _, typ := range []websocket.MessageType{websocket.MessageText, websocket.MessageBinary} {
				sent := bytes.Repeat([]byte("x"), size)
				require.NoError(t, client.Write(t.Context(), typ, sent))
				got, data, err := client.Read(t.Context())
				require.NoError(t, err)
				require.Equal(t, typ, got)
				require.True(t, bytes.Equal(sent, data), "size %d", size)
			}
		}
		_ = client.Write(t.Context(), websocket.MessageText, make([]byte, limit+1))
		_, _, err := client.Read(t.Context())
		require.Equal(t, websocket.StatusMessageTooBig, websocket.CloseStatus(err), "%v", err)
		var why LocalClose
		require.ErrorAs(t, h.why(t), &why)
		require.Equal(t, 1009, why.Code)
	})
}

func TestManyMessagesAtOnce(t *testing.T) {
	t.Parallel()
	everyVariant(t, func(t *testing.T, start startFunc) {
		const messages = 2000
		client := start(Config{ReadBurst: 64 << 20}, always(discardEnd{})).dial()
		go func() {
			for i := range messages {
				_ = client.Write(context.Background(), websocket.MessageText, fmt.Appendf(nil, "%d %s", i, strings.Repeat("y", i%700)))
			}
		}()
		for i := range messages {
			_, data, err := client.Read(t.Context())
			require.NoError(t, err)
			require.True(t, bytes.HasPrefix(data, fmt.Appendf(nil, "%d ", i)), "message %d: %.20s", i, data)
		}
	})
}

// Bytes that came together with the upgrade request must not wait for a packet that may never come.
func TestMessagesBehindTheUpgrade(t *testing.T) {
	t.Parallel()
	everyVariant(t, func(t *testing.T, start startFunc) {
		e := start(Config{}, always(newEcho()))
		second := clientFrame(finBit|opText, bytes.Repeat([]byte("b"), 1000))
		behind := append(clientFrame(finBit|opText, []byte("first")), second[:500]...)
		client := e.dialRaw(behind...)
		_, payload, err := client.frame()
		require.NoError(t, err)
		require.Equal(t, "first", string(payload))
		client.write(second[500:])
		_, payload, err = client.frame()
		require.NoError(t, err)
		require.Len(t, payload, 1000)
	})
}

func TestFragmentsAndPingsBetween(t *testing.T) {
	t.Parallel()
	everyVariant(t, func(t *testing.T, start startFunc) {
		client := start(Config{}, always(newEcho())).dialRaw()
		var stream []byte
		stream = append(stream, clientFrame(opText, []byte("one "))...)
		stream = append(stream, clientFrame(finBit|opPing, []byte("p"))...)
		stream = append(stream, clientFrame(0, []byte("two "))...)
		stream = append(stream, clientFrame(0, nil)...)
		stream = append(stream, clientFrame(finBit, []byte("three"))...)
		stream = append(stream, clientFrame(finBit|opBinary, []byte("four"))...)
		for _, b := range stream { // every frame border and every byte of a header is a place to stop at
			client.write([]byte{b})
		}
		for _, want := range []struct {
			opcode  byte
			payload string
		}{{opPong, "p"}, {opText, "one two three"}, {opBinary, "four"}} {
			opcode, payload, err := client.frame()
			require.NoError(t, err)
			require.Equal(t, want.opcode, opcode)
			require.Equal(t, want.payload, string(payload))
		}
	})
}

func TestPing(t *testing.T) {
	t.Parallel()
	everyVariant(t, func(t *testing.T, start startFunc) {
		conns := make(chan *Conn, 1)
		client := start(Config{}, func(c *Conn) Handler {
			conns <- c
			return newEcho()
		}).dialRaw()
		c := receive(t, conns, "connection")
		before := c.LastSeen()
		c.Ping()
		opcode, _, err := client.frame()
		require.NoError(t, err)
		require.Equal(t, byte(opPing), opcode)
		client.write(clientFrame(finBit|opPong, nil))
		require.Eventually(t, func() bool { return c.LastSeen().After(before) }, wait, time.Millisecond)
		client.write(clientFrame(finBit|opPing, []byte("a longer payload than the library's buffer")))
		opcode, payload, err := client.frame()
		require.NoError(t, err)
		require.Equal(t, byte(opPong), opcode)
		require.Equal(t, "a longer payload than the library's buffer", string(payload))
		client.write(clientFrame(finBit|opText, []byte("still here")))
		_, payload, err = client.frame()
		require.NoError(t, err)
		require.Equal(t, "still here", string(payload))
	})
}

type second struct{ echo }

func (second) Message(c *Conn, _ bool, data []byte) {
	_ = c.Send(Text(append([]byte("second: "), data...)))
}

type first struct{ echo }

func (first) Message(c *Conn, _ bool, data []byte) {
	c.SetHandler(second{newEcho()})
	_ = c.Send(Text(append([]byte("first: "), data...)))
}

func TestSetHandler(t *testing.T) {
	t.Parallel()
	everyVariant(t, func(t *testing.T, start startFunc) {
		client := start(Config{}, always(first{newEcho()})).dial()
		for _, want := range []string{"first: a", "second: a", "second: a"} {
			require.NoError(t, client.Write(t.Context(), websocket.MessageText, []byte("a")))
			_, data, err := client.Read(t.Context())
			require.NoError(t, err)
			require.Equal(t, want, string(data))
		}
	})
}

// Connections come and go at random, so that descriptors and numbers are used again at once: nobody may see another's bytes.
func TestChurn(t *testing.T) {
	t.Parallel()
	everyVariant(t, func(t *testing.T, start startFunc) {
		e := start(Config{}, always(discardEnd{}))
		var workers sync.WaitGroup
		for worker := range 8 {
			workers.Go(func() {
				random := rand.New(rand.NewPCG(1, uint64(worker)))
				for i := range 30 {
					client := e.dial()
					for m := range 1 + random.IntN(4) {
						want := fmt.Sprintf("%d-%d-%d", worker, i, m)
						if err := client.Write(context.Background(), websocket.MessageText, []byte(want)); err != nil {
							t.Error(err)
							return
						}
						_, data, err := client.Read(context.Background())
						if err != nil || string(data) != want {
							t.Errorf("got %q, %v; want %q", data, err, want)
							return
						}
					}
					if random.IntN(2) == 0 {
						_ = client.CloseNow()
					} else {
						_ = client.Close(websocket.StatusNormalClosure, "")
					}
				}
			})
		}
		workers.Wait()
		e.waitEmpty()
	})
}

type discardEnd struct{ echo }

func (discardEnd) Closed(*Conn, error) {}

func (e *edge) waitEmpty() {
	e.t.Helper()
	require.Eventually(e.t, func() bool { return e.open() == 0 }, wait, time.Millisecond, "connections are still registered")
}

func (e *edge) open() int {
	e.engine.mu.Lock()
	defer e.engine.mu.Unlock()
	return len(e.engine.registry.all())
}

func TestOriginAndSubprotocol(t *testing.T) {
	t.Parallel()
	engine, err := New(Config{})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- engine.Run(ctx) }()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		opts := AcceptOptions{}
		if r.URL.Path == "/checked" {
			opts.CheckOrigin = func(r *http.Request) bool { return r.Header.Get("Origin") == "https://app.example" }
		}
		if c, err := engine.Accept(w, r, opts); err == nil {
			c.Serve(discardEnd{})
		}
	}))
	for _, tt := range []struct {
		path    string
		origins []string
		status  int
	}{
		{"/", nil, 101}, {"/", []string{server.URL}, 101}, {"/", []string{"https://app.example"}, 403},
		{"/", []string{server.URL, "https://app.example"}, 403}, {"/", []string{server.URL, server.URL}, 403},
		{"/checked", []string{"https://app.example"}, 101}, {"/checked", []string{"https://evil.example"}, 403}, {"/checked", nil, 403},
		{"/checked", []string{"https://app.example", "https://evil.example"}, 403},
	} {
		client, response, err := websocket.Dial(t.Context(), server.URL+tt.path, &websocket.DialOptions{
			HTTPHeader: http.Header{"Origin": tt.origins}, Subprotocols: []string{"v1", "v2"},
		})
		require.Equal(t, tt.status, response.StatusCode, "%s %s: %v", tt.path, tt.origins, err)
		if err == nil {
			require.Equal(t, "v1", client.Subprotocol())
			_ = client.CloseNow()
		}
	}
	client, _, err := websocket.Dial(t.Context(), server.URL, nil)
	require.NoError(t, err)
	require.Empty(t, client.Subprotocol(), "none was offered")
	_ = client.CloseNow()
	cancel()
	require.NoError(t, <-done)
	client, _, err = websocket.Dial(t.Context(), server.URL, nil)
	if err == nil { // the upgrade was answered before it could be refused
		_, _, err = client.Read(t.Context())
		_ = client.CloseNow()
	}
	require.Error(t, err)
	server.Close()
}
