package mesh

import (
	"net"
	"testing"
	"time"

	"supmesh.dev/services/servicestest/wait"
)

// Eventually is wait.Eventually.
func Eventually(t testing.TB, limit time.Duration, reason string, cond func() bool) {
	t.Helper()
	wait.Eventually(t, limit, reason, cond)
}

func listens(port int) bool {
	c, err := net.DialTimeout("tcp", addr(port), time.Second)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}
