package engineio_test

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"supmesh.dev/gateway/engineio"
	"supmesh.dev/gateway/wsconn"
)

func TestPollingCarriesMessages(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ posted, polled string }{
		"one packet":       {"4hello", "4hello"},
		"several packets":  {"4test1\x1e4test2\x1e4test3", "4test1\x1e4test2\x1e4test3"},
		"text and binary":  {"4hello\x1ebAQIDBA==", "4hello\x1ebAQIDBA=="},
		"empty message":    {"4", "4"},
		"empty binary":     {"b", "b"},
		"characters":       {"4h€llo 👋", "4h€llo 👋"},
		"ignored and noop": {"6\x1e5\x1e0\x1e4x", "4x"},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, engineio.Config{}).openPolling()
			posted := s.post(c.posted)
			require.Equal(t, http.StatusOK, posted.status)
			require.Equal(t, "ok", posted.body)
			require.Equal(t, "text/html", posted.header.Get("Content-Type"))
			polled := s.poll()
			require.Equal(t, http.StatusOK, polled.status)
			require.Equal(t, c.polled, polled.body)
		})
	}
}

func TestHeldPollIsAnsweredAtOnce(t *testing.T) {
	t.Parallel()
	s := start(t, engineio.Config{}).openPolling()
	polled := s.pollBeside(context.Background())
	s.post("4hello")
	require.Equal(t, "4hello", receive(t, polled, "the poll").body)
}

func TestMalformedPayloadEndsSession(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"unknown type":        "abc",
		"empty":               "",
		"empty packet":        "4a\x1e",
		"not base64":          "b!!!!",
		"not UTF-8":           "4\xff\xfe",
		"type out of range":   "7",
		"bad one behind good": "4a\x1ex",
	} {
		t.Run(name, func(t *testing.T) {
			server := start(t, engineio.Config{})
			s, other := server.openPolling(), server.openPolling()
			r := s.post(body)
			require.Equal(t, http.StatusBadRequest, r.status)
			require.JSONEq(t, `{"code":3,"message":"Bad request"}`, r.body)
			require.Equal(t, http.StatusBadRequest, s.poll().status)
			require.Equal(t, engineio.ReasonParseError, receive(t, s.echo.closed, "the end of the session"))
			require.Equal(t, "ok", other.post("4x").body, "another session does not notice")
		})
	}
}

func TestBinaryBodyEndsSession(t *testing.T) {
	t.Parallel()
	s := start(t, engineio.Config{}).openPolling()
	r := s.do(http.MethodPost, s.query, "4x", "Content-Type", "application/octet-stream")
	require.Equal(t, http.StatusBadRequest, r.status)
	require.Equal(t, engineio.ReasonParseError, receive(t, s.echo.closed, "the end of the session"))
}

func TestClientPingEndsSession(t *testing.T) {
	t.Parallel()
	s := start(t, engineio.Config{}).openPolling()
	s.post("2")
	require.Equal(t, engineio.ReasonTransportError, receive(t, s.echo.closed, "the end of the session"))
}

func TestSecondPollEndsSession(t *testing.T) {
	t.Parallel()
	s := start(t, engineio.Config{}).openPolling()
	first := s.pollBeside(context.Background())
	require.Equal(t, http.StatusBadRequest, s.poll().status)
	require.Equal(t, reply{http.StatusOK, nil, "1"}, withoutHeader(receive(t, first, "the first poll")))
	require.JSONEq(t, `{"code":1,"message":"Session ID unknown"}`, s.poll().body)
	require.Equal(t, engineio.ReasonTransportError, receive(t, s.echo.closed, "the end of the session"))
}

func withoutHeader(r reply) reply { r.header = nil; return r }

func TestSecondPostEndsSession(t *testing.T) {
	t.Parallel()
	s := start(t, engineio.Config{}).openPolling()
	entered, leave := make(chan string, 2), make(chan struct{})
	s.echo.onMessage = func(_ *engineio.Session, _ bool, data []byte) { entered <- string(data); <-leave }
	first := make(chan reply, 1)
	go func() {
		r, _ := s.request(context.Background(), http.MethodPost, s.query, "4x\x1e4came before")
		first <- r
	}()
	receive(t, entered, "the first POST")
	require.Equal(t, http.StatusBadRequest, s.post("4y").status)
	require.Empty(t, s.echo.closed, "not while a message is being handled")
	close(leave)
	require.Equal(t, engineio.ReasonTransportError, receive(t, s.echo.closed, "the end of the session"))
	receive(t, first, "the first POST's answer")
	require.Equal(t, "came before", receive(t, entered, "what the first POST had brought"))
}

