package archtest

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGoroutinesHaveAnOwner(t *testing.T) {
	t.Parallel()
	for _, f := range goFiles(t) {
		allowed := f.isTest() || slices.ContainsFunc(startsGoroutines, func(prefix string) bool { return below(f.dir(), prefix) })
		if !allowed && len(f.starts) > 0 {
			t.Errorf("%s:%d starts a goroutine that nobody waits for: host.Go does", f.path, f.starts[0])
		}
	}
}

func TestLeaksAreLookedFor(t *testing.T) {
	t.Parallel()
	tested, looks := map[string]string{}, map[string]bool{}
	for _, f := range goFiles(t) {
		if f.isTest() {
			tested[f.dir()] = f.path
			looks[f.dir()] = looks[f.dir()] || f.leaks
		}
	}
	for dir, file := range tested {
		if !looks[dir] {
			t.Errorf("%s: no TestMain in %s looks for leaked goroutines (goleak)", file, dir)
		}
	}
}

func TestGoroutinesAreSeen(t *testing.T) {
	t.Parallel()
	f, err := parse("chat/x.go", []byte("package chat\n\nfunc f() {\n\tgo f()\n}\n"))
	require.NoError(t, err)
	require.Equal(t, []int{4}, f.starts)
	require.False(t, f.leaks)
	f, err = parse("chat/x_test.go", []byte("package chat\n\nfunc TestMain(m *testing.M) { goleak.VerifyTestMain(m) }\n"))
	require.NoError(t, err)
	require.True(t, f.leaks)
}
