package socketio_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"supmesh.dev/gateway/socketio"
)

// A packet whose attachments do not come ends its session, however many have come before.
func TestAttachmentsThatNeverCome(t *testing.T) {
	t.Parallel()
	s := start(t, socketio.Config{AttachmentTimeout: 100 * time.Millisecond})
	for _, come := range []int{0, 1, 2} {
		p := s.connect()
		p.send(`453-["message"]`)
		for range come {
			p.write(websocket.MessageBinary, "x")
		}
		p.ends()
		s.calls.expect(t, "disconnected / parse error")
	}
	p := s.connect()
	p.send(`451-["message",{"_placeholder":true,"num":0}]`)
	p.write(websocket.MessageBinary, "x")
	p.next() // the echo
	p.next()
	s.calls.expect(t, `event message{"_placeholder":true,"num":0}`)
	second := s.connect()
	second.send(`451-["message"]`)
	second.ends()
	s.calls.expect(t, "disconnected / parse error")
	p.send(`420["message-with-ack",1]`)
	require.Equal(t, "430[1]", p.next(), "the time for a packet that is complete does not run on")
}

// dropping writes down how many attachments an event has, and acks it.
type dropping struct{ *calls }

func (d dropping) Event(s *socketio.Socket, e socketio.Event) {
	d.log <- "event " + e.Name + " " + strconv.Itoa(e.Dropped) + " " + strconv.Itoa(len(e.Attachments))
	if e.AckID != socketio.NoAck {
		_ = s.SendAck(e.AckID, nil)
	}
}

// A server that takes no binary keeps none: the event comes before its attachments, which are dropped, whatever their size.
func TestDroppedAttachments(t *testing.T) {
	t.Parallel()
	s := startWith(t, socketio.Config{DropAttachments: true, MaxAttachmentBytes: 10}, func(c *calls) socketio.Handler { return dropping{c} })
	p := s.connect()
	p.send(`452-7["x",{"_placeholder":true,"num":0}]`)
	require.Equal(t, "437[]", p.next())
	s.calls.expect(t, "event x 2 0")
	for range 2 {
		p.write(websocket.MessageBinary, strings.Repeat("x", 500_000))
	}
	p.send(`428["y"]`)
	require.Equal(t, "438[]", p.next())
	s.calls.expect(t, "event y 0 0")
	p.send(`450-9["z"]`)
	require.Equal(t, "439[]", p.next())
	s.calls.expect(t, "event z 0 0")
	p.send(`461-0["an ack that nobody asked for"]`)
	p.write(websocket.MessageBinary, "x")
	p.send(`4210["y"]`)
	require.Equal(t, "4310[]", p.next())
	s.calls.expect(t, "event y 0 0")

	for name, packets := range map[string][]string{
		"too many":            {`4511-["x"]`},
		"text in between":     {`451-["x"]`, `42["y"]`},
		"one more than said":  {`451-["x"]`, "binary", "binary"},
		"of no namespace":     {`451-/custom,["x"]`},
		"of an unknown event": {`451-[1]`},
	} {
		p := s.connect()
		for _, packet := range packets {
			if packet == "binary" {
				p.write(websocket.MessageBinary, packet)
			} else {
				p.send(packet)
			}
		}
		p.ends()
		line := receive(t, s.calls.log, name)
		if strings.HasPrefix(line, "event ") {
			line = receive(t, s.calls.log, name)
		}
		require.Equal(t, "disconnected / parse error", line, name)
	}
}

// Who has left a namespace and joins it again is served by the new socket alone, over and over; who has not is not served.
func TestNamespaceIsLeftForGood(t *testing.T) {
	t.Parallel()
	s := start(t, socketio.Config{})
	p := s.connect()
	first := receive(t, s.calls.sockets, "the socket")
	ids := map[string]bool{first.ID(): true}
	old := []*socketio.Socket{first}
	for round := range 50 {
		if round%2 == 0 {
			p.send("41")
			s.calls.expect(t, "disconnected / client namespace disconnect")
		} else {
			old[len(old)-1].Disconnect(false)
			require.Equal(t, "41", p.next())
			s.calls.expect(t, "disconnected / server namespace disconnect")
		}
		p.send("40")
		require.Contains(t, p.next(), "40{")
		s.calls.expect(t, "connect /", "connected /")
		socket := receive(t, s.calls.sockets, "the new socket")
		require.False(t, ids[socket.ID()])
		for _, gone := range old {
			require.ErrorIs(t, gone.Send(socketio.EventFrame("x", nil)), socketio.ErrNotConnected)
		}
		ids[socket.ID()] = true
		old = append(old, socket)
		p.send(`42["message",1]`)
		require.Equal(t, `42["message-back",1]`, p.next())
		s.calls.expect(t, "event message1")
	}
	p.send("40/custom")
	require.Contains(t, p.next(), "40/custom,")
	s.calls.expect(t, "connect /custom", "connected /custom")
	p.send("41")
	s.calls.expect(t, "disconnected / client namespace disconnect")
	p.send(`42["message",1]`)
	p.ends()
	s.calls.expect(t, "disconnected /custom parse error")
	require.Empty(t, s.calls.log, "a socket that has left is not reported again")
}
