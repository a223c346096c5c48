package servicestest

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Patience is the shortest deadline of a wait. A deadline ends a test that
// hangs; a busy machine is no reason to fail.
const Patience = 30 * time.Second

// Eventually waits until cond is true and fails the test with the reason when
// the deadline, which is at least Patience, comes first. cond is called by the
// test's own goroutine.
func Eventually(t testing.TB, deadline time.Duration, reason string, cond func() bool) {
	t.Helper()
	deadline = max(deadline, Patience)
	begun := time.Now()
	pause := time.NewTimer(0)
	defer pause.Stop()
	for <-pause.C; !cond(); <-pause.C {
		waited := time.Since(begun)
		if waited > deadline {
			t.Fatalf("waited %s in vain: %s", deadline, reason)
		}
		pause.Reset(look(waited))
	}
}

// look returns how long a wait that has lasted for waited pauses before it looks again: a
// tenth of it, so that long waits leave the processor to what they wait for.
func look(waited time.Duration) time.Duration {
	return min(max(waited/10, 5*time.Millisecond), 200*time.Millisecond)
}

// Leak runs a package's tests and fails if a goroutine outlives them. It is
// the body of a package's TestMain.
func Leak(m *testing.M, opts ...goleak.Option) { goleak.VerifyTestMain(m, opts...) }
