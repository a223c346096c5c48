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
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-deadline.C:
			t.Fatalf("not within %s: %s", limit, reason)
		case <-tick.C:
		}
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
