package embedded

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pion/turn/v5"
	"github.com/stretchr/testify/require"
)

const turnSecret = "a-secret-of-this-test"

// startTURN runs one until the test ends, and gives its address.
func startTURN(t *testing.T) (at string, stop func()) {
	t.Helper()
	server, err := ListenTURN(t.Context(), 0, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, turnSecret) }()
	urls := server.URLs()
	require.Len(t, urls, 2)
	at, ok := strings.CutSuffix(strings.TrimPrefix(urls[0], "turn:"), "?transport=udp")
	require.True(t, ok, urls[0])
	require.Equal(t, "turn:"+at+"?transport=tcp", urls[1])
	return at, func() {
		cancel()
		require.NoError(t, <-ended)
		server.Stop()
	}
}

// allocate asks a server for a relay with a credential of this secret.
func allocate(t *testing.T, conn net.PacketConn, at, secret string, life time.Duration) (*turn.Client, net.PacketConn, error) {
	t.Helper()
	user, password, err := turn.GenerateLongTermTURNRESTCredentials(secret, "call.ann", life)
	require.NoError(t, err)
	client, err := turn.NewClient(&turn.ClientConfig{STUNServerAddr: at, TURNServerAddr: at, Conn: conn, Username: user, Password: password})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	require.NoError(t, client.Listen())
	relay, err := client.Allocate()
	return client, relay, err
}

// passes sends a datagram until it has come, and gives whom it came from: a
// relay may lose any.
func passes(t *testing.T, text string, out, in net.PacketConn, to net.Addr) net.Addr {
	t.Helper()
	buf := make([]byte, 64)
	for range 300 {
		_, err := out.WriteTo([]byte(text), to)
		require.NoError(t, err, text)
		require.NoError(t, in.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
		if n, from, err := in.ReadFrom(buf); err == nil && string(buf[:n]) == text {
			return from
		}
	}
	require.Fail(t, "nothing came", text)
	return nil
}

func udp(t *testing.T) net.PacketConn {
	t.Helper()
	conn, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp4", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestTURNRelaysOverBothTransports(t *testing.T) {
	t.Parallel()
	at, stop := startTURN(t)
	defer stop()
	over := map[string]net.PacketConn{"udp": udp(t)}
	tcp, err := (&net.Dialer{}).DialContext(t.Context(), "tcp4", at)
	require.NoError(t, err)
	over["tcp"] = turn.NewSTUNConn(tcp)
	t.Cleanup(func() { _ = tcp.Close() })
	for name, conn := range over {
		_, relay, err := allocate(t, conn, at, turnSecret, time.Minute)
		require.NoError(t, err, name)
		peer := udp(t)
		from := passes(t, name+", out", relay, peer, peer.LocalAddr())
		require.Equal(t, relay.LocalAddr().String(), from.String(), "the peer sees the relay")
		passes(t, name+", back", peer, relay, from)
		require.NoError(t, relay.Close())
	}
}

func TestTURNRefuses(t *testing.T) {
	t.Parallel()
	at, stop := startTURN(t)
	defer stop()
	_, _, err := allocate(t, udp(t), at, "another secret", time.Minute)
	require.Error(t, err, "a credential of another secret")
	_, _, err = allocate(t, udp(t), at, turnSecret, -time.Minute)
	require.Error(t, err, "an old credential")

	client, relay, err := allocate(t, udp(t), at, turnSecret, time.Minute)
	require.NoError(t, err)
	defer relay.Close()
	require.Error(t, client.CreatePermission(&net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 9}), "a peer that is not this machine")
	require.NoError(t, client.CreatePermission(&net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9}))
}

func TestTURNPortInUse(t *testing.T) {
	t.Parallel()
	first, err := ListenTURN(t.Context(), 0, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer first.Stop()
	_, err = ListenTURN(t.Context(), first.Port(), slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "embedded turn: ")
}
