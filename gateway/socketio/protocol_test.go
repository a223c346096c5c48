package socketio_test

import (
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"supmesh.dev/gateway/socketio"
)

// The cases of the published test suite of protocol v5 that are about Socket.IO, and more of their kind.

func TestConnect(t *testing.T) {
	t.Parallel()
	for send, want := range map[string]struct{ answer, call string }{
		`40`:                        {`^40\{"sid":"[\w-]{20}"\}$`, `connect /`},
		`40{"token":"123"}`:         {`^40\{"sid":"[\w-]{20}"\}$`, `connect /{"token":"123"}`},
		`40/custom`:                 {`^40/custom,\{"sid":"[\w-]{20}"\}$`, `connect /custom`},
		`40/custom,`:                {`^40/custom,\{"sid":"[\w-]{20}"\}$`, `connect /custom`},
		`40/custom,{"token":"abc"}`: {`^40/custom,\{"sid":"[\w-]{20}"\}$`, `connect /custom{"token":"abc"}`},
		`40/random`:                 {`^44/random,\{"message":"Invalid namespace"\}$`, ``},
		`40{"refuse":true}`:         {`^44\{"message":"refused","data":\{"code":"ASKED_FOR"\}\}$`, `connect /{"refuse":true}`},
		`40/custom,{"refuse":true}`: {`^44/custom,\{"message":"refused",`, `connect /custom{"refuse":true}`},
	} {
		t.Run(send, func(t *testing.T) {
			s := start(t, socketio.Config{})
			p := s.dial()
			p.send(send)
			require.Regexp(t, want.answer, p.next())
			if want.call != "" {
				s.calls.expect(t, want.call)
			}
		})
	}
}

func TestConnectAnswersWithReply(t *testing.T) {
	t.Parallel()
	s := start(t, socketio.Config{})
	s.calls.connect = func(*socketio.Socket, []byte) ([]byte, error) { return []byte(`{"sid":"a","pid":"b"}`), nil }
	p := s.dial()
	p.send("40")
	require.Equal(t, `40{"sid":"a","pid":"b"}`, p.next())
}

func TestConnectMayCloseTransport(t *testing.T) {
	t.Parallel()
	s := start(t, socketio.Config{})
	p := s.dial()
	p.send(`40{"close":true}`)
	p.ends()
	s.calls.expect(t, `connect /{"close":true}`)
	require.Empty(t, s.calls.log, "no socket, nothing to disconnect")
}

func TestNoEventOvertakesConnect(t *testing.T) {
	t.Parallel()
	s := start(t, socketio.Config{})
	entered, leave := make(chan struct{}), make(chan struct{})
	s.calls.connect = func(*socketio.Socket, []byte) ([]byte, error) {
		close(entered)
		<-leave
		return nil, nil
	}
	p := s.dial()
	p.send("40")
	p.send(`420["message-with-ack",1]`)
	receive(t, entered, "Connect")
	s.calls.expect(t, "connect /")
	require.Empty(t, s.calls.log)
	close(leave)
	s.calls.expect(t, "connected /", "event message-with-ack1")
	require.Contains(t, p.next(), `40{"sid"`)
	require.Equal(t, "430[1]", p.next())
}

func TestConnectTimeout(t *testing.T) {
	t.Parallel()
	s := start(t, socketio.Config{ConnectTimeout: 50 * time.Millisecond})
	s.dial().ends()
	refused := s.dial()
	refused.send("40/random")
	refused.ends()
	left := s.connect()
	left.send("41")
	s.calls.expect(t, "disconnected / client namespace disconnect")
	left.ends()
	require.Empty(t, s.calls.log)
}

func TestConnectsAreBounded(t *testing.T) {
	t.Parallel()
	s := start(t, socketio.Config{MaxConnects: 2})
	p := s.dial()
	for range 2 {
		p.send("40/random")
		require.Contains(t, p.next(), "Invalid namespace")
	}
	p.send("40/random")
	p.ends()
}

