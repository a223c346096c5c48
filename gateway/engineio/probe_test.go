package engineio_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/gateway/engineio"
)

// TestProbe: a client that answers stays, on each transport, and one that does not is closed long
// before PingTimeout. So is one that has a ping to answer already.
func TestProbe(t *testing.T) {
	t.Parallel()
	const soon = 300 * time.Millisecond
	slow := engineio.Config{PingInterval: time.Hour, PingTimeout: time.Hour}
	t.Run("polling", func(t *testing.T) {
		t.Parallel()
		s := start(t, slow).openPolling()
		session := receive(t, s.echo.opened, "the session")
		session.Probe(time.Hour)
		require.Equal(t, "2", s.poll().body)
		require.Equal(t, "ok", s.post("3").body)
		session.Probe(soon)
		require.Equal(t, "2", s.poll().body)
		require.Equal(t, engineio.ReasonPingTimeout, receive(t, s.echo.closed, "the end of the session"))
		session.Probe(soon) // too late, and harmless
	})
	t.Run("websocket", func(t *testing.T) {
		t.Parallel()
		s := start(t, slow)
		p := s.dialSession()
		session := receive(t, s.echo.opened, "the session")
		session.Probe(time.Hour)
		require.Equal(t, "2", p.next())
		p.send("3")
		p.send("4x") // answered behind the pong
		require.Equal(t, "4x", p.next())
		session.Probe(time.Hour)
		require.Equal(t, "2", p.next())
		session.Probe(soon) // no second ping, less time
		p.ends()
		require.Equal(t, engineio.ReasonPingTimeout, receive(t, s.echo.closed, "the end of the session"))
	})
}
