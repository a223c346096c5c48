package bench

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// serverFrame is a server frame in its shortest length form.
func serverFrame(op byte, payload string) []byte {
	head := []byte{0x80 | op, byte(len(payload))}
	switch n := len(payload); {
	case n > 0xFFFF:
		head = binary.BigEndian.AppendUint64([]byte{0x80 | op, 127}, uint64(n))
	case n > 125:
		head = binary.BigEndian.AppendUint16([]byte{0x80 | op, 126}, uint16(n))
	}
	return append(head, payload...)
}

func TestNextFrame(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 125, 126, 127, 300, 0xFFFF, 0x10000, 100_000} {
		text := strings.Repeat("x", size)
		data := append(serverFrame(opText, text), serverFrame(opPing, "p")...)
		f, n, err := nextFrame(data)
		require.NoError(t, err)
		require.Equal(t, text, string(f.payload))
		require.Equal(t, byte(opText), f.op)
		f, m, err := nextFrame(data[n:])
		require.NoError(t, err)
		require.Equal(t, frame{opPing, []byte("p")}, f)
		require.Equal(t, len(data), n+m)
		for _, cut := range []int{0, 1, 2, 3, n / 2, n - 1} {
			_, got, err := nextFrame(data[:min(cut, n-1)])
			require.NoError(t, err)
			require.Zero(t, got, "cut at %d of %d", cut, n)
		}
	}
}

func TestNextFrameRefuses(t *testing.T) {
	t.Parallel()
	for name, data := range map[string][]byte{
		"first fragment": {0x01, 0}, "continuation": {0x80, 0}, "compressed": {0xC1, 0}, "masked": {0x81, 0x80},
		"too large": binary.BigEndian.AppendUint64([]byte{0x81, 127}, maxFrame+1),
	} {
		_, _, err := nextFrame(data)
		require.Error(t, err, name)
	}
}

func TestClientFramesAreMasked(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 125, 126, 0xFFFF, 0x10000} {
		got := appendFrame(nil, opText, bytes.Repeat([]byte("y"), size))
		require.Equal(t, byte(0x81), got[0])
		require.NotZero(t, got[1]&0x80)
		got[1] &^= 0x80
		head := len(got) - size - 4
		f, n, err := nextFrame(append(got[:head:head], got[head+4:]...))
		require.NoError(t, err)
		require.Equal(t, head+size, n)
		require.Len(t, f.payload, size)
	}
}

func FuzzNextFrame(f *testing.F) {
	f.Add(serverFrame(opText, `42["message:new",{"message":{"encryptedContent":"sb1.0000002a.x","seq":7}},"o"]`))
	f.Add(serverFrame(opText, `43`+"1000000000"+`[{"success":true,"message":{"seq":7}}]`))
	f.Add(serverFrame(opText, `{"ack":1000000000,"data":{"success":true,"message":{"seq":7}}}`))
	f.Add([]byte{0x81, 127, 255, 255, 255, 255, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, data []byte) {
		var scan, ackScan scanner
		for len(data) > 0 {
			frame, n, err := nextFrame(data)
			if err != nil || n == 0 {
				return
			}
			require.LessOrEqual(t, n, len(data))
			require.LessOrEqual(t, len(frame.payload), n)
			for _, w := range []wire{socketIO{}, plain{}} {
				switch p := w.classify(frame.payload); p.kind {
				case kindMessage:
					scan.message(p.body)
					_, _ = w.payload(p.body)
				case kindAck:
					ackScan.ack(p.body)
				default:
					w.greeting(frame.payload, "t", "p")
				}
			}
			data = data[n:]
		}
	})
}
