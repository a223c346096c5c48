package bench

import (
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// maxLatency is the top of the scale; what takes longer counts as this long.
const maxLatency = time.Minute

// latency is a histogram in microseconds with three significant digits. Not
// safe for concurrent use.
type latency struct{ h *hdrhistogram.Histogram }

func newLatency() latency {
	return latency{hdrhistogram.New(1, maxLatency.Microseconds(), 3)}
}

func (l latency) record(d time.Duration) {
	_ = l.h.RecordValue(min(max(d, time.Microsecond), maxLatency).Microseconds()) // in range by the clamp
}

// quantile is in milliseconds; q in percent.
func (l latency) quantile(q float64) float64 { return float64(l.h.ValueAtQuantile(q)) / 1000 }

// median of the values, which it sorts.
func median(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	switch {
	case n == 0:
		return 0
	case n%2 == 1:
		return values[n/2]
	}
	return (values[n/2-1] + values[n/2]) / 2
}
