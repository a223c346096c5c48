package up

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"supmesh.dev/services"
	"supmesh.dev/tools/sup/client"
	"supmesh.dev/tools/sup/datadir"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// start runs a mesh; stop ends it and gives Run's error.
func start(t *testing.T, dir string) (mesh Mesh, stop func() error) {
	t.Helper()
	for _, variable := range []string{"PORT", "ADMIN_PORT", "METRICS_PORT"} {
		t.Setenv(variable, "0")
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended, up := make(chan error, 1), make(chan Mesh, 1)
	go func() { ended <- Run(ctx, Config{DataDir: dir, LogLevel: "warn"}, func(m Mesh) { up <- m }) }()
	select {
	case mesh = <-up:
	case err := <-ended:
		cancel()
		require.NoError(t, err, "the mesh ended before it was ready")
	case <-time.After(patience):
		cancel()
		t.Fatal("the mesh was not ready in time")
	}
	var once sync.Once
	var result error
	stop = func() error {
		once.Do(func() {
			cancel()
			result = <-ended
		})
		return result
	}
	t.Cleanup(func() { _ = stop() })
	return mesh, stop
}

// terminal is a client with a person at it.
type terminal struct {
	in    io.WriteCloser
	ended chan error
	mu    sync.Mutex
	out   strings.Builder
}

func (c *terminal) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.Write(b)
}

func (c *terminal) shown() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.String()
}

func (c *terminal) sees(t *testing.T, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(c.shown(), text) }, patience, 10*time.Millisecond, "%q in:\n%s", text, c)
}

func (c *terminal) String() string { return c.shown() }

func (c *terminal) types(t *testing.T, line string) {
	t.Helper()
	_, err := io.WriteString(c.in, line+"\n")
	require.NoError(t, err)
}

func (c *terminal) leave(t *testing.T) {
	t.Helper()
	require.NoError(t, c.in.Close())
	select {
	case err := <-c.ended:
		require.NoError(t, err)
	case <-time.After(patience):
		t.Fatalf("the client did not end:\n%s", c)
	}
}

func sit(t *testing.T, m Mesh, user, device, chat string) *terminal {
	t.Helper()
	token, err := m.Token(user, device, "", time.Hour)
	require.NoError(t, err)
	return sitWith(t, m, token, chat)
}

func sitWith(t *testing.T, m Mesh, token, chat string) *terminal {
	t.Helper()
	r, w := io.Pipe()
	c := &terminal{in: w, ended: make(chan error, 1)}
	go func() {
		c.ended <- client.Run(t.Context(), client.Options{URL: m.WebsocketURL(), Token: token, Chat: chat}, r, c)
	}()
	t.Cleanup(func() { _ = w.Close() })
	return c
}

func TestMeshInOneProcess(t *testing.T) { //nolint:paralleltest // sets the environment
	dir := filepath.Join(t.TempDir(), "data")
	m, stop := start(t, dir)
	require.Equal(t, []datadir.File{datadir.TURNSecret, datadir.VAPIDKey, datadir.JWTSecret, datadir.AdminToken}, m.Made)

	alice, bob := sit(t, m, "alice", "laptop", "lobby"), sit(t, m, "bob", "phone", "lobby")
	alice.sees(t, "* in #lobby")
	bob.sees(t, "* in #lobby")
	alice.types(t, "hello bob")
	alice.sees(t, "#lobby you: hello bob")
	bob.sees(t, "#lobby alice: hello bob")
	bob.types(t, "hello alice")
	alice.sees(t, "#lobby bob: hello alice")
	alice.leave(t)
	bob.leave(t)

	res, err := http.Get(m.ReadyURL)
	require.NoError(t, err)
	defer res.Body.Close()
	var hosts []services.Readiness
	require.NoError(t, json.NewDecoder(res.Body).Decode(&hosts))
	require.Len(t, hosts, 6, "chat, presence, signaling, reactions, notify, gateway")
	http.DefaultClient.CloseIdleConnections()

	page, err := http.Get(m.ConsoleURL)
	require.NoError(t, err)
	defer page.Body.Close()
	require.Contains(t, page.Header.Get("Content-Security-Policy"), "default-src 'none'")
	require.Contains(t, page.Header.Get("Content-Security-Policy"), strings.TrimPrefix(m.GatewayURL, "http://"))
	http.DefaultClient.CloseIdleConnections()

	var banner strings.Builder
	require.NoError(t, m.Banner(&banner, "sup"))
	for _, want := range []string{m.ConsoleURL, m.GatewayURL, "socket.io-client", "sup client --user bob", "jwt-secret, since none was given", "eyJ", m.TURNURL} {
		require.Contains(t, banner.String(), want)
	}
	require.NoError(t, stop())
}

func TestDataSurvivesRestart(t *testing.T) { //nolint:paralleltest // sets the environment
	dir := t.TempDir()
	m, stop := start(t, dir)
	token, err := m.Token("alice", "laptop", "", time.Hour)
	require.NoError(t, err)
	bob := sit(t, m, "bob", "phone", "lobby")
	bob.sees(t, "* in #lobby")
	bob.leave(t)
	alice := sitWith(t, m, token, "lobby")
	for i := range 20 {
		alice.types(t, fmt.Sprintf("message %d.", i))
	}
	alice.leave(t) // ends when all are acked
	require.NoError(t, stop())

	m, stop = start(t, dir)
	require.Empty(t, m.Made, "the secrets are the old ones")
	alice = sitWith(t, m, token, "lobby") // and so the old token is good
	alice.sees(t, "* in #lobby, 20 messages so far")
	bob = sit(t, m, "bob", "phone", "")
	for i := range 20 {
		bob.sees(t, fmt.Sprintf("#lobby alice: message %d.", i))
	}
	shown := bob.shown()
	require.Equal(t, 20, strings.Count(shown, "#lobby alice: "), "each once:\n%s", shown)
	bob.leave(t)
	alice.leave(t)
	require.NoError(t, stop())
}

func TestClientComesBackAndSendsAgain(t *testing.T) {
	dir := t.TempDir()
	m, stop := start(t, dir)
	alice := sit(t, m, "alice", "laptop", "lobby")
	alice.sees(t, "* in #lobby")
	_, port, err := net.SplitHostPort(strings.TrimPrefix(m.GatewayURL, "http://"))
	require.NoError(t, err)
	require.NoError(t, stop())
	alice.sees(t, "* disconnected")

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	t.Setenv("PORT", port)
	go func() { ended <- Run(ctx, Config{DataDir: dir, LogLevel: "warn"}, func(Mesh) {}) }()
	alice.types(t, "typed while away")
	alice.sees(t, "#lobby you: typed while away")
	alice.leave(t)
	cancel()
	require.NoError(t, <-ended)
}

func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	m, stop := start(t, dir)
	require.ErrorIs(t, Run(t.Context(), Config{DataDir: dir}, func(Mesh) {}), datadir.ErrInUse)

	bad := sitWith(t, m, "not.a.token", "lobby")
	require.Error(t, <-bad.ended, "a refusal ends the client")

	other := Config{DataDir: t.TempDir(), LogLevel: "error", ConsolePort: -1}
	taken, err := url.Parse(m.ReadyURL)
	require.NoError(t, err)
	t.Setenv("METRICS_PORT", taken.Port())
	require.ErrorContains(t, Run(t.Context(), other, func(Mesh) {}), "METRICS_PORT")
	require.NoError(t, stop())

	t.Setenv("PRODUCTION", "true")
	t.Setenv("CHAT_POLICY", "members")
	require.ErrorContains(t, Run(t.Context(), other, func(Mesh) {}), "PRODUCTION")
}
