package engineio

import (
	"bytes"
	"encoding/base64"
	"errors"

	"supmesh.dev/gateway/wsconn"
)

// The packet types of Engine.IO v4: the first byte of every text packet.
const (
	packetOpen    = '0'
	packetClose   = '1'
	packetPing    = '2'
	packetPong    = '3'
	packetMessage = '4'
	packetUpgrade = '5'
	packetNoop    = '6'

	// packetBase64 marks a binary message inside a polling payload. On a websocket it is a binary frame.
	packetBase64 = 'b'

	// separator stands between the packets of a polling payload.
	separator = 0x1e
)

var errPacket = errors.New("malformed packet")

// Control packets are the same for everyone, so they are built once.
var (
	framePing      = wsconn.Text([]byte{packetPing})
	frameProbePong = wsconn.Text([]byte("3probe"))
	payloadNoop    = []byte{packetNoop}
	payloadClose   = []byte{packetClose}
)

// packet is a decoded packet. Binary messages have the type packetMessage.
type packet struct {
	kind   byte
	binary bool
	data   []byte
}

// decodeText decodes the text of one websocket frame. Data aliases src.
func decodeText(src []byte) (packet, error) {
	if len(src) == 0 || src[0] < packetOpen || src[0] > packetNoop {
		return packet{}, errPacket
	}
	return packet{kind: src[0], data: src[1:]}, nil
}

// nextPacket takes the first packet off a polling payload and returns what is left after the separator; more is false
// behind the last packet. Data aliases src (base64 is decoded in place).
func nextPacket(src []byte) (p packet, rest []byte, more bool, err error) {
	one := src
	if i := bytes.IndexByte(src, separator); i >= 0 {
		one, rest, more = src[:i], src[i+1:], true
	}
	if len(one) > 0 && one[0] == packetBase64 {
		n, err := base64.StdEncoding.Decode(one[1:], one[1:])
		if err != nil {
			return packet{}, nil, false, errPacket
		}
		return packet{kind: packetMessage, binary: true, data: one[1 : 1+n]}, rest, more, nil
	}
	p, err = decodeText(one)
	return p, rest, more, err
}

// appendPacket appends the frame's packet to a polling payload, behind a separator if it is not the first.
func appendPacket(dst []byte, f *wsconn.Frame, stamper wsconn.Stamper) []byte {
	if len(dst) > 0 {
		dst = append(dst, separator)
	}
	if f.IsBinary() {
		return base64.StdEncoding.AppendEncode(append(dst, packetBase64), f.Payload())
	}
	return f.AppendPayload(dst, stamper)
}

// encodedLen is the space a frame takes in a polling payload.
func encodedLen(f *wsconn.Frame) int {
	n := len(f.Payload())
	if f.IsBinary() {
		n = 1 + base64.StdEncoding.EncodedLen(n)
	}
	return n + 1
}
