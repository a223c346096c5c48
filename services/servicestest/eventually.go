package servicestest

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"supmesh.dev/services/servicestest/wait"
)

// Patience is wait.Patience.
const Patience = wait.Patience

// Eventually is wait.Eventually.
func Eventually(t testing.TB, deadline time.Duration, reason string, cond func() bool) {
	t.Helper()
	wait.Eventually(t, deadline, reason, cond)
}

// Leak runs a package's tests and fails if a goroutine outlives them. It is
// the body of a package's TestMain.
func Leak(m *testing.M, opts ...goleak.Option) { goleak.VerifyTestMain(m, opts...) }
