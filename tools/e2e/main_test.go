package e2e

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"supmesh.dev/tools/e2e/mesh"
)

func TestMain(m *testing.M) {
	code := m.Run()
	mesh.RemoveBinaries()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			_, _ = os.Stderr.WriteString("leaked: " + err.Error() + "\n")
			code = 1
		}
	}
	os.Exit(code)
}
