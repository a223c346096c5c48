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
	end := time.NewTimer(deadline)
	defer end.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-end.C:
			t.Fatalf("waited %s in vain: %s", deadline, reason)
		case <-tick.C:
		}
	}
}

// Leak runs a package's tests and fails if a goroutine outlives them. It is
// the body of a package's TestMain.
func Leak(m *testing.M, opts ...goleak.Option) { goleak.VerifyTestMain(m, opts...) }
