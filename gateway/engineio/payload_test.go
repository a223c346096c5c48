package engineio_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"supmesh.dev/gateway/engineio"
)

// A stock client posts all it has buffered at once. What fits into MaxPayload is taken, and the answers come in order, although they
// are more than may be queued: the client fetches them meanwhile.
func TestLongPayloadIsAnswered(t *testing.T) {
	t.Parallel()
	const messages = 20_000
	s := start(t, engineio.Config{MaxQueueBytes: 64 << 10})
	c := s.openPolling()
	refused := make(chan error, messages)
	s.echo.onMessage = func(session *engineio.Session, _ bool, data []byte) {
		if err := session.Send(text(string(data) + strings.Repeat(".", 100))); err != nil {
			refused <- err
		}
	}
	packets := make([]string, messages)
	for i := range packets {
		packets[i] = fmt.Sprintf("4%d", i)
	}
	posted := make(chan reply, 1)
	go func() {
		r, err := s.request(context.Background(), http.MethodPost, c.query, strings.Join(packets, "\x1e"))
		if err != nil {
			r.body = err.Error()
		}
		posted <- r
	}()
	for next := 0; next < messages; {
		r := c.poll()
		require.Equal(t, http.StatusOK, r.status, "after %d answers", next)
		for one := range strings.SplitSeq(r.body, "\x1e") {
			require.Equal(t, fmt.Sprintf("4%d", next), strings.TrimRight(one, "."))
			next++
		}
	}
	require.Equal(t, "ok", receive(t, posted, "the answer to the POST").body)
	require.Empty(t, refused)
}

// A client that posts and never fetches the answers is not waited for longer than LingerTimeout.
func TestLongPayloadOfAClientThatFetchesNothing(t *testing.T) {
	t.Parallel()
	s := start(t, engineio.Config{MaxQueueBytes: 1000, LingerTimeout: 20 * time.Millisecond})
	c := s.openPolling()
	require.Equal(t, "ok", c.post(strings.TrimSuffix(strings.Repeat("4"+strings.Repeat("x", 100)+"\x1e", 1000), "\x1e")).body)
	require.Positive(t, receive(t, s.echo.opened, "the session").QueuedBytes())
}

// The answer to a probe stops the client's polls, so it waits for the end of the POST whose answers they fetch.
func TestProbeWaitsForThePost(t *testing.T) {
	t.Parallel()
	s := start(t, engineio.Config{}).openPolling()
	entered, leave := make(chan struct{}), make(chan struct{})
	s.echo.onMessage = func(session *engineio.Session, _ bool, data []byte) {
		if string(data) == "first" {
			close(entered)
			<-leave
		}
		_ = session.Send(text(string(data)))
	}
	posted := make(chan reply, 1)
	go func() {
		r, _ := s.request(context.Background(), http.MethodPost, s.query, "4first\x1e4second")
		posted <- r
	}()
	receive(t, entered, "the POST")
	p := s.candidate()
	p.send("2probe")
	s.eventually("the probe has come", func() bool { asked, _ := engineio.ProbeState(s.engine, s.sid); return asked })
	_, answered := engineio.ProbeState(s.engine, s.sid)
	require.False(t, answered)
	close(leave)
	require.Equal(t, "3probe", p.next())
	require.Equal(t, "ok", receive(t, posted, "the answer to the POST").body)
	require.Equal(t, "4first\x1e4second", s.poll().body)
	p.send("5")
	p.send("4third")
	require.Equal(t, "4third", p.next())
}

// The pong of a client that is sending something long can only come behind it, so its time begins again.
func TestPongMayComeBehindALongMessage(t *testing.T) {
	t.Parallel()
	cfg := engineio.Config{PingInterval: 20 * time.Millisecond, PingTimeout: 100 * time.Millisecond}
	renewed := func(s *server, sid string) {
		s.eventually("the ping is out", func() bool { return engineio.PongDue(s.engine, sid) > 0 })
		first := engineio.PongDue(s.engine, sid)
		s.eventually("the time for the pong has begun again, twice", func() bool {
			return engineio.PongDue(s.engine, sid) > first+2*cfg.PingTimeout
		})
		require.Empty(t, s.echo.closed)
	}
	t.Run("polling", func(t *testing.T) {
		t.Parallel()
		s := start(t, cfg).openPolling()
		conn := s.rawConn()
		_, err := io.WriteString(conn, "POST /socket.io/?"+s.query+" HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n4hel")
		require.NoError(t, err)
		s.eventually("the body is being read", func() bool { return engineio.PostPending(s.engine, s.sid) })
		renewed(s.server, s.sid)
		require.Equal(t, "2", s.poll().body, "a request that comes after the first due time is served")
		_, err = io.WriteString(conn, "lo\x1e3\x1e6")
		require.NoError(t, err)
		require.Contains(t, s.poll().body, "4hello")
	})
	t.Run("websocket", func(t *testing.T) {
		t.Parallel()
		s := start(t, cfg)
		p := s.dialSession()
		session := receive(t, s.echo.opened, "the session")
		message := "4" + strings.Repeat("x", 20_000)
		w, err := p.Writer(context.Background(), websocket.MessageText)
		require.NoError(t, err)
		_, err = io.WriteString(w, message) // in frames of which none is the last
		require.NoError(t, err)
		renewed(s, session.ID())
		require.NoError(t, w.Close())
		got := p.next()
		for ; got == "2"; got = p.next() {
			p.send("3")
		}
		require.Equal(t, message, got)
	})
}

func TestTwoOriginsAreRefused(t *testing.T) {
	t.Parallel()
	s := start(t, engineio.Config{CheckOrigin: func(r *http.Request) bool { return r.Header.Get("Origin") == "https://app.example" }})
	for _, origins := range [][]string{
		{"https://app.example", "https://evil.example"}, {"https://evil.example", "https://app.example"}, {"", "https://evil.example"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"?EIO=4&transport=polling", nil)
		require.NoError(t, err)
		req.Header["Origin"] = origins
		res, err := s.client.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusForbidden, res.StatusCode, "%q", origins)
		require.Empty(t, res.Header.Get("Access-Control-Allow-Origin"))
	}
}
