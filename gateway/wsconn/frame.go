package wsconn

import "encoding/binary"

// StampWidth is the length in bytes of the slot in a Stamped frame.
const StampWidth = 22

// Opcodes of RFC 6455 section 5.2, with the FIN bit where a frame is whole.
const (
	finBit   = 0x80
	opText   = 0x1
	opBinary = 0x2
	opClose  = 0x8
	opPing   = 0x9
	opPong   = 0xA
)

// maxHeader is the longest header of a server frame, which is never masked (RFC 6455 section 5.1).
const maxHeader = 10

// Frame is a websocket message as it stands on the wire, built once and immutable: the same pointer may wait in any number of
// queues. Server frames are not masked, so the bytes are the same for every recipient.
type Frame struct {
	wire     []byte // header and payload
	header   int    // bytes of wire that are header
	slot     int    // where the stamp goes in wire, 0: none
	position uint64 // what the stamper is told
}

// Stamper fills the slot of Stamped frames for one connection. It is called while a frame is copied to a write buffer: from
// any goroutine, but never twice at once for the same connection. It must be quick and must not block.
type Stamper interface {
	// Stamp writes StampWidth base64url characters to dst.
	Stamp(dst []byte, position uint64)
}

// Text builds a text message. The payload is copied; it must be valid UTF-8, which is not checked.
func Text(payload []byte) *Frame { return build(opText, payload) }

// Binary builds a binary message. The payload is copied.
func Binary(payload []byte) *Frame { return build(opBinary, payload) }

// Stamped builds a text message with a slot, payload[at:at+StampWidth], that every connection fills with its own stamp of
// position, so that one encoding serves all of them. A connection without a stamper sends the slot as it is in payload.
// It panics if the slot is not inside the payload: that is a programming error, no input can cause it.
func Stamped(payload []byte, at int, position uint64) *Frame {
	if at < 0 || at+StampWidth > len(payload) {
		panic("wsconn: stamp slot outside of the payload")
	}
	f := build(opText, payload)
	f.slot, f.position = f.header+at, position
	return f
}

// Payload is the message without its stamp. It must not be changed.
func (f *Frame) Payload() []byte { return f.wire[f.header:] }

// AppendPayload appends the message, stamped by s (nil: unstamped), to dst.
func (f *Frame) AppendPayload(dst []byte, s Stamper) []byte {
	start := len(dst)
	dst = append(dst, f.wire[f.header:]...)
	if f.slot > 0 && s != nil {
		at := start + f.slot - f.header
		s.Stamp(dst[at:at+StampWidth:at+StampWidth], f.position)
	}
	return dst
}

// IsBinary tells whether this is a binary message.
func (f *Frame) IsBinary() bool { return f.opcode() == opBinary }

func (f *Frame) opcode() byte { return f.wire[0] & 0x0f }

func (f *Frame) isControl() bool { return f.wire[0]&0x08 != 0 }

// appendWire appends the frame as it goes to the socket of a connection with stamper s.
func (f *Frame) appendWire(dst []byte, s Stamper) []byte {
	start := len(dst)
	dst = append(dst, f.wire...)
	if f.slot > 0 && s != nil {
		at := start + f.slot
		s.Stamp(dst[at:at+StampWidth:at+StampWidth], f.position)
	}
	return dst
}

// TextOf is Text of a payload in parts, which are put together in the frame's own memory.
func TextOf(parts ...[]byte) *Frame { return build(opText, parts...) }

func build(opcode byte, parts ...[]byte) *Frame {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	f := blank(maxHeader + n)
	wire := append(f.wire, finBit|opcode)
	switch {
	case n < 126:
		wire = append(wire, byte(n))
	case n < 1<<16:
		wire = binary.BigEndian.AppendUint16(append(wire, 126), uint16(n))
	default:
		wire = binary.BigEndian.AppendUint64(append(wire, 127), uint64(n))
	}
	f.header = len(wire)
	for _, p := range parts {
		wire = append(wire, p...)
	}
	f.wire = wire
	return f
}

// blank is a frame with room for n bytes. A small one, as most are, has its bytes in the same allocation; the sizes fill
// the allocator's classes.
func blank(n int) *Frame {
	const frame = 48 // bytes of a Frame
	switch {
	case n <= 256-frame:
		f := &struct {
			Frame
			room [256 - frame]byte
		}{}
		f.wire = f.room[:0]
		return &f.Frame
	case n <= 512-frame:
		f := &struct {
			Frame
			room [512 - frame]byte
		}{}
		f.wire = f.room[:0]
		return &f.Frame
	case n <= 768-frame:
		f := &struct {
			Frame
			room [768 - frame]byte
		}{}
		f.wire = f.room[:0]
		return &f.Frame
	}
	return &Frame{wire: make([]byte, 0, n)}
}
