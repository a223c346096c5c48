package wsconn

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestHostileFrames(t *testing.T) {
	t.Parallel()
	masked := func(opcode byte, n int) []byte { return clientFrame(opcode, make([]byte, n)) }
	join := func(frames ...[]byte) []byte { return bytes.Join(frames, nil) }
	header := func(b ...byte) []byte { return b }
	tests := []struct {
		name string
		sent []byte
		code int
	}{
		{"unmasked", build(opText, []byte("hello")).wire, 1002},
		{"unmasked ping", build(opPing, nil).wire, 1002},
		{"length with the top bit set", header(finBit|opText, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4), 1002},
		{"length of 2^63-1", header(finBit|opText, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4), 0},
		{"reserved bit 1", masked(finBit|0x40|opText, 1), 1002},
		{"reserved bit 2", masked(finBit|0x20|opText, 1), 1002},
		{"reserved bit 3", masked(finBit|0x10|opText, 1), 1002},
		{"unknown data opcode", masked(finBit|0x3, 1), 1002},
		{"unknown control opcode", masked(finBit|0xb, 1), 1002},
		{"fragmented ping", masked(opPing, 1), 1002},
		{"fragmented close", masked(opClose, 2), 1002},
		{"ping over 125 bytes", masked(finBit|opPing, 126), 1002},
		{"continuation without a message", masked(finBit, 1), 1002},
		{"message inside a message", join(masked(opText, 1), masked(finBit|opText, 1)), 1002},
		{"close with one byte", masked(finBit|opClose, 1), 1002},
		{"close with a code that may not be sent", clientFrame(finBit|opClose, []byte{0x03, 0xed}), 1002},
		{"close reason that is not UTF-8", clientFrame(finBit|opClose, []byte("\x03\xe8\xff\xfe")), 1007},
		{"close reason that ends in half a rune", clientFrame(finBit|opClose, []byte("\x0f\xa1bye\xe2\x82")), 1007},
		{"text that is not UTF-8", clientFrame(finBit|opText, []byte{0xff, 0xfe}), 1007},
		{"half a rune", clientFrame(finBit|opText, []byte("\xe2\x82")), 1007},
		{"message over the limit", masked(finBit|opBinary, 70_000), 1009},
		{"fragments over the limit", join(masked(opBinary, 60_000), masked(0, 9_000)), 1009},
		{"ping flood", bytes.Repeat(masked(finBit|opPing, 4), 200), 1008},
		{"pong flood", bytes.Repeat(masked(finBit|opPong, 0), 200), 1008},
		{"ping flood inside a message", join(masked(opText, 1), bytes.Repeat(masked(finBit|opPing, 0), 200)), 1008},
		{"empty fragments", join(masked(opText, 0), bytes.Repeat(masked(0, 0), 100_000)), 1008},
		{"fragments of one byte", join(masked(opBinary, 1), bytes.Repeat(masked(0, 1), 50_000)), 1008},
	}
	everyVariant(t, func(t *testing.T, start startFunc) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				h := newEcho()
				e := start(Config{ReadLimit: 64 << 10, MessageTimeout: 2 * time.Second}, always(h))
				client := e.dialRaw()
				written := make(chan struct{})
				go func() {
					defer close(written)
					_, _ = client.Write(tt.sent)
				}()
				code, err := client.closeCode()
				want := tt.code
				if want == 0 { // announces what never comes
					want = 1008
				}
				require.Equal(t, want, code, "%v", err)
				require.NoError(t, err)
				_ = client.Close()
				var why LocalClose
				require.ErrorAs(t, h.why(t), &why)
				require.Equal(t, want, why.Code)
				receive(t, written, "end of writing")
				e.waitEmpty()
			})
		}
	})
}

