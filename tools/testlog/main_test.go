package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// killed is the log of a run that was killed in the middle of a line.
const killed = `{"Time":"2026-01-01T00:00:00Z","Action":"start","Package":"a"}
{"Time":"2026-01-01T00:00:00Z","Action":"run","Package":"a","Test":"TestGood"}
{"Time":"2026-01-01T00:00:01Z","Action":"pass","Package":"a","Test":"TestGood","Elapsed":1}
{"Time":"2026-01-01T00:00:01Z","Action":"run","Package":"a","Test":"TestBad"}
{"Time":"2026-01-01T00:00:02Z","Action":"fail","Package":"a","Test":"TestBad","Elapsed":1}
{"Time":"2026-01-01T00:00:02Z","Action":"run","Package":"a","Test":"TestAfterAPanic"}
{"Time":"2026-01-01T00:00:02Z","Action":"fail","Package":"a","Elapsed":2}
{"Time":"2026-01-01T00:00:02Z","Action":"start","Package":"b"}
{"Time":"2026-01-01T00:00:02Z","Action":"pass","Package":"b","Elapsed":0.5}
{"Time":"2026-01-01T00:00:02Z","Action":"start","Package":"c"}
{"ImportPath":"d","Action":"build-fail"}
{"Time":"2026-01-01T00:00:02Z","Action":"fail","Package":"d","Elapsed":0}
{"Time":"2026-01-01T00:00:03Z","Action":"run","Package":"c","Test":"TestHangs"}
{"Time":"2026-01-01T00:00:03Z","Action":"run","Package":"c","Test":"TestWaits"}
{"Time":"2026-01-01T00:00:03Z","Action":"pause","Package":"c","Test":"TestWaits"}
{"Time":"2026-01-01T00:00:13Z","Action":"output","Package":"c","Test":"TestHangs","Output":"x"}
{"Time":"2026-01-01T00:00:14Z","Action":"pass","Pack`

func TestALogOfAKilledRun(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "test.json")
	require.NoError(t, os.WriteFile(file, []byte(killed), 0o600))
	var out strings.Builder
	require.NoError(t, run([]string{file}, &out))
	require.Equal(t, `── the slowest packages
     2.0 s  a
     0.5 s  b
     0.0 s  d
── not ended
    11.0 s  c
    10.0 s  c TestHangs
── failed
           a TestBad
           d
`, out.String())
}

func TestTheTenSlowestPackages(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	for i := range 12 {
		fmt.Fprintf(&log, `{"Time":"2026-01-01T00:00:00Z","Action":"pass","Package":"p%d","Elapsed":%d}`+"\n", i, i)
	}
	l, err := read(strings.NewReader(log.String()))
	require.NoError(t, err)
	var out strings.Builder
	l.print(&out)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 11)
	require.Equal(t, "    11.0 s  p11", lines[1])
}

func TestWrongArguments(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, run(nil, nil), "usage")
	require.ErrorIs(t, run([]string{filepath.Join(t.TempDir(), "none")}, nil), os.ErrNotExist)
}
