package archtest

import (
	"bytes"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFilesAreShort(t *testing.T) {
	t.Parallel()
	for _, f := range goFiles(t) {
		if !f.made && f.lines > maxFileLines {
			t.Errorf("%s has %d lines, over %d: a second job is hiding in there", f.path, f.lines, maxFileLines)
		}
		if f.name() == "main.go" && f.folder() != "tools" && f.lines > maxMainLines {
			t.Errorf("%s has %d lines, over %d: the service's package does the work", f.path, f.lines, maxMainLines)
		}
	}
}

func TestNamesSayTheJob(t *testing.T) {
	t.Parallel()
	for _, f := range goFiles(t) {
		stem := strings.TrimSuffix(strings.TrimSuffix(f.name(), ".go"), "_test")
		if slices.Contains(vagueNames, stem) || slices.Contains(vagueNames, f.pkg) {
			t.Errorf("%s (package %s): the name does not say the job", f.path, f.pkg)
		}
	}
}

// TestPackagesAreDocumented wants a doc.go in every package; a command may
// carry its comment in main.go instead.
func TestPackagesAreDocumented(t *testing.T) {
	t.Parallel()
	documented := map[string]bool{}
	var dirs []string
	for _, f := range goFiles(t) {
		dirs = append(dirs, f.dir())
		if f.doc && (f.name() == "doc.go" || f.pkg == "main" && f.name() == "main.go") {
			documented[f.dir()] = true
		}
	}
	slices.Sort(dirs)
	for _, dir := range slices.Compact(dirs) {
		if !documented[dir] {
			t.Errorf("%s has no doc.go that says what the package owns and guarantees", dir)
		}
	}
}

func TestModulesHaveReadme(t *testing.T) {
	t.Parallel()
	var modules []string
	top := repository(t, func(rel string) {
		if path.Base(rel) == "go.mod" {
			modules = append(modules, path.Dir(rel))
		}
	})
	require.NotEmpty(t, modules)
	work, err := os.ReadFile(filepath.Join(top, "go.work"))
	require.NoError(t, err)
	for _, module := range modules {
		if _, err := os.Stat(filepath.Join(top, module, "README.md")); err != nil {
			t.Errorf("module %s has no README.md: owns, listens, publishes, stores, when it is down, how to run it alone", module)
		}
		if !strings.Contains(string(work), "./"+module+"\n") {
			t.Errorf("module %s is not in go.work", module)
		}
	}
}

func TestNothingBannedInTree(t *testing.T) {
	t.Parallel()
	var names []string
	top := repository(t, func(rel string) { names = append(names, rel) })
	for _, rel := range names {
		content, err := os.ReadFile(filepath.Join(top, rel))
		require.NoError(t, err)
		if bytes.IndexByte(content, 0) >= 0 {
			continue // not text
		}
		for i, line := range strings.Split(string(content), "\n") {
			if text, why := bannedIn(line); text != "" {
				t.Errorf("%s:%d: %s: %s", rel, i+1, text, why)
			}
		}
	}
}

func bannedIn(line string) (text, why string) {
	for _, b := range banned {
		i := strings.Index(line, b.text)
		if i >= 0 && (b.text[0] != '/' || machinePath(line, i)) {
			return b.text, b.why
		}
	}
	return "", ""
}

func TestBannedTextIsSeen(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		line string
		bad  bool
	}{
		{"go install example.org/x@v1.2.3", false},
		{"go install example.org/x" + "@" + "latest", true},
		{"DATA_DIR=/" + "work" + "/x", true},
		{"the home/" + "work" + "/life balance", false},
		{"GOPROXY=https://proxy." + "golang.org", true},
	} {
		text, _ := bannedIn(c.line)
		require.Equal(t, c.bad, text != "", c.line)
	}
}
