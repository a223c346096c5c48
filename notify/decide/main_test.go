package decide

import (
	"testing"

	"supmesh.dev/services/servicestest"
)

func TestMain(m *testing.M) { servicestest.Leak(m) }
