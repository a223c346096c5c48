package trial

import (
	"os"
	"testing"
	"time"

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

// cluster is the mesh that every trial runs on.
func cluster(t *testing.T) *mesh.Mesh {
	t.Helper()
	return mesh.Start(t, mesh.Options{
		Gateways: 2, Chats: 2, Presence: 2, Calls: 2, Reacts: 2, Notify: 2, Nodes: 3,
		Env: map[string]string{"LOG_LEVEL": "warn", "ADMIT_RATE": "1000"},
	})
}

// pace is how often a trial's loop looks at its clients.
const pace = 20 * time.Millisecond
