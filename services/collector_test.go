package services

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPercentForReachesTheFloorAndNeverLessThanDouble(t *testing.T) {
	t.Parallel()
	const mb = 1 << 20
	for _, tt := range []struct {
		live, floor uint64
		want        int
	}{
		{0, 64 * mb, 6300},
		{8 * mb, 64 * mb, 700},
		{31 * mb, 64 * mb, 106},
		{32 * mb, 64 * mb, 100},
		{500 * mb, 64 * mb, 100},
	} {
		require.Equal(t, tt.want, percentFor(tt.live, tt.floor), "live %d", tt.live)
	}
}

var sink []byte

func TestASmallHeapIsCollectedAtTheFloor(t *testing.T) {
	t.Setenv("GOGC", "")
	before := debug.SetGCPercent(100)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	stop := TuneCollector()
	defer stop()
	runtime.GC()
	runtime.GC() // the sentinel of the first has been seen
	start := cycles()
	for range 1000 { // 256 MiB of garbage
		sink = make([]byte, 256<<10)
	}
	require.LessOrEqual(t, cycles()-start, uint64(12), "Go's own rule would collect some sixty times")
}

func cycles() uint64 {
	s := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
