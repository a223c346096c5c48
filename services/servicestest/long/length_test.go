package long_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"supmesh.dev/services/servicestest/long"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// probe records how a test under another name would end.
type probe struct {
	testing.TB
	name  string
	ended string
}

func (*probe) Helper()        {}
func (p *probe) Name() string { return p.name }

func (p *probe) Skip(args ...any) { p.end("skip: " + fmt.Sprint(args...)) }

func (p *probe) Fatalf(format string, args ...any) { p.end("fatal: " + fmt.Sprintf(format, args...)) }

func (p *probe) end(text string) {
	p.ended = text
	runtime.Goexit()
}

// run calls f as a test of the given name.
func run(t *testing.T, name string, f func(testing.TB)) string {
	t.Helper()
	p := &probe{TB: t, name: name}
	done := make(chan struct{})
	go func() { defer close(done); f(p) }()
	<-done
	return p.ended
}

func TestCount(t *testing.T) { //nolint:paralleltest // sets the environment
	for _, c := range []struct {
		percent           string
		short, full, want int
	}{
		{"", 10, 1000, 10},
		{"100", 10, 1000, 1000},
		{"25", 10, 1000, 250},
		{"1", 50, 1000, 50},
	} {
		t.Setenv(long.Variable, c.percent)
		var got int
		ended := run(t, "TestSoakOfPushes/redis", func(t testing.TB) { got = long.Count(t, c.short, c.full) })
		require.Empty(t, ended)
		require.Equal(t, c.want, got, "%+v", c)
	}
	for _, wrong := range []string{"0", "101", "full"} {
		t.Setenv(long.Variable, wrong)
		ended := run(t, "TestModel", func(t testing.TB) { long.Count(t, 1, 2) })
		require.Contains(t, ended, "want a percentage", wrong)
	}
}

func TestOnly(t *testing.T) {
	t.Setenv(long.Variable, "")
	require.Contains(t, run(t, "TestTrial", long.Only), "skip")
	t.Setenv(long.Variable, "1")
	require.Empty(t, run(t, "TestTrial", long.Only))
}

func TestALongTestHasALongName(t *testing.T) {
	t.Setenv(long.Variable, "")
	require.Contains(t, run(t, "TestSend", long.Only), "its name must match")
	require.Contains(t, run(t, "TestModels", long.Only), "skip")
}
