package engineio_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"supmesh.dev/gateway/engineio"
	"supmesh.dev/gateway/wsconn"
)

func TestWebSocketCarriesMessages(t *testing.T) {
	t.Parallel()
	s := start(t, engineio.Config{})
	p := s.dialSession()
	p.send("4hello")
	require.Equal(t, "4hello", p.next())
	require.NoError(t, p.Write(context.Background(), websocket.MessageBinary, []byte{1, 2, 3, 4}))
	kind, data, err := p.Read(context.Background())
	require.NoError(t, err)
	require.Equal(t, websocket.MessageBinary, kind)
	require.Equal(t, []byte{1, 2, 3, 4}, data)
	require.Equal(t, "websocket", receive(t, s.echo.opened, "the session").Transport())
}

func TestWebSocketIgnoresWhatMeansNothing(t *testing.T) {
	t.Parallel()
	p := start(t, engineio.Config{}).dialSession()
	for _, packet := range []string{"0", "5", "6", "3", "4x"} {
		p.send(packet)
	}
	require.Equal(t, "4x", p.next())
}

func TestWebSocketEnds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		packet string
		reason engineio.Reason
	}{
		"unknown type":    {"abc", engineio.ReasonParseError},
		"empty":           {"", engineio.ReasonParseError},
		"base64":          {"bAQIDBA==", engineio.ReasonParseError},
		"ping":            {"2", engineio.ReasonTransportError},
		"close":           {"1", engineio.ReasonTransportClose},
		"not UTF-8":       {"4\xff", engineio.ReasonParseError},
		"over maxPayload": {"4" + strings.Repeat("x", 2000), engineio.ReasonParseError},
	} {
		t.Run(name, func(t *testing.T) {
			s := startWith(t, engineio.Config{}, wsconn.Config{ReadLimit: 1000})
			other := s.dialSession()
			p := s.dialSession()
			p.send(c.packet)
			p.ends()
			reason := receive(t, s.echo.closed, "the end of the session")
			if name != "over maxPayload" || reason != engineio.ReasonTransportError { // how wsconn reports it is its own business
				require.Equal(t, c.reason, reason)
			}
			other.send("4x")
			require.Equal(t, "4x", other.next(), "another session does not notice")
			require.Equal(t, 1, s.engine.Len())
		})
	}
}

func TestWebSocketPeerLeaves(t *testing.T) {
	t.Parallel()
	s := start(t, engineio.Config{})
	require.NoError(t, s.dialSession().Close(websocket.StatusNormalClosure, ""))
	require.Equal(t, engineio.ReasonTransportClose, receive(t, s.echo.closed, "the end of the session"))
	require.NoError(t, s.dialSession().CloseNow())
	reason := receive(t, s.echo.closed, "the end of the session")
	require.Contains(t, []engineio.Reason{engineio.ReasonTransportClose, engineio.ReasonTransportError}, reason)
}

func TestServerCloseFlushesWebSocket(t *testing.T) {
	t.Parallel()
	s := start(t, engineio.Config{})
	p := s.dialSession()
	session := receive(t, s.echo.opened, "the session")
	for i := range 100 {
		require.NoError(t, session.Send(text(fmt.Sprint(i))))
	}
	session.Close(engineio.ReasonForcedClose)
	require.ErrorIs(t, session.Send(text("x")), engineio.ErrClosed)
	for i := range 100 {
		require.Equal(t, fmt.Sprintf("4%d", i), p.next())
	}
	require.Equal(t, websocket.StatusNormalClosure, p.ends())
	require.Equal(t, engineio.ReasonForcedClose, receive(t, s.echo.closed, "the end of the session"))
}

func TestWebSocketGroupIsAllOrNothing(t *testing.T) {
	t.Parallel()
	s := startWith(t, engineio.Config{MaxQueueBytes: 1000}, wsconn.Config{MaxQueueBytes: 1000})
	p := s.dialSession()
	session := receive(t, s.echo.opened, "the session")
	big := wsconn.Binary(make([]byte, 600))
	require.ErrorIs(t, session.Send(text("head"), big, big), engineio.ErrFull)
	require.NoError(t, session.Send(text("alone")))
	require.Equal(t, "4alone", p.next())
}

// TestFastClient has clients send their first packet in the same segment as the upgrade request, before they can have
// seen the open packet. None may be lost.
func TestFastClient(t *testing.T) {
	t.Parallel()
	s := start(t, engineio.Config{})
	const frame = "\x81\x83\x00\x00\x00\x0040{" // masked with zeros: the text "40{"
	for i := range 300 {
		conn := s.rawConn()
		_, err := fmt.Fprintf(conn, "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"+
			"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n%s", frame)
		require.NoError(t, err)
		in := bufio.NewReader(conn)
		res, err := http.ReadResponse(in, nil)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusSwitchingProtocols, res.StatusCode)
		require.True(t, strings.HasPrefix(readServerFrame(t, in), `0{"sid":`))
		require.Equal(t, "40{", readServerFrame(t, in), "client %d", i)
		require.NoError(t, conn.Close())
	}
}

// readServerFrame reads a short unmasked text frame (RFC 6455, section 5.2).
func readServerFrame(t *testing.T, in *bufio.Reader) string {
	t.Helper()
	head := make([]byte, 2)
	_, err := readFull(in, head)
	require.NoError(t, err)
	require.Equal(t, byte(0x81), head[0])
	size := int(head[1])
	if size == 126 {
		_, err = readFull(in, head)
		require.NoError(t, err)
		size = int(head[0])<<8 | int(head[1])
	}
	payload := make([]byte, size)
	_, err = readFull(in, payload)
	require.NoError(t, err)
	return string(payload)
}

func readFull(in *bufio.Reader, b []byte) (int, error) {
	for n := 0; n < len(b); {
		m, err := in.Read(b[n:])
		if n += m; err != nil {
			return n, err
		}
	}
	return len(b), nil
}

func TestStopEndsEverySession(t *testing.T) {
	t.Parallel()
	s := start(t, engineio.Config{})
	var peers []peer
	for range 20 {
		peers = append(peers, s.dialSession())
		s.openPolling()
	}
	held := s.openPolling()
	polled := held.pollBeside(context.Background())
	s.stop()
	require.Equal(t, "1", receive(t, polled, "the poll").body)
	for _, p := range peers {
		p.ends()
	}
	for range 41 {
		require.Equal(t, engineio.ReasonShutdown, receive(t, s.echo.closed, "the end of a session"))
	}
	_, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(s.url, "http://"), "/socket.io/"))
	require.Error(t, err)
}