// TestPostOutlivesItsSession: what a POST brings is delivered up to its end, or to a CLOSE
// packet in it, although the client cancels its poll meanwhile. Closed comes after it.
func TestPostOutlivesItsSession(t *testing.T) {
	t.Parallel()
	for body, want := range map[string][]string{
		"4a\x1e4b\x1e4c":      {"a", "b", "c"},
		"4a\x1e4b\x1e1\x1e4c": {"a", "b"},
		"4a\x1e4b\x1e9\x1e4c": {"a", "b"},
	} {
		s := start(t, engineio.Config{}).openPolling()
		ctx, cancel := context.WithCancel(context.Background())
		polled := s.pollBeside(ctx)
		var got []string
		s.echo.onMessage = func(_ *engineio.Session, _ bool, data []byte) {
			if got = append(got, string(data)); len(got) == 1 {
				cancel()
				assert.Eventually(t, func() bool { return s.engine.Len() == 0 }, 2*patience, time.Millisecond, "the session ends")
			}
			assert.Empty(t, s.echo.closed, "not while a message is being handled")
		}
		s.post(body)
		require.Equal(t, engineio.ReasonTransportError, receive(t, s.echo.closed, "the end of the session"))
		require.Equal(t, want, got)
		receive(t, polled, "the poll")
	}
}

func TestCancelledPollEndsSession(t *testing.T) {
	t.Parallel()
	s := start(t, engineio.Config{}).openPolling()
	ctx, cancel := context.WithCancel(context.Background())
	polled := s.pollBeside(ctx)
	cancel()
	receive(t, polled, "the poll")
	require.Equal(t, engineio.ReasonTransportError, receive(t, s.echo.closed, "the end of the session"))
	require.Equal(t, http.StatusBadRequest, s.poll().status)
}

func TestBodyTooLarge(t *testing.T) {
	t.Parallel()
	s := start(t, engineio.Config{MaxPayload: 1000})
	for name, header := range map[string]string{
		"announced": "Content-Length: 1001\r\n\r\n" + strings.Repeat("4", 1001),
		"chunked":   "Transfer-Encoding: chunked\r\n\r\n3e9\r\n" + strings.Repeat("4", 1001) + "\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			session := s.openPolling()
			conn := s.rawConn()
			_, err := io.WriteString(conn, "POST /socket.io/?"+session.query+" HTTP/1.1\r\nHost: x\r\n"+header)
			require.NoError(t, err)
			line := make([]byte, len("HTTP/1.1 413"))
			_, err = io.ReadFull(conn, line)
			require.NoError(t, err)
			require.Equal(t, "HTTP/1.1 413", string(line))
			require.Equal(t, engineio.ReasonParseError, receive(t, s.echo.closed, "the end of the session"))
		})
	}
	session := s.openPolling()
	require.Equal(t, "ok", session.post("4"+strings.Repeat("x", 999)).body, "the limit itself is allowed")
}

func TestBodyThatStopsEndsSession(t *testing.T) {
	t.Parallel()
	t.Run("connection lost", func(t *testing.T) {
		s := start(t, engineio.Config{}).openPolling()
		conn := s.rawConn()
		_, err := io.WriteString(conn, "POST /socket.io/?"+s.query+" HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n4a")
		require.NoError(t, err)
		s.eventually("the body is being read", func() bool { return engineio.PostPending(s.engine, s.sid) })
		require.NoError(t, conn.Close())
		require.Equal(t, engineio.ReasonTransportError, receive(t, s.echo.closed, "the end of the session"))
	})
}

func TestClientClosesOverPolling(t *testing.T) {
	t.Parallel()
	s := start(t, engineio.Config{}).openPolling()
	polled := s.pollBeside(context.Background())
	require.Equal(t, "ok", s.post("1\x1e4not delivered").body)
	require.Equal(t, "6", receive(t, polled, "the poll").body)
	require.Equal(t, http.StatusBadRequest, s.poll().status)
	require.Equal(t, engineio.ReasonTransportClose, receive(t, s.echo.closed, "the end of the session"))
}