// TestViolations sends what must close the transport, of its own session only.
func TestViolations(t *testing.T) {
	t.Parallel()
	s := start(t, socketio.Config{})
	bystander := s.connect()
	for name, packets := range map[string][]string{
		"unknown type":                 {"4abc"},
		"type out of range":            {"47"},
		"empty":                        {"4"},
		"connect twice":                {"40"},
		"connect with an ack id":       {"40/custom,1"},
		"connect with an array":        {"40/custom,[]"},
		"connect with a string":        {`40/custom,"x"`},
		"connect with broken JSON":     {`40/custom,{"a":`},
		"connect error":                {`44{"message":"x"}`},
		"disconnect with payload":      {"41{}"},
		"disconnect where not":         {"41/custom,"},
		"event where not":              {`42/custom,["x"]`},
		"event in unknown namespace":   {`42/random,["x"]`},
		"event without payload":        {"42"},
		"event of an object":           {"42{}"},
		"event of nothing":             {"42[]"},
		"event of a number":            {"42[1]"},
		"event of null":                {"42[null]"},
		"broken JSON":                  {`42["x",{"a":}]`},
		"invalid ack id":               {`42abc["x"]`},
		"ack id out of range":          {`429007199254740992["x"]`},
		"connect":                      {`42["connect"]`},
		"connect_error":                {`42["connect_error"]`},
		"disconnect":                   {`42["disconnect"]`},
		"disconnecting":                {`42["disconnecting"]`},
		"newListener":                  {`42["newListener"]`},
		"removeListener":               {`42["removeListener"]`},
		"ack without id":               {"43[]"},
		"ack of an object":             {"431{}"},
		"eleven attachments":           {`4511-["x"]`},
		"attachments missing":          {`451-["x"]`, `42["x"]`},
		"attachments not announced":    {"binary"},
		"attachments without a socket": {`451-/custom,["x"]`},
		"illegal attachments":          {`451["x"]`},
	} {
		t.Run(name, func(t *testing.T) {
			p := s.connect()
			for _, packet := range packets {
				if packet == "binary" {
					p.write(websocket.MessageBinary, packet)
				} else {
					p.send(packet)
				}
			}
			p.ends()
			s.calls.expect(t, "disconnected / parse error")
		})
	}
	t.Run("event before connect", func(t *testing.T) {
		p := s.dial()
		p.send(`42["x"]`)
		p.ends()
	})
	bystander.send(`420["message-with-ack",1]`)
	require.Equal(t, "430[1]", bystander.next())
}

func TestAttachmentBytesAreBounded(t *testing.T) {
	t.Parallel()
	s := start(t, socketio.Config{MaxAttachmentBytes: 100})
	p := s.connect()
	p.send(`452-["message"]`)
	p.write(websocket.MessageBinary, strings.Repeat("x", 60))
	p.write(websocket.MessageBinary, strings.Repeat("x", 60))
	p.ends()
}

func TestMessages(t *testing.T) {
	t.Parallel()
	s := start(t, socketio.Config{})
	p := s.connect()
	for send, want := range map[string]string{
		`42["message",1,"2",{"3":[true]}]`:              `42["message-back",1,"2",{"3":[true]}]`,
		`42["message"]`:                                 `42["message-back",{}]`,
		`42["message",null]`:                            `42["message-back",null]`,
		`42456["message-with-ack",1,"2",{"3":[false]}]`: `43456[1,"2",{"3":[false]}]`,
		`420["message-with-ack"]`:                       `430[]`,
		`450-["message",1]`:                             `42["message-back",1]`,
		`424294967296["message-with-ack",1]`:            `434294967296[1]`,
		`429007199254740991["message-with-ack",1]`:      `439007199254740991[1]`,
	} {
		p.send(send)
		require.Equal(t, want, p.next())
	}
	p.send(`431["an ack that nobody asked for"]`)
	p.send(`42["message",1]`)
	require.Equal(t, `42["message-back",1]`, p.next())
}

func TestAttachments(t *testing.T) {
	t.Parallel()
	s := start(t, socketio.Config{})
	p := s.connect()
	const holders = `{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}`
	for send, want := range map[string]string{
		`452-["message",` + holders + `]`:             `452-["message-back",` + holders + `]`,
		`452-789["message-with-ack",` + holders + `]`: `462-789[` + holders + `]`,
	} {
		p.send(send)
		p.write(websocket.MessageBinary, "\x01\x02\x03")
		p.write(websocket.MessageBinary, "\x04\x05\x06")
		require.Equal(t, want, p.next())
		require.Equal(t, "\x01\x02\x03", p.next())
		require.Equal(t, "\x04\x05\x06", p.next())
	}
}

func TestPollingCarriesSocketIO(t *testing.T) {
	t.Parallel()
	s := start(t, socketio.Config{})
	p := s.openPolling()
	require.Equal(t, "ok", p.post(`40`+"\x1e"+`451-1["message-with-ack",{"_placeholder":true,"num":0}]`+"\x1ebAQID"))
	got := p.get()
	require.Regexp(t, `^40\{"sid":"[\w-]{20}"\}`+"\x1e"+`461-1\[\{"_placeholder":true,"num":0\}\]`+"\x1ebAQID$", got)
	require.JSONEq(t, `{"code":1,"message":"Session ID unknown"}`, func() string {
		require.Equal(t, "ok", p.post(`42["connect"]`))
		require.Equal(t, "1", p.get())
		return p.get()
	}())
}
