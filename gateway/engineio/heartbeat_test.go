package engineio_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/gateway/engineio"
)

var quick = engineio.Config{PingInterval: 60 * time.Millisecond, PingTimeout: 3 * time.Second}

func TestHeartbeatOverPolling(t *testing.T) {
	t.Parallel()
	s := start(t, quick).openPolling()
	for range 3 {
		require.Equal(t, "2", s.poll().body)
		require.Equal(t, "ok", s.post("3").body)
	}
	require.Equal(t, "2", s.poll().body)
	require.Equal(t, engineio.ReasonPingTimeout, receive(t, s.echo.closed, "the end of the session"))
	require.Equal(t, http.StatusBadRequest, s.poll().status)
}

func TestHeldPollLearnsOfPingTimeout(t *testing.T) {
	t.Parallel()
	s := start(t, engineio.Config{PingInterval: 20 * time.Millisecond, PingTimeout: 100 * time.Millisecond}).openPolling()
	require.Equal(t, "2", s.poll().body)
	require.Equal(t, "1", receive(t, s.pollBeside(context.Background()), "the poll").body)
}

func TestHeartbeatOverWebSocket(t *testing.T) {
	t.Parallel()
	s := start(t, quick)
	p := s.dialSession()
	for range 3 {
		require.Equal(t, "2", p.next())
		p.send("3")
	}
	require.Equal(t, "2", p.next())
	p.ends()
	require.Equal(t, engineio.ReasonPingTimeout, receive(t, s.echo.closed, "the end of the session"))
}

func TestOnlyThePongCounts(t *testing.T) {
	t.Parallel()
	s := start(t, engineio.Config{PingInterval: 30 * time.Millisecond, PingTimeout: 150 * time.Millisecond})
	p := s.dialSession()
	p.send("3") // unasked: must not stand for the pong to come
	began := time.Now()
	go func() {
		for { // a chatty client that never answers
			if err := p.Write(context.Background(), 1, []byte("6")); err != nil {
				return
			}
		}
	}()
	p.ends()
	require.Equal(t, engineio.ReasonPingTimeout, receive(t, s.echo.closed, "the end of the session"))
	require.Greater(t, time.Since(began), 150*time.Millisecond)
}

// TestTimeoutIsExact: a request that comes after the pong's time and before the
// queue has ended the session is refused.
func TestTimeoutIsExact(t *testing.T) {
	t.Parallel()
	s := start(t, engineio.Config{})
	c := s.openPolling()
	engineio.LetPongExpire(receive(t, s.echo.opened, "the session"))
	require.Equal(t, http.StatusBadRequest, c.poll().status)
}
