package socketio_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/gateway/engineio"
	"supmesh.dev/gateway/socketio"
)

func TestClientDisconnects(t *testing.T) {
	t.Parallel()
	s := start(t, socketio.Config{})
	p := s.connect()
	socket := receive(t, s.calls.sockets, "the socket")
	p.send("40/custom")
	require.Contains(t, p.next(), "40/custom,")
	s.calls.expect(t, "connect /custom", "connected /custom")
	p.send("41")
	s.calls.expect(t, "disconnected / client namespace disconnect")
	require.False(t, socket.Connected())
	require.ErrorIs(t, socket.Send(socketio.EventFrame("x", nil)), socketio.ErrNotConnected)
	p.send(`42/custom,["message",1]`)
	require.Equal(t, `42/custom,["message-back",1]`, p.next(), "the other namespace goes on")
	s.calls.expect(t, "event message1")
	p.send("40")
	require.Contains(t, p.next(), "40{")
	s.calls.expect(t, "connect /", "connected /")
	require.NoError(t, p.conn.CloseNow())
	lines := []string{receive(t, s.calls.log, "end"), receive(t, s.calls.log, "end")}
	require.Contains(t, strings.Join(lines, "\n"), "disconnected / transport")
	require.Contains(t, strings.Join(lines, "\n"), "disconnected /custom transport")
}

func TestServerDisconnectsSocket(t *testing.T) {
	t.Parallel()
	s := start(t, socketio.Config{LeaveTimeout: 50 * time.Millisecond})
	p := s.connect()
	socket := receive(t, s.calls.sockets, "the socket")
	require.NoError(t, socket.Emit("last", nil))
	socket.Disconnect(false)
	socket.Disconnect(false)
	require.Equal(t, `42["last",{}]`, p.next())
	require.Equal(t, "41", p.next())
	p.send(`42["message","crossed the disconnect"]`)
	s.calls.expect(t, "disconnected / server namespace disconnect")
	require.ErrorIs(t, socket.Emit("x", nil), socketio.ErrNotConnected)
	p.ends() // a client that does not leave is made to
	require.Empty(t, s.calls.log)
}

func TestServerDisconnectsOneNamespaceOfTwo(t *testing.T) {
	t.Parallel()
	s := start(t, socketio.Config{LeaveTimeout: 10 * time.Millisecond})
	p := s.connect()
	root := receive(t, s.calls.sockets, "the socket")
	p.send("40/custom")
	p.next()
	s.calls.expect(t, "connect /custom", "connected /custom")
	receive(t, s.calls.sockets, "the socket of /custom")
	root.Disconnect(false)
	require.Equal(t, "41", p.next())
	s.calls.expect(t, "disconnected / server namespace disconnect")
	// The time of a client that was disconnected later is over: so is this one's.
	later := s.connect()
	receive(t, s.calls.sockets, "the later socket").Disconnect(false)
	s.calls.expect(t, "disconnected / server namespace disconnect")
	later.ends()
	p.send(`42/custom,["message",1]`)
	require.Equal(t, `42/custom,["message-back",1]`, p.next())
	s.calls.expect(t, "event message1")
	p.send("40")
	require.Contains(t, p.next(), "40{", "and the client may come again")
}

func TestServerClosesTransport(t *testing.T) {
	t.Parallel()
	s := start(t, socketio.Config{})
	p := s.connect()
	socket := receive(t, s.calls.sockets, "the socket")
	require.NoError(t, socket.Emit("last", nil))
	socket.Disconnect(true)
	require.Equal(t, `42["last",{}]`, p.next())
	p.ends()
	s.calls.expect(t, "disconnected / forced close")
}

// TestDisconnectFromEvent ends the socket from within its own handler.
func TestDisconnectFromEvent(t *testing.T) {
	t.Parallel()
	for event, reason := range map[string]string{"kick": "server namespace disconnect", "drop": "forced close"} {
		s := start(t, socketio.Config{LeaveTimeout: 10 * time.Millisecond})
		p := s.connect()
		p.send(`42["` + event + `"]`)
		p.ends()
		s.calls.expect(t, "event "+event, "disconnected / "+reason)
	}
}

func TestPollingClientGetsItsDisconnect(t *testing.T) {
	t.Parallel()
	s := start(t, socketio.Config{LeaveTimeout: time.Millisecond})
	p := s.openPolling()
	p.post("40")
	require.Contains(t, p.get(), "40{")
	p.post(`42["kick"]`)
	require.Equal(t, "41", strings.TrimSuffix(p.get(), "\x1e1"))
}

func TestEmitWithAck(t *testing.T) {
	t.Parallel()
	s := start(t, socketio.Config{MaxPendingAcks: 2})
	p := s.connect()
	socket := receive(t, s.calls.sockets, "the socket")

	id, err := socket.EmitWithAck("question", []byte(`{"n":1}`), time.Minute)
	require.NoError(t, err)
	require.Equal(t, int64(0), id)
	require.Equal(t, `420["question",{"n":1}]`, p.next())
	p.send(`430["yes",2]`)
	s.calls.expect(t, `ack "yes",2`)
	p.send(`430["again"]`)

	_, err = socket.EmitWithAck("question", nil, 20*time.Millisecond)
	require.NoError(t, err)
	_, err = socket.EmitWithAck("question", nil, time.Minute)
	require.NoError(t, err)
	_, err = socket.EmitWithAck("question", nil, time.Minute)
	require.ErrorIs(t, err, socketio.ErrTooManyAcks)
	s.calls.expect(t, "ack error "+socketio.ErrAckTimeout.Error())
	require.NoError(t, p.conn.CloseNow())
	s.calls.expect(t, "ack error "+socketio.ErrNotConnected.Error())
	require.Contains(t, receive(t, s.calls.log, "the end"), "disconnected / transport")
	_, err = socket.EmitWithAck("question", nil, time.Minute)
	require.ErrorIs(t, err, socketio.ErrNotConnected)
}

func TestEmitWithAckDoesNotCountWhatCannotBeSent(t *testing.T) {
	t.Parallel()
	s := start(t, socketio.Config{MaxPendingAcks: 1})
	p := s.openPolling()
	p.post("40")
	socket := receive(t, s.calls.sockets, "the socket")
	for range 10 {
		_, err := socket.EmitWithAck("big", []byte(`"`+strings.Repeat("x", 2<<20)+`"`), time.Minute)
		require.ErrorIs(t, err, engineio.ErrFull)
	}
}
