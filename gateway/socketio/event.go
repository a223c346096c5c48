package socketio

import (
	"bytes"
	"errors"

	"supmesh.dev/gateway/rawjson"
)

var (
	errEvent    = errors.New("an event is an array that begins with its name")
	errReserved = errors.New("reserved event name")
	errAck      = errors.New("an ack is an array and has an id")
)

// Event is an event of a client. Everything in it is valid only during the call that hands it over: copy what is kept.
type Event struct {
	Name string
	// Data is the first argument as raw JSON; nil if it is absent or null, as in emit("x", callback). A binary argument is
	// its placeholder, {"_placeholder":true,"num":n}, where n counts Attachments.
	Data []byte
	// Args are all arguments as raw JSON with commas between them, nil if there are none.
	Args []byte
	// AckID is to be given to SendAck, exactly once; NoAck if the client wants no ack.
	AckID int64
	// Attachments are the binary attachments in the order of their placeholders' numbers.
	Attachments [][]byte
	// Dropped is how many attachments the event has that the server does not take (Config.DropAttachments).
	Dropped int
}

// Ack is the end of an EmitWithAck. As with Event, copy what is kept.
type Ack struct {
	ID          int64
	Data        []byte // the first argument as raw JSON, nil if absent or null
	Args        []byte // all arguments, as in Event
	Attachments [][]byte
	Err         error // nil, ErrAckTimeout or ErrNotConnected
}

// reserved names mean something to the client library or to Node's EventEmitter (protocol v5, "Reserved events").
var reserved = map[string]bool{
	"connect": true, "connect_error": true, "disconnect": true, "disconnecting": true,
	"newListener": true, "removeListener": true,
}

// parseEvent splits the payload of an EVENT. known maps expected names to themselves.
func parseEvent(payload []byte, known map[string]string) (Event, error) {
	e := Event{AckID: NoAck}
	first, second, rest, err := splitArray(payload)
	if err != nil {
		return e, err
	}
	raw, ok := rawjson.Text(first)
	if !ok {
		return e, errEvent
	}
	if name, ok := known[string(raw)]; ok {
		e.Name = name
	} else {
		e.Name = string(raw)
	}
	if reserved[e.Name] {
		return e, errReserved
	}
	e.Data, e.Args = unlessNull(second), rest
	return e, nil
}

// parseAck splits the payload of an ACK.
func parseAck(p Packet) (Ack, error) {
	if p.AckID == NoAck {
		return Ack{}, errAck
	}
	first, _, _, err := splitArray(p.Data)
	if err != nil {
		return Ack{}, err
	}
	a := Ack{ID: p.AckID, Data: unlessNull(first)}
	if first != nil {
		inner := bytes.TrimSpace(p.Data)
		a.Args = bytes.TrimSpace(inner[1 : len(inner)-1])
	}
	return a, nil
}

func unlessNull(raw []byte) []byte {
	if len(raw) > 0 && raw[0] == 'n' {
		return nil
	}
	return raw
}
