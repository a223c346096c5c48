package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// kind is what a server frame is to the counters.
type kind uint8

const (
	kindOther     kind = iota
	kindReady          // the connection may be used
	kindMessage        // message:new
	kindAck            // answer to a message sent here
	kindHeartbeat      // Engine.IO ping, to be answered
	kindRefused        // the server ends or refuses the connection
)

// packet is a classified frame. body aliases the frame: the event's payload and
// what follows it, or the ack's first argument and what follows it.
type packet struct {
	kind  kind
	ackID uint64
	body  []byte
}

// wire is one client profile, as far as a load client needs it.
type wire interface {
	// upgrade is the HTTP request that opens the websocket.
	upgrade(host, token string) []byte
	// greeting answers the handshake frames before the connection is ready; nil where nothing is to be said.
	greeting(payload []byte, token string) []byte
	classify(payload []byte) packet
	// message appends the text of a message:new; event is its payload.
	message(dst []byte, ackID uint64, event []byte) []byte
	// payload strips a classified message down to the JSON of its payload.
	payload(body []byte) ([]byte, error)
}

// The key and its answer of RFC 6455 §1.3: every client may use the same.
const (
	websocketKey    = "dGhlIHNhbXBsZSBub25jZQ=="
	websocketAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

func upgradeRequest(path, host, extra string) []byte {
	return []byte("GET " + path + " HTTP/1.1\r\nHost: " + host +
		"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " +
		websocketKey + "\r\n" + extra + "\r\n")
}

// errNotOpen says that the upgrade was answered with something else than 101.
var errNotOpen = errors.New("websocket refused")

// openResponse finds the end of the upgrade's answer: n is 0 while it is not whole.
func openResponse(data []byte) (n int, err error) {
	end := bytes.Index(data, []byte("\r\n\r\n"))
	if end < 0 {
		if len(data) > 16<<10 {
			return 0, fmt.Errorf("%w: no end of the response head", errNotOpen)
		}
		return 0, nil
	}
	if !bytes.HasPrefix(data, []byte("HTTP/1.1 101 ")) {
		return 0, fmt.Errorf("%w: %.300q", errNotOpen, data)
	}
	if !bytes.Contains(data[:end], []byte(websocketAccept)) {
		return 0, fmt.Errorf("%w: wrong Sec-WebSocket-Accept", errNotOpen)
	}
	return end + 4, nil
}

// socketIO is the Socket.IO v5 profile on the websocket transport.
type socketIO struct{}

var (
	sioMessage   = []byte(`42["message:new",`)
	sioConnected = []byte(`42["connected",`)
)

func (socketIO) upgrade(host, _ string) []byte {
	return upgradeRequest("/socket.io/?EIO=4&transport=websocket", host, "")
}

func (socketIO) greeting(payload []byte, token string) []byte {
	if len(payload) > 0 && payload[0] == '0' {
		return []byte(`40{"token":"` + token + `"}`)
	}
	return nil
}

func (socketIO) classify(p []byte) packet {
	if len(p) == 0 {
		return packet{}
	}
	switch p[0] {
	case '2':
		return packet{kind: kindHeartbeat}
	case '1':
		return packet{kind: kindRefused, body: p}
	case '4':
	default:
		return packet{}
	}
	if len(p) < 2 {
		return packet{}
	}
	switch p[1] {
	case '2':
		if bytes.HasPrefix(p, sioMessage) {
			return packet{kind: kindMessage, body: p[len(sioMessage):]}
		}
		if bytes.HasPrefix(p, sioConnected) {
			return packet{kind: kindReady}
		}
	case '3':
		if id, rest := digits(p[2:]); len(rest) > 1 && rest[0] == '[' {
			return packet{kind: kindAck, ackID: id, body: rest[1:]}
		}
	case '1', '4':
		return packet{kind: kindRefused, body: p}
	}
	return packet{}
}

func (socketIO) message(dst []byte, ackID uint64, event []byte) []byte {
	dst = strconv.AppendUint(append(dst, "42"...), ackID, 10)
	dst = append(append(dst, `["message:new",`...), event...)
	return append(dst, ']')
}

func (socketIO) payload(body []byte) ([]byte, error) {
	var items []json.RawMessage
	if err := json.Unmarshal(append([]byte("["), body...), &items); err != nil {
		return nil, fmt.Errorf("decode event: %w", err)
	}
	return items[0], nil
}

// plain is the plain websocket profile.
type plain struct{}

var (
	wsMessage   = []byte(`{"event":"message:new","data":`)
	wsConnected = []byte(`{"event":"connected",`)
	wsError     = []byte(`{"event":"error",`)
	wsAck       = []byte(`{"ack":`)
	wsAckData   = []byte(`,"data":`)
)

func (plain) upgrade(host, token string) []byte {
	return upgradeRequest("/ws", host, "Authorization: Bearer "+token+"\r\n")
}

func (plain) greeting([]byte, string) []byte { return nil }

func (plain) classify(p []byte) packet {
	switch {
	case bytes.HasPrefix(p, wsMessage):
		return packet{kind: kindMessage, body: p[len(wsMessage):]}
	case bytes.HasPrefix(p, wsAck):
		if id, rest := digits(p[len(wsAck):]); bytes.HasPrefix(rest, wsAckData) {
			return packet{kind: kindAck, ackID: id, body: rest[len(wsAckData):]}
		}
	case bytes.HasPrefix(p, wsConnected):
		return packet{kind: kindReady}
	case bytes.HasPrefix(p, wsError):
		return packet{kind: kindRefused, body: p}
	}
	return packet{}
}

func (plain) message(dst []byte, ackID uint64, event []byte) []byte {
	dst = append(append(dst, `{"event":"message:new","data":`...), event...)
	dst = strconv.AppendUint(append(dst, `,"ack":`...), ackID, 10)
	return append(dst, '}')
}

func (plain) payload(body []byte) ([]byte, error) {
	var envelope struct {
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(append([]byte(`{"data":`), body...), &envelope); err != nil {
		return nil, fmt.Errorf("decode event: %w", err)
	}
	return envelope.Data, nil
}

func digits(p []byte) (n uint64, rest []byte) {
	i := 0
	for i < len(p) && i < 19 && p[i] >= '0' && p[i] <= '9' {
		n = n*10 + uint64(p[i]-'0')
		i++
	}
	return n, p[i:]
}
