package wsconn

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
)

// Prebuilt frames, the library's own messages and pings from several goroutines: all whole, each source in its order, the
// close frame last.
func TestOrderAndWholeness(t *testing.T) {
	t.Parallel()
	everyVariant(t, func(t *testing.T, start startFunc) {
		const conns, each = 4, 150
		served := make(chan *Conn, conns)
		e := start(Config{MaxQueueBytes: 64 << 20, CloseTimeout: wait, WriteTimeout: wait}, func(c *Conn) Handler {
			served <- c
			return newEcho()
		})
		size := func(i int) int { return []int{0, 10, 125, 126, 300, 5000, 10, 20, 30, 70_000}[i%10] }
		var all sync.WaitGroup
		for range conns {
			client := e.dialRaw()
			c := receive(t, served, "connection")
			c.SetStamper(stamp('z'))
			var senders sync.WaitGroup
			senders.Go(func() {
				for i := range each {
					_ = c.Send(Text(fmt.Appendf(nil, "prebuilt %d %s", i, strings.Repeat("p", size(i)))))
				}
			})
			senders.Go(func() {
				for i := range each {
					_ = c.ws.Write(context.Background(), websocket.MessageText, fmt.Appendf(nil, "library %d %s", i, strings.Repeat("l", size(i+3))))
				}
			})
			senders.Go(func() {
				for i := range each {
					payload := fmt.Appendf(nil, "stamped %d %s", i, strings.Repeat("-", StampWidth+size(i)))
					_ = c.Send(Stamped(payload, len(payload)-StampWidth, uint64(i)))
				}
			})
			senders.Go(func() {
				for range 50 {
					c.Ping()
				}
			})
			all.Go(func() {
				senders.Wait()
				c.Close(4001, "end")
			})
			all.Go(func() {
				next := map[string]int{}
				for {
					opcode, payload, err := client.frame()
					if err != nil {
						t.Error(err)
						return
					}
					switch opcode {
					case opPing:
						next["ping"]++
					case opText:
						var source string
						var i int
						_, _ = fmt.Sscanf(string(payload[:min(len(payload), 40)]), "%s %d", &source, &i)
						if i != next[source] {
							t.Errorf("%s: got %d, want %d", source, i, next[source])
							return
						}
						if source == "stamped" && !bytes.HasSuffix(payload, stamped('z', uint64(i))) {
							t.Errorf("stamp %q", payload[len(payload)-StampWidth:])
						}
						next[source]++
					case opClose:
						if rest, err := io.Copy(io.Discard, client.br); rest > 0 || err != nil {
							t.Errorf("%d bytes after close, %v", rest, err)
						}
						want := map[string]int{"ping": 50, "library": each, "prebuilt": each, "stamped": each}
						if code := binary.BigEndian.Uint16(payload); code != 4001 || fmt.Sprint(next) != fmt.Sprint(want) {
							t.Errorf("code %d, %v", code, next)
						}
						return
					}
				}
			})
		}
		all.Wait()
	})
}

type stamp byte

func (s stamp) Stamp(dst []byte, position uint64) { copy(dst, stamped(byte(s), position)) }

func stamped(who byte, position uint64) []byte {
	return fmt.Appendf(nil, "%c%0*d", who, StampWidth-1, position)
}

// One frame object on many connections: each recipient sees its own stamp, and the frame stays as it was built.
func TestStampedFrameIsShared(t *testing.T) {
	t.Parallel()
	everyVariant(t, func(t *testing.T, start startFunc) {
		served := make(chan *Conn, 1)
		e := start(Config{}, func(c *Conn) Handler {
			served <- c
			return newEcho()
		})
		payload := []byte(`42["message:new",{},"` + strings.Repeat("_", StampWidth) + `"]`)
		at := len(payload) - 2 - StampWidth
		f := Stamped(payload, at, 77)
		var clients []*raw
		for i := range 10 {
			clients = append(clients, e.dialRaw())
			c := receive(t, served, "connection")
			if i > 0 {
				c.SetStamper(stamp('a' + i))
			}
			require.NoError(t, c.Send(f))
			require.NoError(t, c.Send(f))
		}
		for i, client := range clients {
			want := bytes.Clone(payload)
			if i > 0 {
				copy(want[at:], stamped('a'+byte(i), 77))
			}
			for range 2 {
				_, got, err := client.frame()
				require.NoError(t, err)
				require.Equal(t, string(want), string(got))
			}
		}
		require.Equal(t, string(payload), string(f.Payload()))
		require.Equal(t, string(stamped('q', 77)), string(f.AppendPayload([]byte("x"), stamp('q'))[1+at:][:StampWidth]))
		require.Panics(t, func() { Stamped(payload, len(payload)-StampWidth+1, 1) })
	})
}

