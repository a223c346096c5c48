package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// asProgram makes the test binary be the program itself: the children of these
// tests are what is under test, race detector and all.
const asProgram = "SUP_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

const patience = 30 * time.Second

// place is where one mesh of a test lives: its folder and its ports.
type place struct {
	env        []string
	consoleURL string
	gatewayURL string
}

func newPlace(t *testing.T) place {
	t.Helper()
	p := place{env: []string{asProgram + "=1", "DATA_DIR=" + t.TempDir(), "RATE_LIMITS=off", "LOG_LEVEL=warn"}}
	for _, v := range []string{"PORT", "ADMIN_PORT", "METRICS_PORT", "CONSOLE_PORT"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close() // all stay taken until all are chosen
		addr := fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
		p.env = append(p.env, v+"="+addr)
		switch v {
		case "PORT":
			p.gatewayURL = "http://127.0.0.1:" + addr
		case "ADMIN_PORT":
			p.env = append(p.env, "ADMIN_URL=http://127.0.0.1:"+addr)
		case "METRICS_PORT":
			p.env = append(p.env, "TEST_READY=http://127.0.0.1:"+addr+"/ready")
		case "CONSOLE_PORT":
			p.consoleURL = "http://localhost:" + addr
		}
	}
	return p
}

func (p place) variable(name string) string {
	for _, e := range p.env {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v
		}
	}
	return ""
}

func (p place) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), p.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// run is one short command with its output and error output.
func (p place) run(t *testing.T, args ...string) (out, errs string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := p.command(ctx, args...)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	err = cmd.Run()
	return o.String(), e.String(), err
}

// process is a running `sup up`.
type process struct {
	cmd  *exec.Cmd
	done chan error
	once sync.Once
	err  error
}

// up starts a mesh and waits for its banner.
func (p place) up(t *testing.T) *process {
	t.Helper()
	cmd := p.command(context.WithoutCancel(t.Context()), "up")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	s := &process{cmd: cmd, done: make(chan error, 1)}
	ready := make(chan struct{})
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "Terminal client") {
				close(ready)
			}
		}
		s.done <- cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = s.wait()
	})
	select {
	case <-ready:
	case <-time.After(patience):
		t.Fatal("no banner in time")
	}
	return s
}

func (s *process) wait() error {
	s.once.Do(func() { s.err = <-s.done })
	return s.err
}

func (s *process) kill(t *testing.T) {
	t.Helper()
	require.NoError(t, s.cmd.Process.Kill())
	require.Error(t, s.wait())
}

