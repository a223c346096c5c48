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
	kindEvent          // any other event
	kindAck            // answer to a request sent here
	kindHeartbeat      // Engine.IO ping, to be answered
	kindRefused        // the server ends or refuses the connection
)

// packet is a classified frame. event and body alias the frame: the name of an
// event that is not message:new, and the payload and what follows it, or the
// ack's first argument and what follows it.
type packet struct {
	kind  kind
	ackID uint64
	event []byte
	body  []byte
}

// wire is one client profile, as far as a load client needs it.
type wire interface {
	// upgrade is the HTTP request that opens the websocket. pid is that of the
	// session which the connection returns to, "" for a new one.
	upgrade(host, token, pid string) []byte
	// hello is the client's first frame; nil where the server speaks first.
	hello(token, pid string) []byte
	// greeting answers the handshake frames before the connection is ready; nil where nothing is to be said.
	greeting(payload []byte, token, pid string) []byte
	classify(payload []byte) packet
	// request appends the text of an event that wants an ack.
	request(dst []byte, event string, ackID uint64, payload []byte) []byte
	// payload strips a classified event down to the JSON of its payload.
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
	sioEvent     = []byte(`42["`)
	sioMessage   = []byte(`42["message:new",`)
	sioConnected = []byte(`42["connected",`)
	sioData      = []byte(`,`)
)

func (socketIO) upgrade(host, _, _ string) []byte {
	return upgradeRequest("/socket.io/?EIO=4&transport=websocket", host, "")
}

func (socketIO) hello(string, string) []byte { return nil }

func (socketIO) greeting(payload []byte, token, pid string) []byte {
	if len(payload) == 0 || payload[0] != '0' {
		return nil
	}
	if pid != "" {
		return []byte(`40{"token":"` + token + `","pid":"` + pid + `"}`)
	}
	return []byte(`40{"token":"` + token + `"}`)
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
			return packet{kind: kindReady, body: p[len(sioConnected):]}
		}
		return named(p, sioEvent, sioData)
	case '3':
		if id, rest := digits(p[2:]); len(rest) > 1 && rest[0] == '[' {
			return packet{kind: kindAck, ackID: id, body: rest[1:]}
		}
	case '1', '4':
		return packet{kind: kindRefused, body: p}
	}
	return packet{}
}

func (socketIO) request(dst []byte, event string, ackID uint64, payload []byte) []byte {
	dst = strconv.AppendUint(append(dst, "42"...), ackID, 10)
	dst = append(append(append(dst, `["`...), event...), `",`...)
	return append(append(dst, payload...), ']')
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
	wsEvent     = []byte(`{"event":"`)
	wsMessage   = []byte(`{"event":"message:new","data":`)
	wsConnected = []byte(`{"event":"connected","data":`)
	wsError     = []byte(`{"event":"error",`)
	wsAck       = []byte(`{"ack":`)
	wsData      = []byte(`,"data":`)
)

func (plain) upgrade(host, token, pid string) []byte {
	if pid != "" {
		return upgradeRequest("/ws", host, "") // hello says the rest
	}
	return upgradeRequest("/ws", host, "Authorization: Bearer "+token+"\r\n")
}

func (plain) hello(token, pid string) []byte {
	if pid == "" {
		return nil
	}
	return []byte(`{"event":"auth","data":{"token":"` + token + `","pid":"` + pid + `"}}`)
}

func (plain) greeting([]byte, string, string) []byte { return nil }

func (plain) classify(p []byte) packet {
	switch {
	case bytes.HasPrefix(p, wsMessage):
		return packet{kind: kindMessage, body: p[len(wsMessage):]}
	case bytes.HasPrefix(p, wsAck):
		if id, rest := digits(p[len(wsAck):]); bytes.HasPrefix(rest, wsData) {
			return packet{kind: kindAck, ackID: id, body: rest[len(wsData):]}
		}
	case bytes.HasPrefix(p, wsConnected):
		return packet{kind: kindReady, body: p[len(wsConnected):]}
	case bytes.HasPrefix(p, wsError):
		return packet{kind: kindRefused, body: p}
	}
	return named(p, wsEvent, wsData)
}

func (plain) request(dst []byte, event string, ackID uint64, payload []byte) []byte {
	dst = append(append(append(dst, `{"event":"`...), event...), `","data":`...)
	dst = append(dst, payload...)
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

// named is an event: its name stands between head and a quote, its payload
// behind data. Anything else is a packet of no kind.
func named(p, head, data []byte) packet {
	name, ok := bytes.CutPrefix(p, head)
	if !ok {
		return packet{}
	}
	name, body, _ := bytes.Cut(name, []byte(`"`))
	body, ok = bytes.CutPrefix(body, data)
	if !ok || len(name) == 0 {
		return packet{}
	}
	return packet{kind: kindEvent, event: name, body: body}
}

func digits(p []byte) (n uint64, rest []byte) {
	i := 0
	for i < len(p) && i < 19 && p[i] >= '0' && p[i] <= '9' {
		n = n*10 + uint64(p[i]-'0')
		i++
	}
	return n, p[i:]
}