func TestSlowReader(t *testing.T) {
	t.Parallel()
	everyVariant(t, func(t *testing.T, start startFunc) {
		served := make(chan *Conn, 1)
		slow, honest := newEcho(), newEcho()
		handlers := []Handler{slow, honest}
		const bound = 256 << 10
		e := start(Config{MaxQueueBytes: bound, WriteTimeout: 3 * time.Second, Shards: 1}, func(c *Conn) Handler {
			h := handlers[0]
			handlers = handlers[1:]
			served <- c // after which the test dials the next
			return h
		})
		client := e.dialRaw()
		require.NoError(t, socketOf(client.Conn).(*net.TCPConn).SetReadBuffer(16<<10)) //nolint:forcetypeassert // dialled as TCP
		c := receive(t, served, "connection")
		frame := Text(bytes.Repeat([]byte("s"), 20_000))
		accepted := 0
		for refused := 0; refused < 100; {
			if err := c.Send(frame); err == nil {
				accepted++
			} else {
				require.ErrorIs(t, err, ErrFull)
				refused++
			}
			require.LessOrEqual(t, c.QueuedBytes(), bound+20_000)
		}
		// What was accepted fits the bound and the kernel's buffers, which are bounded too.
		require.Less(t, accepted*20_000, 8<<20)

		other := e.dial()
		for range 20 {
			require.NoError(t, other.Write(t.Context(), websocket.MessageText, []byte("quick")))
			_, _, err := other.Read(t.Context())
			require.NoError(t, err)
		}

		// The kernel may still have taken what was queued so far: it is kept full.
		require.Eventually(t, func() bool {
			err := c.Send(frame)
			if err == nil {
				accepted++
			}
			return errors.Is(err, ErrClosed)
		}, wait, time.Millisecond)
		require.Less(t, accepted*20_000, 8<<20)
		require.ErrorIs(t, slow.why(t), os.ErrDeadlineExceeded, "dropped after the write timeout")
		require.NoError(t, other.Write(t.Context(), websocket.MessageText, []byte("still")))
		_, _, err := other.Read(t.Context())
		require.NoError(t, err)
	})
}

// A socket that was full and is read again delivers everything, in order, and goes back to the flusher.
func TestFullSocketRecovers(t *testing.T) {
	t.Parallel()
	everyVariant(t, func(t *testing.T, start startFunc) {
		_, c, client := accepted(t, start, Config{MaxQueueBytes: 64 << 20}, newEcho())
		const frames = 3000
		for i := range frames {
			require.NoError(t, c.Send(Text(fmt.Appendf(nil, "%06d%s", i, strings.Repeat("f", 3000)))))
		}
		for i := range frames {
			_, payload, err := client.frame()
			require.NoError(t, err)
			require.Equal(t, fmt.Sprintf("%06d", i), string(payload[:6]))
		}
		require.Eventually(t, func() bool { return c.QueuedBytes() == 0 }, wait, time.Millisecond)
		require.NoError(t, c.Send(Text([]byte("after"))))
		_, payload, err := client.frame()
		require.NoError(t, err)
		require.Equal(t, "after", string(payload))
	})
}

func TestOneFrameAlwaysFits(t *testing.T) {
	t.Parallel()
	everyVariant(t, func(t *testing.T, start startFunc) {
		_, c, client := accepted(t, start, Config{MaxQueueBytes: 100}, newEcho())
		for range 3 {
			require.NoError(t, c.Send(Binary(make([]byte, 300_000))))
			_, payload, err := client.frame()
			require.NoError(t, err)
			require.Len(t, payload, 300_000)
			require.Eventually(t, func() bool { return c.QueuedBytes() == 0 }, wait, time.Millisecond)
		}
	})
}

// Abort must not wait for a full socket, not even to say goodbye over TLS.
func TestAbortOfAFullSocket(t *testing.T) {
	t.Parallel()
	everyVariant(t, func(t *testing.T, start startFunc) {
		h := newEcho()
		e, c, _ := accepted(t, start, Config{}, h)
		for c.Send(Binary(make([]byte, 100_000))) == nil { // until the queue is full
		}
		began := time.Now()
		c.Abort(io.ErrClosedPipe)
		require.ErrorIs(t, h.why(t), io.ErrClosedPipe)
		e.waitEmpty()
		require.Less(t, time.Since(began), wait)
	})
}

// So must a graceful close give up after its timeout.
func TestCloseOfAFullSocket(t *testing.T) {
	t.Parallel()
	everyVariant(t, func(t *testing.T, start startFunc) {
		h := newEcho()
		e, c, _ := accepted(t, start, Config{CloseTimeout: 100 * time.Millisecond}, h)
		for c.Send(Binary(make([]byte, 100_000))) == nil { // until the queue is full
		}
		began := time.Now()
		c.Close(4408, "slow consumer")
		require.Equal(t, LocalClose{Code: 4408, Reason: "slow consumer"}, h.why(t))
		e.waitEmpty()
		require.Less(t, time.Since(began), wait)
	})
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for _, cfg := range []Config{{ReadLimit: -1}, {MaxQueueBytes: -1}, {WriteTimeout: -1}, {Shards: -1}, {ReadBurst: 1 << 40}} {
		_, err := New(cfg)
		require.Error(t, err)
	}
}
