package wait

import (
	"testing"
	"time"
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
		// A tenth of the wait: a long wait leaves the processor to the code under test.
		pause.Reset(min(max(waited/10, 5*time.Millisecond), 200*time.Millisecond))
	}
}
