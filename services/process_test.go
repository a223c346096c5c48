package services_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
)

type mainConfig struct{ services.Config }

// TestProcess is not a test but the main function of TestSignals' processes.
func TestProcess(t *testing.T) {
	t.Parallel()
	kind := os.Getenv("TEST_PROCESS")
	if kind == "" {
		return // run for itself there is nothing to do
	}
	os.Args = os.Args[:1]
	services.Main("test", new(mainConfig), func(h *services.Host) (services.Service, error) {
		return runFunc(func(ctx context.Context) error {
			h.Log().Info("up")
			<-ctx.Done()
			if kind == "stubborn" {
				h.Log().Info("ignoring the signal")
				<-context.WithoutCancel(ctx).Done()
			}
			return nil
		}), nil
	})
}

func TestSignals(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	for kind, want := range map[string]int{"polite": 0, "stubborn": 1} {
		t.Run(kind, func(t *testing.T) {
			var log lines
			cmd := exec.Command(os.Args[0], "-test.run=^TestProcess$")
			cmd.Env = append(os.Environ(), "TEST_PROCESS="+kind, "NATS_URL="+n.URL, "REDIS_URL=", "METRICS_PORT=0", "LOG_FORMAT=json")
			cmd.Stderr = &log
			require.NoError(t, cmd.Start())
			wait := func(text string) {
				servicestest.Eventually(t, 10*time.Second, text, func() bool { return log.find(text) != "" })
			}
			wait(`"up"`)
			require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
			if kind == "stubborn" {
				wait("ignoring")
				// One that comes at once is the same signal; one that comes later is the second.
				servicestest.Eventually(t, 10*time.Second, "the second signal ends it", func() bool {
					_ = cmd.Process.Signal(syscall.SIGTERM) // the process may have ended
					return log.find("second signal") != ""
				})
			}
			err := cmd.Wait()
			require.Equal(t, want, cmd.ProcessState.ExitCode(), "%v: %s", err, log.find("error"))
			require.True(t, kind == "polite" || strings.Contains(log.find("second signal"), "exit now"))
		})
	}
}
