package mesh

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/services/servicestest/wait"
)

// One is the whole mesh as `sup up` runs it: one process, NATS and Redis inside.
type One struct {
	Mesh
	ConsoleURL string
	env        []string
}

// StartOne runs `sup up` with a data folder of the test's own.
func StartOne(t testing.TB, env map[string]string) *One {
	t.Helper()
	g := &Gateway{name: "sup up", ports: [3]int{freePort(t), freePort(t), freePort(t)}}
	g.URL, g.AdminURL = "http://"+addr(g.ports[0]), "http://"+addr(g.ports[1])
	console := freePort(t)
	o := &One{Mesh: Mesh{Dir: t.TempDir(), Gateways: []*Gateway{g}}, ConsoleURL: fmt.Sprintf("http://localhost:%d/", console)}
	o.env = []string{
		"DATA_DIR=" + o.Dir, "JWT_SECRET=" + Secret, "ADMIN_TOKEN=" + AdminToken, "RATE_LIMITS=off", "RATE_LIMIT_MAX_CONNECTIONS=0",
		"MAX_CONNECTIONS_PER_USER=0",
		"PORT=" + fmt.Sprint(g.ports[0]), "ADMIN_PORT=" + fmt.Sprint(g.ports[1]), "METRICS_PORT=" + fmt.Sprint(g.ports[2]),
		"CONSOLE_PORT=" + fmt.Sprint(console), "TURN_PORT=" + fmt.Sprint(freePort(t)), "NATS_URL=", "REDIS_URL=",
	}
	for k, v := range env {
		o.env = append(o.env, k+"="+v)
	}
	o.Start(t)
	return o
}

// Start starts it again after it was ended.
func (o *One) Start(t testing.TB) {
	t.Helper()
	o.Gateways[0].Process = start(t, "sup up", o.env, Binary(t, "sup"), "up")
	waitReady(t, "sup up", o.Gateways[0].ports[2])
}

// Kill ends it with SIGKILL.
func (o *One) Kill() { o.Gateways[0].Kill() }

// Interrupt is a person's Ctrl-C; it must end in good order.
func (o *One) Interrupt(t testing.TB) {
	t.Helper()
	o.Gateways[0].Signal(t, syscall.SIGINT)
	select {
	case <-o.Gateways[0].done:
	case <-time.After(wait.Patience):
		t.Fatal("sup up did not stop")
	}
	require.Zero(t, o.Gateways[0].cmd.ProcessState.ExitCode(), "output:\n%s", o.Gateways[0].Output())
}
