package archtest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestImports(t *testing.T) {
	t.Parallel()
	for _, f := range goFiles(t) {
		for _, complaint := range wrongImports(f) {
			t.Error(complaint)
		}
	}
}

// TestOneReaderOfTheLog: JetStream's API is asked in one place.
func TestOneReaderOfTheLog(t *testing.T) {
	t.Parallel()
	for _, f := range goFiles(t) {
		if f.asksJS && !spellsJetStreamAPI(f) {
			t.Errorf("%s asks JetStream's API by a subject: services/eventlog reads the log", f.path)
		}
	}
}

// wrongImports checks one file against the three tables of rules_test.go.
func wrongImports(f goFile) (complaints []string) {
	complain := func(imported, why string) {
		complaints = append(complaints, fmt.Sprintf("%s imports %s: %s", f.path, imported, why))
	}
	for _, imported := range f.imports {
		sibling, ours := strings.CutPrefix(imported, root)
		if ours {
			to, _, _ := strings.Cut(sibling, "/")
			if why := wrongSibling(f.folder(), to); why != "" {
				complain(imported, why)
			}
			if why := impure(f, sibling); why != "" {
				complain(imported, why)
			}
			continue
		}
		first, _, _ := strings.Cut(imported, "/")
		if imports[f.folder()].stdOnly && !f.isTest() && strings.Contains(first, ".") {
			complain(imported, f.folder()+" is standard library only")
		}
		for _, c := range libraries {
			if below(imported, c.library) && !c.allowed(f) {
				complain(imported, c.why)
			}
		}
	}
	return complaints
}

func wrongSibling(from, to string) string {
	if from == to {
		return ""
	}
	if to == "tools" {
		return "nothing imports tools"
	}
	may := serviceMay
	if row, listed := imports[from]; listed {
		may = row.may
	}
	if slices.Contains(may, "*") || slices.Contains(may, to) {
		return ""
	}
	return fmt.Sprintf("%s may import only [%s]", from, strings.Join(may, " "))
}

func impure(f goFile, sibling string) string {
	for pure, may := range purePackages {
		if below(f.dir(), pure) && !slices.ContainsFunc(may, func(prefix string) bool { return below(sibling, prefix) }) {
			return pure + " is pure protocol"
		}
	}
	return ""
}

// below says whether name is the path prefix or under it.
func below(name, prefix string) bool {
	return name == prefix || strings.HasPrefix(name, prefix+"/")
}

func TestWrongImportsAreSeen(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		path, imported string
		wrong          bool
	}{
		{"proto/actor.go", "strings", false},
		{"proto/actor.go", "github.com/oklog/ulid/v2", true},
		{"proto/actor_test.go", "github.com/stretchr/testify/require", false},
		{"proto/actor.go", "supmesh.dev/services", true},
		{"services/host.go", "supmesh.dev/proto", false},
		{"services/host.go", "supmesh.dev/chat", true},
		{"services/host.go", "github.com/coder/websocket", true},
		{"services/host.go", "github.com/nats-io/nats.go/jetstream", false},
		{"chat/send.go", "supmesh.dev/services/wire", false},
		{"chat/send.go", "supmesh.dev/gateway", true},
		{"chat/send.go", "supmesh.dev/tools/sup", true},
		{"chat/send.go", "github.com/nats-io/nats.go", true},
		{"chat/store.go", "github.com/nats-io/nats.go", false},
		{"chat/send_test.go", "github.com/redis/go-redis/v9", false},
		{"reactions/add.go", "supmesh.dev/chat", true},
		{"reactions/add.go", "supmesh.dev/proto", false},
		{"gateway/engineio/accept.go", "supmesh.dev/gateway/wsconn", false},
		{"gateway/engineio/accept.go", "supmesh.dev/gateway/engineio/deadline", false},
		{"gateway/engineio/accept.go", "supmesh.dev/gateway/socketio", true},
		{"gateway/wsconn/accept.go", "supmesh.dev/proto", true},
		{"gateway/socketio/packet.go", "supmesh.dev/services/wire", true},
		{"gateway/fanout.go", "supmesh.dev/gateway/socketio", false},
		{"gateway/fanout.go", "github.com/redis/go-redis/v9", true},
		{"tools/sup/up.go", "supmesh.dev/chat", false},
		{"tools/sup/client.go", "github.com/coder/websocket", false},
	} {
		got := wrongImports(goFile{path: c.path, imports: []string{c.imported}})
		require.Equal(t, c.wrong, len(got) > 0, "%s imports %s: %v", c.path, c.imported, got)
	}
}
