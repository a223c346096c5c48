package plain

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"

	"supmesh.dev/proto"
	"supmesh.dev/services/wire"
)

// maxAck bounds the ack id that is given back as it came.
const maxAck = 64

// maxName bounds an event's name; the longest of the contract has 27.
const maxName = 128

// Frame is one message of a client. Its fields are parts of the message they
// were split from.
type Frame struct {
	Event []byte // unquoted
	Data  []byte // raw JSON; nil if absent or null
	Ack   []byte // raw JSON, a number or a string; nil if no ack is wanted
}

// Split takes a client's message apart. The error is a *proto.Error
// INVALID_PAYLOAD; Frame then holds what is known, for the ack.
func Split(message []byte) (Frame, error) {
	var f Frame
	if err := wire.Valid(message); err != nil {
		return f, err
	}
	s := scanner{data: message}
	s.space()
	if s.data[s.at] != '{' {
		return f, proto.Errorf(proto.InvalidPayload, "a frame must be an object")
	}
	s.at++
	var name []byte
	for s.space(); s.data[s.at] != '}'; s.space() {
		key := s.value()
		s.space()
		s.at++ // the colon
		s.space()
		value := s.value()
		switch string(key) {
		case `"event"`:
			name = value
		case `"data"`:
			f.Data = value
		case `"ack"`:
			f.Ack = value
		}
		if s.space(); s.data[s.at] == ',' {
			s.at++
		}
	}
	if string(f.Data) == "null" {
		f.Data = nil
	}
	if string(f.Ack) == "null" {
		f.Ack = nil
	}
	if len(f.Ack) > 0 && (len(f.Ack) > maxAck || f.Ack[0] != '"' && f.Ack[0] != '-' && (f.Ack[0] < '0' || f.Ack[0] > '9')) {
		f.Ack = nil
		return f, &proto.Error{Code: proto.InvalidPayload, Field: "ack", Message: "ack must be a number or a string of at most 64 bytes"}
	}
	if len(name) < 3 || name[0] != '"' || len(name) > maxName {
		return f, &proto.Error{Code: proto.InvalidPayload, Field: "event", Message: "event must be a name"}
	}
	f.Event = unquote(name)
	return f, nil
}

func unquote(raw []byte) []byte {
	if bytes.IndexByte(raw, '\\') >= 0 {
		out, _ := jsontext.AppendUnquote(nil, raw) // valid, as the whole message is
		return out
	}
	return raw[1 : len(raw)-1]
}

// scanner walks over JSON that is known to be valid, so it never looks for errors.
type scanner struct {
	data []byte
	at   int
}

func (s *scanner) space() {
	for s.at < len(s.data) && s.data[s.at] <= ' ' {
		s.at++
	}
}

// value is the raw value that begins here.
func (s *scanner) value() []byte {
	start := s.at
	switch s.data[s.at] {
	case '"':
		s.text()
	case '{', '[':
		for depth := 0; ; {
			switch s.data[s.at] {
			case '"':
				s.text()
				continue
			case '{', '[':
				depth++
			case '}', ']':
				depth--
			}
			if s.at++; depth == 0 {
				return s.data[start:s.at]
			}
		}
	default:
		for s.at < len(s.data) && !ends(s.data[s.at]) {
			s.at++
		}
	}
	return s.data[start:s.at]
}

func (s *scanner) text() {
	for s.at++; s.data[s.at] != '"'; s.at++ {
		if s.data[s.at] == '\\' {
			s.at++
		}
	}
	s.at++
}

func ends(c byte) bool { return c <= ' ' || c == ',' || c == '}' || c == ']' || c == ':' }
