package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/tools/e2e/mesh"
)

// An expired token is refused with a message existing apps match on, and the client does not try again. Edge 3.
func TestRefusedTokens(t *testing.T) {
	t.Parallel()
	m := mesh.Start(t, mesh.Options{})
	node := mesh.StartNode(t)
	for _, c := range []struct {
		name, message, code string
		auth                map[string]any
	}{
		{"expired", "Invalid token", "TOKEN_EXPIRED", map[string]any{"token": mesh.TokenUntil(t, "ann", "", time.Now().Add(-time.Hour))}},
		{"forged", "Invalid token", "INVALID_TOKEN", map[string]any{"token": mesh.Token(t, "ann", "") + "x"}},
		{"missing", "Authentication required", "AUTHENTICATION_REQUIRED", map[string]any{}},
	} {
		s := node.Open(t, m.Gateways[0].URL, c.auth, nil)
		refusal := s.AwaitNote(t, "connect_error", 1)
		require.Equal(t, c.message, refusal.Error.Message, c.name)
		require.Equal(t, c.code, refusal.Error.Data["code"], c.name)
		require.False(t, refusal.Active, "%s: no reconnect loop", c.name)
		require.Empty(t, s.Notes("connect"))

		p := mesh.OpenPlain(t, m.Gateways[0].URL, "")
		token, _ := c.auth["token"].(string)
		p.Write(t, []byte(`{"event":"auth","data":{"token":"`+token+`"}}`))
		var failure struct{ Code string }
		p.Await(t, "error", 1)[0].Decode(t, &failure)
		require.Equal(t, c.code, failure.Code, c.name)
		p.CloseCode(t)
	}
}

// A client that never sends CONNECT, or never authenticates, is closed at the deadline. Edge 7.
func TestConnectDeadlines(t *testing.T) {
	t.Parallel()
	m := mesh.Start(t, mesh.Options{Env: map[string]string{"CONNECT_TIMEOUT": "1s", "AUTH_TIMEOUT": "1s"}})
	wire := mesh.DialWire(t, m.Gateways[0].URL)
	plain := mesh.OpenPlain(t, m.Gateways[0].URL, "")
	wire.AwaitClose(t)
	require.EqualValues(t, 4409, plain.CloseCode(t))
}

// A client that sends CONNECT together with the upgrade is served, every time.
func TestFastConnect(t *testing.T) {
	t.Parallel()
	m := mesh.Start(t, mesh.Options{})
	for range 200 {
		mesh.DialWire(t, m.Gateways[0].URL).Login(t, mesh.Token(t, "ann", ""))
	}
}

// auth.offset of an app's own is not a recovery, and no error. Edge 6.
func TestForeignOffset(t *testing.T) {
	t.Parallel()
	m := mesh.Start(t, mesh.Options{})
	node := mesh.StartNode(t)
	s := node.Open(t, m.Gateways[0].URL, map[string]any{"token": mesh.Token(t, "ann", ""), "offset": "mine", "pid": "mine"}, nil)
	require.False(t, s.AwaitNote(t, "connect", 1).Recovered)
	s.Await(t, "connected", 1)
}
