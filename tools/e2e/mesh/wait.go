package mesh

import (
	"net"
	"testing"
	"time"
)

// Eventually polls cond until it holds, and fails the test with the reason after limit.
func Eventually(t testing.TB, limit time.Duration, reason string, cond func() bool) {
	t.Helper()
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