func TestServerClosesOverPolling(t *testing.T) {
	t.Parallel()
	s := start(t, engineio.Config{})
	t.Run("poll held", func(t *testing.T) {
		c := s.openPolling()
		session := receive(t, s.echo.opened, "the session")
		polled := c.pollBeside(context.Background())
		session.Close(engineio.ReasonForcedClose)
		session.Close(engineio.ReasonShutdown) // only the first counts
		require.Equal(t, "1", receive(t, polled, "the poll").body)
		require.Equal(t, engineio.ReasonForcedClose, receive(t, s.echo.closed, "the end of the session"))
		require.Equal(t, http.StatusBadRequest, c.poll().status)
	})
	t.Run("what is queued comes first", func(t *testing.T) {
		c := s.openPolling()
		session := receive(t, s.echo.opened, "the session")
		require.NoError(t, session.Send(text("last words")))
		session.Close(engineio.ReasonForcedClose)
		require.ErrorIs(t, session.Send(text("too late")), engineio.ErrClosed)
		require.Equal(t, engineio.ReasonForcedClose, receive(t, s.echo.closed, "the end of the session"))
		require.Equal(t, "ok", c.post("4ignored").body, "the client does not know yet")
		require.Equal(t, "4last words\x1e1", c.poll().body)
		require.Equal(t, http.StatusBadRequest, c.poll().status)
	})
	require.Zero(t, s.engine.Len())
}

func TestClosedSessionDoesNotLingerForever(t *testing.T) {
	t.Parallel()
	s := start(t, engineio.Config{LingerTimeout: 20 * time.Millisecond})
	s.openPolling()
	receive(t, s.echo.opened, "the session").Close(engineio.ReasonForcedClose)
	receive(t, s.echo.closed, "the end of the session")
	s.eventually("the session is forgotten", func() bool { return s.engine.Len() == 0 })
}

func TestPollingQueueIsBounded(t *testing.T) {
	t.Parallel()
	s := start(t, engineio.Config{MaxQueueBytes: 1000})
	c := s.openPolling()
	session := receive(t, s.echo.opened, "the session")
	message := strings.Repeat("x", 300)
	require.NoError(t, session.Send(text(message), text(message)))
	require.ErrorIs(t, session.Send(text(message), text(message)), engineio.ErrFull)
	require.NoError(t, session.Send(text(message)), "a group is taken whole or not at all")
	require.Equal(t, 3*(301+10), session.QueuedBytes())
	require.Equal(t, 3, strings.Count(c.poll().body, message))
	require.Zero(t, session.QueuedBytes())
	require.NoError(t, session.Send(text(strings.Repeat("x", 5000))), "one frame fits into an empty queue")
}

// stamps writes the position as a fixed-width decimal.
type stamps struct{ user string }

func (s stamps) Stamp(dst []byte, position uint64) {
	n := copy(dst, s.user)
	digits := strconv.FormatUint(position, 10)
	for i := n; i < len(dst); i++ {
		dst[i] = '0'
	}
	copy(dst[len(dst)-len(digits):], digits)
}

func TestStampedFrames(t *testing.T) {
	t.Parallel()
	slot := strings.Repeat("-", wsconn.StampWidth)
	frame := wsconn.Stamped([]byte(`42["e",{},"`+slot+`"]`), len(`42["e",{},"`), 42)
	s := start(t, engineio.Config{})
	c := s.openPolling()
	session := receive(t, s.echo.opened, "the session")
	session.SetStamper(stamps{"ann"})
	require.NoError(t, session.Send(frame, frame))
	want := `42["e",{},"ann0000000000000000042"]`
	require.Equal(t, want+"\x1e"+want, c.poll().body)

	require.NoError(t, session.Send(frame), "queued before the upgrade, stamped after it")
	p := s.dial(strings.Replace(c.query, "polling", "websocket", 1))
	p.send("2probe")
	require.Equal(t, "3probe", p.next())
	require.Equal(t, want, c.poll().body)
	require.NoError(t, session.Send(frame))
	p.send("5")
	require.Equal(t, want, p.next())
	require.NoError(t, session.Send(frame))
	require.Equal(t, want, p.next())

	other := s.dialSession()
	session = receive(t, s.echo.opened, "the session")
	session.SetStamper(stamps{"bob"})
	require.NoError(t, session.Send(frame))
	require.Equal(t, `42["e",{},"bob0000000000000000042"]`, other.next())
}