func TestMessageTimeout(t *testing.T) {
	t.Parallel()
	everyVariant(t, func(t *testing.T, start startFunc) {
		for name, sent := range map[string][]byte{
			"half a header":  {finBit | opText},
			"no payload":     clientFrame(finBit|opText, make([]byte, 100))[:6],
			"half a payload": clientFrame(finBit|opText, make([]byte, 9000))[:5000],
			"no last frame":  clientFrame(opText, make([]byte, 10)),
			"whole and half": append(clientFrame(finBit|opText, nil), finBit|opText),
			"half a ping":    clientFrame(finBit|opPing, make([]byte, 100))[:50],
		} {
			h := newEcho()
			client := start(Config{MessageTimeout: 100 * time.Millisecond}, always(h)).dialRaw()
			client.write(sent)
			code, err := client.closeCode()
			require.NoError(t, err, name)
			require.Equal(t, closePolicy, code, name)
			require.Equal(t, LocalClose{Code: 1008, Reason: tooSlow}, h.why(t), name)
		}
	})
}

// A peer that keeps sending a little of one message never makes a read wait; the clock must run nevertheless.
func TestDripFedMessage(t *testing.T) {
	t.Parallel()
	everyVariant(t, func(t *testing.T, start startFunc) {
		h := newEcho()
		client := start(Config{MessageTimeout: 200 * time.Millisecond}, always(h)).dialRaw()
		stream := clientFrame(finBit|opText, make([]byte, 100_000))
		began := time.Now()
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for len(stream) > 0 {
			<-tick.C
			if _, err := client.Write(stream[:1]); err != nil || len(h.closed) > 0 {
				break
			}
			stream = stream[1:]
		}
		require.Less(t, time.Since(began), wait)
		require.Equal(t, LocalClose{Code: 1008, Reason: tooSlow}, h.why(t))
	})
}

func TestByteRateSlowsDown(t *testing.T) {
	t.Parallel()
	everyVariant(t, func(t *testing.T, start startFunc) {
		client := start(Config{ReadBytesPerSecond: 100_000, ReadBurst: 10_000, MessageTimeout: 2 * time.Second},
			always(newEcho())).dialRaw()
		began := time.Now()
		go func() { _, _ = client.Write(bytes.Repeat(clientFrame(finBit|opBinary, make([]byte, 5_000)), 12)) }()
		for range 12 {
			_, payload, err := client.frame()
			require.NoError(t, err)
			require.Len(t, payload, 5_000)
		}
		// 60 KB at 100 KB/s, less the burst and what the last reads owe.
		require.Greater(t, time.Since(began), 300*time.Millisecond)
	})
}

func TestAbruptReset(t *testing.T) {
	t.Parallel()
	everyVariant(t, func(t *testing.T, start startFunc) {
		for _, sent := range [][]byte{nil, clientFrame(opText, []byte("half")), clientFrame(finBit|opText, []byte("whole"))} {
			h := newEcho()
			e := start(Config{}, always(h))
			client := e.dialRaw(sent...)
			e.reset(client)
			require.Error(t, h.why(t))
			e.waitEmpty()
		}
	})
}

func TestPeerEndsWithoutClose(t *testing.T) {
	t.Parallel()
	everyVariant(t, func(t *testing.T, start startFunc) {
		h := newEcho()
		e := start(Config{}, always(h))
		require.NoError(t, e.dialRaw().Close())
		require.ErrorIs(t, h.why(t), io.EOF)
		e.waitEmpty()
	})
}

// The end of the stream may come in the same packet as the last message.
func TestMessageThenEnd(t *testing.T) {
	t.Parallel()
	everyVariant(t, func(t *testing.T, start startFunc) {
		for range 50 {
			h := newCounter(1)
			e := start(Config{}, always(h))
			client := e.dialRaw()
			client.write(clientFrame(finBit|opText, []byte("last words")))
			require.NoError(t, client.Close())
			receive(t, h.all, "message")
			require.Error(t, receive(t, h.closed, "Closed"))
			e.stop()
		}
	})
}
