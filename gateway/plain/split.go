package plain

import (
	"supmesh.dev/gateway/rawjson"
	"supmesh.dev/proto"
)

// maxAck bounds the ack id that is given back as it came, in bytes.
const maxAck = 64

// Frame is one message of a client. Its fields are parts of the message they
// were split from.
type Frame struct {
	Event []byte // unquoted
	Data  []byte // raw JSON; nil if absent or null
	Ack   []byte // raw JSON, a number or a string; nil if no ack is wanted
}

// Split takes a client's message apart, which is valid UTF-8. The error is a *proto.Error
// INVALID_PAYLOAD; Frame then holds what could be read, so that the ack id is answered and
// the error names the event.
func Split(message []byte) (Frame, error) {
	var event, data, ack member
	whole := rawjson.Object(message, func(name, value []byte) {
		switch key, _ := rawjson.Text(name); string(key) {
		case "event":
			event.take(value)
		case "data":
			data.take(value)
		case "ack":
			ack.take(value)
		}
	})
	f := Frame{Data: data.value}
	name, named := rawjson.Text(event.value)
	if event.count == 1 && named {
		f.Event = name
	}
	if ack.count == 1 && isAck(ack.value) {
		f.Ack = ack.value
	}
	switch {
	case !whole:
		return f, proto.Errorf(proto.InvalidPayload, "a frame must be one JSON object")
	case ack.count > 1, ack.value != nil && f.Ack == nil:
		return f, refuse("ack", "ack must be a number or a string of at most 64 bytes, once")
	case f.Event == nil:
		return f, refuse("event", "event must be a name, once")
	case data.count > 1:
		return f, refuse("data", "data must not stand twice")
	}
	return f, nil
}

func refuse(field, message string) *proto.Error {
	return &proto.Error{Code: proto.InvalidPayload, Field: field, Message: message}
}

// member is one member of a frame.
type member struct {
	count int
	value []byte // the first one; nil if absent or null
}

func (m *member) take(value []byte) {
	if m.count++; m.count == 1 && string(value) != "null" {
		m.value = value
	}
}

func isAck(raw []byte) bool {
	if len(raw) == 0 || len(raw) > maxAck {
		return false
	}
	c := raw[0]
	return c == '"' || c == '-' || c >= '0' && c <= '9'
}
