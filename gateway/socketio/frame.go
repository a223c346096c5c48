package socketio

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"

	"supmesh.dev/gateway/wsconn"
)

// messageType is the Engine.IO packet type of every Socket.IO packet.
const messageType = '4'

// emptySlot stands where a stamp comes; a client never sees it as long as its session has a stamper.
var emptySlot = bytes.Repeat([]byte{'-'}, wsconn.StampWidth)

var arrayEnd = []byte{']'}

// EventPayload encodes an event of the root namespace with one argument, the Engine.IO packet type included:
// 42["name",data]. Nil data becomes {}, because a stock client takes a trailing string for its recovery offset, and the
// name is one in an event without arguments.
func EventPayload(name string, data []byte) []byte {
	return appendEvent(make([]byte, 0, len(name)+len(data)+16), Packet{Type: EventPacket, AckID: NoAck}, name, data)
}

// EventFrame is EventPayload as a frame, to be sent to any number of sockets.
func EventFrame(name string, data []byte) *wsconn.Frame {
	return wsconn.Text(EventPayload(name, data))
}

// DurableEventFrame is an event that ends in a recovery offset: 42["name",data,"offset"]. Every session fills in its own
// offset for position when the frame is written (engineio.Session.SetStamper).
func DurableEventFrame(name string, data []byte, position uint64) *wsconn.Frame {
	b := make([]byte, 0, len(name)+len(data)+wsconn.StampWidth+20)
	b = appendEvent(b, Packet{Type: EventPacket, AckID: NoAck}, name, data)
	b = append(b[:len(b)-1], ',', '"')
	at := len(b)
	b = append(b, emptySlot...)
	b = append(b, '"', ']')
	return wsconn.Stamped(b, at, position)
}

// AckPayload encodes the ack of an event of the root namespace: 43id[data]. Nil data acks without an argument.
func AckPayload(id int64, data []byte) []byte {
	return appendArray(make([]byte, 0, len(data)+16), Packet{Type: AckPacket, AckID: id}, data)
}

// appendEvent encodes an event; args are its arguments with commas between them.
func appendEvent(dst []byte, head Packet, name string, args []byte) []byte {
	dst = head.appendHead(append(dst, messageType))
	dst = append(dst, '[')
	dst, _ = jsontext.AppendQuote(dst, name) // an error only reports invalid UTF-8, which it has replaced
	dst = append(dst, ',')
	if len(args) == 0 {
		args = []byte("{}")
	}
	dst = append(dst, args...)
	return append(dst, ']')
}

func appendArray(dst []byte, head Packet, items []byte) []byte {
	dst = head.appendHead(append(dst, messageType))
	dst = append(dst, '[')
	dst = append(dst, items...)
	return append(dst, ']')
}

// framesOf puts a packet and its attachments into frames that must be sent together.
func framesOf(payload []byte, attachments [][]byte) []*wsconn.Frame {
	frames := make([]*wsconn.Frame, 1, 1+len(attachments))
	frames[0] = wsconn.Text(payload)
	for _, a := range attachments {
		frames = append(frames, wsconn.Binary(a))
	}
	return frames
}
