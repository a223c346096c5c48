package socketio

import (
	"errors"
	"fmt"
	"strconv"
)

// Type is the first character of a Socket.IO packet (protocol v5, "Packet types").
type Type byte

// The packet types of protocol v5.
const (
	Connect Type = iota
	Disconnect
	EventPacket
	AckPacket
	ConnectErrorPacket
	BinaryEvent
	BinaryAck
)

// NoAck is the AckID of a packet that has none.
const NoAck int64 = -1

// MaxAckID is the largest ack id accepted: the last that JavaScript counts exactly (Number.MAX_SAFE_INTEGER).
const MaxAckID int64 = 1<<53 - 1

// RootNamespace is the namespace of a packet that names none.
const RootNamespace = "/"

// maxNamespace bounds the length in bytes of a namespace name.
const maxNamespace = 256

// Packet is one Socket.IO packet, without the Engine.IO packet type in front of it.
type Packet struct {
	Type        Type
	Namespace   string
	AckID       int64  // NoAck if there is none
	Data        []byte // raw JSON, nil if there is none; not checked by Decode
	Attachments int    // binary packets that follow
}

var (
	errType        = errors.New("unknown packet type")
	errAttachments = errors.New("illegal attachments")
	errNamespace   = errors.New("namespace too long")
	errAckID       = errors.New("ack id out of range")
)

// Decode splits a packet into its parts. Data aliases src. The grammar is protocol v5's
// "<type>[<attachments>-][<namespace>,][<ack id>][JSON]".
func Decode(src []byte) (Packet, error) {
	p := Packet{Namespace: RootNamespace, AckID: NoAck}
	if len(src) == 0 || src[0] < '0' || src[0] > '6' {
		return p, errType
	}
	p.Type = Type(src[0] - '0')
	i := 1
	if p.Type == BinaryEvent || p.Type == BinaryAck {
		end := digits(src, i)
		if end == i || end-i > 4 || end >= len(src) || src[end] != '-' {
			return p, errAttachments
		}
		for _, c := range src[i:end] {
			p.Attachments = p.Attachments*10 + int(c-'0')
		}
		i = end + 1
	}
	if i < len(src) && src[i] == '/' {
		end := i
		for end < len(src) && src[end] != ',' {
			end++
		}
		if end-i > maxNamespace {
			return p, errNamespace
		}
		if end-i > 1 {
			p.Namespace = string(src[i:end])
		}
		i = min(end+1, len(src))
	}
	if end := digits(src, i); end > i {
		if end-i > 16 { // the digits of MaxAckID
			return p, errAckID
		}
		p.AckID = 0
		for _, c := range src[i:end] {
			p.AckID = p.AckID*10 + int64(c-'0')
		}
		if p.AckID > MaxAckID {
			return p, errAckID
		}
		i = end
	}
	if i < len(src) {
		p.Data = src[i:]
	}
	return p, nil
}

// Append appends the packet's wire form, without the Engine.IO packet type, to dst.
func (p Packet) Append(dst []byte) []byte {
	dst = p.appendHead(dst)
	return append(dst, p.Data...)
}

func (p Packet) appendHead(dst []byte) []byte {
	dst = append(dst, '0'+byte(p.Type))
	if p.Type == BinaryEvent || p.Type == BinaryAck {
		dst = strconv.AppendInt(dst, int64(p.Attachments), 10)
		dst = append(dst, '-')
	}
	if p.Namespace != "" && p.Namespace != RootNamespace {
		dst = append(dst, p.Namespace...)
		dst = append(dst, ',')
	}
	if p.AckID >= 0 {
		dst = strconv.AppendInt(dst, p.AckID, 10)
	}
	return dst
}

// String names the type as the protocol page does.
func (t Type) String() string {
	switch t {
	case Connect:
		return "CONNECT"
	case Disconnect:
		return "DISCONNECT"
	case EventPacket:
		return "EVENT"
	case AckPacket:
		return "ACK"
	case ConnectErrorPacket:
		return "CONNECT_ERROR"
	case BinaryEvent:
		return "BINARY_EVENT"
	case BinaryAck:
		return "BINARY_ACK"
	default:
		return fmt.Sprintf("type %d", byte(t))
	}
}
