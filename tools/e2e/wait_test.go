package e2e

import (
	"testing"
	"time"
)

const seconds = time.Second

// wait lets time pass where passing time is what the test is about.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}
