package deliver_test

import (
	"os"
	"testing"

	"supmesh.dev/services/servicestest"
)

func TestMain(m *testing.M) {
	if os.Getenv(workerVariable) != "" {
		workUntilKilled()
		return
	}
	servicestest.Leak(m)
}
