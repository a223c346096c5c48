package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Opcodes of RFC 6455 §5.2 that occur here.
const (
	opText  = 0x1
	opBin   = 0x2
	opClose = 0x8
	opPing  = 0x9
	opPong  = 0xA
)

// maxFrame bounds what a server may announce; no measured message comes near it.
const maxFrame = 4 << 20

// frame is one whole unfragmented server frame; payload aliases the input.
type frame struct {
	op      byte
	payload []byte
}

var (
	errFragmented = errors.New("fragmented or reserved frame")
	errMasked     = errors.New("masked server frame")
)

// nextFrame cuts the first frame off data. n is the number of bytes it takes,
// 0 while it is not whole yet. The servers measured never fragment (each
// message is one write), so a fragment is an error rather than more state.
func nextFrame(data []byte) (f frame, n int, err error) {
	if len(data) < 2 {
		return frame{}, 0, nil
	}
	if data[0]&0xF0 != 0x80 || data[0]&0x0F == 0 {
		return frame{}, 0, errFragmented
	}
	if data[1]&0x80 != 0 {
		return frame{}, 0, errMasked
	}
	head, size := 2, uint64(data[1])
	switch size {
	case 126:
		if len(data) < 4 {
			return frame{}, 0, nil
		}
		head, size = 4, uint64(binary.BigEndian.Uint16(data[2:]))
	case 127:
		if len(data) < 10 {
			return frame{}, 0, nil
		}
		head, size = 10, binary.BigEndian.Uint64(data[2:])
	}
	if size > maxFrame {
		return frame{}, 0, fmt.Errorf("frame of %d bytes", size)
	}
	n = head + int(size)
	if len(data) < n {
		return frame{}, 0, nil
	}
	return frame{op: data[0] & 0x0F, payload: data[head:n]}, n, nil
}

// appendFrame appends a client frame. Its masking key is zero: the server
// unmasks as for any other key, and the client saves the pass over the payload.
func appendFrame(dst []byte, op byte, payload []byte) []byte {
	dst = append(dst, 0x80|op)
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, 0x80|byte(n))
	case n <= 0xFFFF:
		dst = binary.BigEndian.AppendUint16(append(dst, 0x80|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 0x80|127), uint64(n))
	}
	return append(append(dst, 0, 0, 0, 0), payload...)
}
