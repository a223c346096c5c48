package deliver_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/notify/deliver"
	"supmesh.dev/notify/push"
	"supmesh.dev/notify/push/guard"
	"supmesh.dev/notify/push/webhook"
	"supmesh.dev/notify/registry"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
)

// workerVariable makes the test binary a program that delivers pushes, as notify
// does, by webhooks on this machine; NATS_URL and REDIS_URL say where it is to work.
const workerVariable = "DELIVER_TEST_WORKER"

// What notify has no setting for: a test does not wait for ten seconds or an hour.
const (
	workerTimeout = 2 * time.Second
	workerPause   = 2 * time.Second
)

type workerConfig struct{ services.Config }

func workUntilKilled() {
	os.Args = os.Args[:1]
	services.Main("notify", new(workerConfig), func(h *services.Host) (services.Service, error) {
		hooks, err := webhook.New(soakSecret, guard.New(guard.Options{Allow: []string{"127.0.0.1"}, Timeout: workerTimeout}))
		return delivery{h, hooks}, err
	})
}

// delivery is the part of notify that delivers.
type delivery struct {
	host  *services.Host
	hooks push.Provider
}

func (d delivery) Run(ctx context.Context) error {
	regs := registry.New(d.host.Redis(), d.host.JetStream(), d.host.CatchUp())
	deliver.New(d.host, []push.Provider{d.hooks}, regs, deliver.WithLongestPause(workerPause)).Work()
	<-ctx.Done()
	return nil
}

// worker is such a process.
type worker struct {
	cmd  *exec.Cmd
	log  bytes.Buffer // to be read once it has ended
	done chan struct{}
}

// startWorker starts one; it is killed with the test, or with this process.
func startWorker(t *testing.T, n *servicestest.NATS, r *servicestest.Redis) *worker {
	t.Helper()
	w := &worker{cmd: exec.Command(os.Args[0]), done: make(chan struct{})}
	w.cmd.Env = append(os.Environ(), workerVariable+"=1", "NATS_URL="+n.URL, "REDIS_URL="+r.URL,
		"METRICS_HOST=127.0.0.1", "METRICS_PORT=0", "LOG_LEVEL=error", "LOG_FORMAT=json")
	w.cmd.Stdout, w.cmd.Stderr = &w.log, &w.log
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, w.cmd.Start())
	go func() {
		_ = w.cmd.Wait() // always an error: it is killed
		close(w.done)
	}()
	t.Cleanup(func() {
		_ = w.cmd.Process.Kill()
		<-w.done
	})
	return w
}

// kill ends it as kill -9 does, and is sure that nothing else has ended it before.
func (w *worker) kill(t *testing.T) {
	t.Helper()
	_ = w.cmd.Process.Kill() // or it has ended, which is said below
	<-w.done
	status, ok := w.cmd.ProcessState.Sys().(syscall.WaitStatus)
	require.True(t, ok && status.Signaled() && status.Signal() == syscall.SIGKILL, "%s, by itself: %s", w.cmd.ProcessState, &w.log)
}
