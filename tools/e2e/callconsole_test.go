package e2e

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/tools/e2e/mesh"
)

// TestCallInABrowser plays node/call.mjs: a video call between two pages, by the relay alone. In its middle the mesh and the relay are
// killed and come back, and the call goes on. CONSOLE_PICTURES=folder keeps pictures.
func TestCallInABrowser(t *testing.T) {
	t.Parallel()
	o := mesh.StartOne(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	args := []string{"call.mjs", o.ConsoleURL}
	if folder := os.Getenv("CONSOLE_PICTURES"); folder != "" {
		args = append(args, folder)
	}
	browser := exec.CommandContext(ctx, "node", args...)
	browser.Dir = filepath.Join(mesh.Root(), "e2e", "node")
	browser.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var errs bytes.Buffer
	browser.Stderr = &errs
	in, err := browser.StdinPipe()
	require.NoError(t, err)
	out, err := browser.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, browser.Start(), "node is missing: run make deps")
	var steps []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		steps = append(steps, lines.Text())
		if lines.Text() == "restart" {
			o.Kill()
			o.Start(t)
			_, err := io.WriteString(in, "started\n")
			require.NoError(t, err)
		}
	}
	require.NoError(t, browser.Wait(), "after %q:\n%s", steps, &errs)
	require.Equal(t, []string{"logged in", "talking", "muted", "restart", "came back", "over", "declined", "missed", "done"}, steps)
	o.Interrupt(t)
}
