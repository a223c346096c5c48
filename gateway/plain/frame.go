package plain

import (
	"bytes"

	"supmesh.dev/gateway/wsconn"
	"supmesh.dev/services/wire"
)

var slot = bytes.Repeat([]byte{'-'}, wsconn.StampWidth)

func appendEvent(dst []byte, name string, data []byte) []byte {
	dst = append(dst, `{"event":`...)
	dst = wire.AppendString(dst, name)
	dst = append(dst, `,"data":`...)
	if len(data) == 0 {
		data = []byte("{}")
	}
	return append(dst, data...)
}

// EventFrame is an event without an offset. data is JSON; none stands for {}.
func EventFrame(name string, data []byte) *wsconn.Frame {
	b := appendEvent(make([]byte, 0, len(name)+len(data)+24), name, data)
	return wsconn.Text(append(b, '}'))
}

// DurableEventFrame is an event whose offset every connection fills in for itself.
func DurableEventFrame(name string, data []byte, position uint64) *wsconn.Frame {
	b := appendEvent(make([]byte, 0, len(name)+len(data)+wsconn.StampWidth+40), name, data)
	b = append(b, `,"offset":"`...)
	at := len(b)
	b = append(b, slot...)
	return wsconn.Stamped(append(b, '"', '}'), at, position)
}

// AckFrame answers the frame that had this ack id, given back as it came.
func AckFrame(ack string, data []byte) *wsconn.Frame {
	var buf [64]byte
	head := append(append(append(buf[:0], `{"ack":`...), ack...), `,"data":`...)
	return wsconn.TextOf(head, data, closing)
}

var closing = []byte{'}'}
