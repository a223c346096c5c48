package bench

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

func TestParseStat(t *testing.T) {
	t.Parallel()
	rest := " S 1 2 3 4 5 6 7 8 9 10 150 50 13 14 15"
	for _, name := range []string{"gateway", "a b", "x) R 1 (y"} {
		got, err := parseStat([]byte("42 (" + name + ")" + rest))
		require.NoError(t, err)
		require.Equal(t, 2*time.Second, got, name)
	}
	for _, bad := range []string{"", "42 gateway", "42 (x) S 1 2", "42 (x) S 1 2 3 4 5 6 7 8 9 10 a b 13"} {
		_, err := parseStat([]byte(bad))
		require.Error(t, err, bad)
	}
}

func TestKilobytes(t *testing.T) {
	t.Parallel()
	text := []byte("Name:\tx\nVmRSS:\t   1234 kB\nVmRSSx: 9 kB\n")
	require.EqualValues(t, 1234<<10, kilobytes(text, "VmRSS:"))
	require.Zero(t, kilobytes(text, "Pss:"))
}

func TestParseMetrics(t *testing.T) {
	t.Parallel()
	got, err := parseMetrics(strings.NewReader("# HELP a b\n# TYPE a gauge\na 1.5e+06\nb{x=\"y\"} 2\nc three\n\n"))
	require.NoError(t, err)
	require.Equal(t, map[string]float64{"a": 1.5e6}, got)
}

func TestOwnUsage(t *testing.T) {
	t.Parallel()
	_, err := cpuTime(os.Getpid())
	require.NoError(t, err)
	m, err := memoryOf(os.Getpid())
	require.NoError(t, err)
	require.Positive(t, m.rss)
	_, err = cpuTime(1 << 30)
	require.Error(t, err)
}

func TestChildThatDiesIsTold(t *testing.T) {
	t.Parallel()
	s, err := newSystem(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.run("broken", nil, "sh", "-c", "seq 1 30; echo the reason; exit 3"))
	err = s.await("broken", listening("127.0.0.1:1"))
	require.ErrorContains(t, err, "broken ended (exit status 3)")
	require.ErrorContains(t, err, "the reason")
	require.NotContains(t, err.Error(), "\n1\n", "only the last lines")
	require.NoError(t, s.stop())
	require.NoDirExists(t, s.dir)
}

func TestChildIsStopped(t *testing.T) {
	t.Parallel()
	s, err := newSystem(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.run("sleeper", []string{"X=1"}, "sleep", "60"))
	require.Contains(t, s.pids(), "sleeper")
	require.NoError(t, s.stop())
	require.Error(t, s.children[0].err, "ended by the signal")
}

func TestTail(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"": "", "a": "a", "a\nb\n": "a\nb", "a\nb\nc\nd\n": "b\nc\nd"} {
		c := &child{log: t.TempDir() + "/log"}
		require.NoError(t, os.WriteFile(c.log, []byte(text), 0o600))
		require.Equal(t, want, string(c.tail(3)), strings.ReplaceAll(text, "\n", "|"))
	}
}

func TestDescriptorLimit(t *testing.T) {
	t.Parallel()
	require.NoError(t, checkDescriptors(20_000, 19_000))
	require.ErrorContains(t, checkDescriptors(1024, 19_000), "ulimit -n")
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	require.ErrorContains(t, (&IdleCmd{Connections: 0, For: time.Second}).Run(ctx), "--connections")
	require.ErrorContains(t, (&FanoutCmd{Members: 1}).Run(ctx), "--members")
	require.ErrorContains(t, (&PairsCmd{Chats: 1, Members: 2, Rates: Rates{For: time.Hour}}).Run(ctx), "--for")
	require.ErrorContains(t, (&PairsCmd{Chats: 1, Members: 2, Options: Options{Runs: 10}, Rates: Rates{
		For: time.Second, Limit: time.Second, Content: 64, Rate: []float64{10},
	}}).Run(ctx), "--runs")
	storm := func(change func(*StormCmd)) error {
		c := StormCmd{Options: Options{Target: "mesh"}, Members: 100, Typists: 60, Viewers: 39, Messages: 1, Content: 64, Limit: time.Second}
		change(&c)
		return c.Run(ctx)
	}
	require.ErrorContains(t, storm(func(c *StormCmd) { c.Target = "socketio-npm" }), "--target")
	require.ErrorContains(t, storm(func(c *StormCmd) { c.Members = proto.SmallChat }), "--members")
	require.ErrorContains(t, storm(func(c *StormCmd) { c.Viewers = 40 }), "--viewers", "the author neither views nor types")
	require.ErrorContains(t, storm(func(c *StormCmd) { c.Messages = 0 }), "--messages")
}
