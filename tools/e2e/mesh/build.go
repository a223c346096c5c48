package mesh

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// binDir holds the programs of one test run; RemoveBinaries deletes it.
var binDir = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "sup-e2e-bin-") })

var builds sync.Map // program → func() (string, error)

// programs names what a mesh is made of: a package of this workspace, or the pinned nats-server.
var programs = map[string]string{
	"sup":         "supmesh.dev/tools/sup",
	"gateway":     "supmesh.dev/gateway/cmd/gateway",
	"chat":        "supmesh.dev/chat/cmd/chat",
	"presence":    "supmesh.dev/presence/cmd/presence",
	"signaling":   "supmesh.dev/signaling/cmd/signaling",
	"reactions":   "supmesh.dev/reactions/cmd/reactions",
	"notify":      "supmesh.dev/notify/cmd/notify",
	"nats-server": "github.com/nats-io/nats-server/v2",
}

// Binary builds a program once per test run and gives its path.
func Binary(t testing.TB, name string) string {
	t.Helper()
	build, _ := builds.LoadOrStore(name, sync.OnceValues(func() (string, error) {
		dir, err := binDir()
		if err != nil {
			return "", err
		}
		path := filepath.Join(dir, name)
		args := []string{"build", "-ldflags=-w", "-o", path} // no debugging information: it takes half of the linker's time
		if strings.HasPrefix(programs[name], "supmesh.dev/") {
			args = append(args, raceFlag...)
		}
		cmd := exec.Command("go", append(args, programs[name])...)
		cmd.Dir = Root()
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
		return path, nil
	}))
	path, err := build.(func() (string, error))()
	require.NoError(t, err)
	return path
}

// RemoveBinaries deletes what Binary built; TestMain calls it last.
func RemoveBinaries() {
	if dir, err := binDir(); err == nil {
		_ = os.RemoveAll(dir)
	}
}

// Root is the folder of the tools module, whose tests use this package. The
// workspace's programs and the pinned nats-server can be built there.
func Root() string { return root() }

var root = sync.OnceValue(func() string {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		panic(fmt.Sprintf("find the tools module: %v", err))
	}
	return filepath.Dir(strings.TrimSpace(string(out)))
})
