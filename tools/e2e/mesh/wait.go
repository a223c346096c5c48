package mesh

import (
	"net"
	"testing"
	"time"
)

// patience is the shortest deadline of a wait: a busy machine is no reason to fail.
const patience = 30 * time.Second

// Eventually polls cond until it holds, and fails the test with the reason after
// limit, which is at least 30 s.
func Eventually(t testing.TB, limit time.Duration, reason string, cond func() bool) {
	t.Helper()
	limit = max(limit, patience)
	begun := time.Now()
	pause := time.NewTimer(0)
	defer pause.Stop()
	for <-pause.C; !cond(); <-pause.C {
		waited := time.Since(begun)
		if waited > limit {
			t.Fatalf("not within %s: %s", limit, reason)
		}
		// A tenth of the wait: long waits leave the processor to what they wait for.
		pause.Reset(min(max(waited/10, 5*time.Millisecond), 200*time.Millisecond))
	}
}

func listens(port int) bool {
	c, err := net.DialTimeout("tcp", addr(port), time.Second)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}