func TestCommandsOnARunningMesh(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	_, errs, err := p.run(t, "token", "--user", "alice")
	require.Error(t, err, "there is no key yet")
	require.Contains(t, errs, "JWT_SECRET is not set")
	mesh := p.up(t)

	token, _, err := p.run(t, "token", "--user", "alice", "--device", "laptop", "--name", "Alice", "--ttl", "1m")
	require.NoError(t, err)
	require.Equal(t, 2, strings.Count(token, "."), token)
	require.Equal(t, 1, strings.Count(token, "\n"), "the token alone")

	out, errs, err := p.run(t, "chat", "put", "team", "alice:owner", "bob", "--name", "The team")
	require.NoError(t, err, errs)
	require.Contains(t, out, `"memberCount": 2`)
	out, _, err = p.run(t, "chat", "add", "team", "carol", "dave:admin")
	require.NoError(t, err)
	require.Contains(t, out, `"memberCount": 4`)
	out, _, err = p.run(t, "chat", "remove", "team", "dave")
	require.NoError(t, err)
	require.Contains(t, out, `"memberCount": 3`)
	out, _, err = p.run(t, "chat", "get", "team")
	require.NoError(t, err)
	require.Contains(t, out, `"name": "The team"`)
	require.Equal(t, 3, strings.Count(out, `"userId"`), "members of all pages")
	_, errs, err = p.run(t, "chat", "get", "nowhere")
	require.Error(t, err)
	require.Contains(t, errs, "CHAT_NOT_FOUND")

	out, errs, err = p.run(t, "presence", "alice")
	require.NoError(t, err, errs)
	require.Regexp(t, `(?m)^status +offline\n`, out)
	require.Regexp(t, `(?m)^sessions +none\n`, out)
	out, errs, err = p.run(t, "presence", "--json", "alice")
	require.NoError(t, err, errs)
	require.Contains(t, out, `"effective": "offline"`)
	_, errs, err = p.run(t, "presence", strings.Repeat("x", 200))
	require.Error(t, err)
	require.Contains(t, errs, "INVALID_PAYLOAD: userId")

	out, errs, err = p.run(t, "health", "--ready", p.variable("TEST_READY"))
	require.NoError(t, err, out+errs)
	require.Regexp(t, `(?m)^chat \S+ +rpc +ok`, out)
	require.Regexp(t, `(?m)^presence \S+ +rpc +ok`, out)
	require.Regexp(t, `(?m)^presence \S+ +redis +ok`, out)
	require.Regexp(t, `(?m)^gateway \S+ +nats +ok`, out)

	require.NoError(t, mesh.cmd.Process.Signal(os.Interrupt))
	require.NoError(t, mesh.wait(), "a stop that was asked for is no error")
	out, errs, err = p.run(t, "health", "--ready", p.variable("TEST_READY"))
	require.Error(t, err)
	require.Contains(t, out, "down")
	require.Contains(t, errs, "the mesh is not well")
	_, errs, err = p.run(t, "presence", "alice")
	require.Error(t, err)
	require.Contains(t, errs, "is the mesh running?")
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.env = append(p.env, "DRAIN_NOTICE=20s") // a stop that takes its time
	mesh := p.up(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // where no line comes: fail, do not hang
	defer cancel()
	client := p.command(ctx, "client", "--url", "ws"+strings.TrimPrefix(p.gatewayURL, "http")+"/ws")
	in, err := client.StdinPipe()
	require.NoError(t, err)
	out, err := client.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, client.Start())
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan())
	require.Contains(t, lines.Text(), "* connected as alice")

	first := time.Now()
	require.NoError(t, mesh.cmd.Process.Signal(os.Interrupt))
	for lines.Scan() && !strings.Contains(lines.Text(), "server:drain") { // it is stopping
	}
	again := time.NewTicker(sameSignal) // an impatient person
	defer again.Stop()
	for ended := false; !ended; {
		select {
		case <-again.C:
			_ = mesh.cmd.Process.Signal(os.Interrupt) // fails once it has ended
		case err := <-mesh.done:
			ended = true
			require.Error(t, err)
			mesh.done <- err // for the clean-up
		}
	}
	require.Equal(t, 130, mesh.cmd.ProcessState.ExitCode())
	require.Less(t, time.Since(first), patience)
	require.NoError(t, client.Process.Kill())
	_, _ = io.Copy(io.Discard, out)
	_ = client.Wait()
	_ = in.Close()
}

func vapidKey(t *testing.T) string {
	t.Helper()
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	require.NoError(t, err)
	return base64.RawURLEncoding.EncodeToString(key.Bytes())
}

// TestConsoleInABrowser plays tools/e2e/node/console.mjs, and kills the mesh in the middle.
func TestConsoleInABrowser(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.env = append(p.env, "VAPID_PRIVATE_KEY="+vapidKey(t), "VAPID_SUBJECT=mailto:console@example.com")
	mesh := p.up(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	args := []string{"console.mjs", p.consoleURL}
	if folder := os.Getenv("CONSOLE_PICTURES"); folder != "" {
		args = append(args, folder)
	}
	browser := exec.CommandContext(ctx, "node", args...)
	browser.Dir = "../e2e/node"
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
			mesh.kill(t)
			mesh = p.up(t)
			_, err := io.WriteString(in, "started\n")
			require.NoError(t, err)
		}
	}
	require.NoError(t, browser.Wait(), "after %q:\n%s", steps, &errs)
	require.Equal(t, []string{
		"logged in", "exchanged", "harmless", "unread", "history", "two tabs", "ticks", "typing", "presence", "edited", "deleted",
		"replied", "notified", "push", "reacted", "members", "disappearing", "restart", "came back", "disappeared", "done",
	}, steps)
}
