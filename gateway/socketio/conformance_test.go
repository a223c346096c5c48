package socketio_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/gateway/engineio"
	"supmesh.dev/gateway/socketio"
	"supmesh.dev/gateway/socketio/internal/echo"
)

// TestStockClient runs socket.io-client from npm against the echo server, over each of its transports.
func TestStockClient(t *testing.T) {
	t.Parallel()
	modules, err := filepath.Abs("../../tools/e2e/node/node_modules")
	require.NoError(t, err)
	_, err = os.Stat(filepath.Join(modules, "socket.io-client", "package.json"))
	require.NoError(t, err, "the stock client is not installed: run 'make deps'")
	node, err := exec.LookPath("node")
	require.NoError(t, err, "Node.js is not installed: run 'make deps'")

	for _, mode := range []string{"websocket", "polling", "upgrade"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			server, err := echo.Start(echo.Config{
				EngineIO: engineio.Config{PingInterval: 100 * time.Millisecond, PingTimeout: 5 * time.Second},
				SocketIO: socketio.Config{Namespaces: []string{"/", "/custom"}},
			})
			require.NoError(t, err)
			t.Cleanup(server.Stop)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			run := exec.CommandContext(ctx, node, "testdata/conformance.js")
			run.Env = append(os.Environ(), "NODE_PATH="+modules, "SERVER="+server.URL, "MODE="+mode)
			output, err := run.CombinedOutput()
			require.NoError(t, err, "%s", output)
		})
	}
}
