package services

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
)

// minHeap is how large the heap of a process may grow before it is worth
// collecting. Go's own rule, twice what lives, has a service that holds ten
// megabytes and makes forty a second collect four times a second: a tenth of
// its CPU (measured). Above minHeap the rule is Go's again, so a gateway with
// many connections takes no more memory than without it.
const minHeap = 64 << 20

// TuneCollector lets the heap of this process grow to 64 MiB before it is
// collected, until stop; GOGC in the environment wins. Main calls it; a program
// that runs hosts by itself may, once.
func TuneCollector() (stop func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	c := &collector{floor: minHeap, percent: 100}
	c.adjust()
	c.arm()
	return func() {
		c.stopped.Store(true)
		debug.SetGCPercent(100)
	}
}

type collector struct {
	floor   uint64
	percent int // the finalizer's own after the first adjust
	stopped atomic.Bool
}

// sentinel dies in every collection: its finalizer is how to hear of one.
type sentinel struct{ _ [16]byte }

func (c *collector) arm() {
	runtime.SetFinalizer(new(sentinel), func(*sentinel) {
		if !c.stopped.Load() {
			c.adjust()
			c.arm()
		}
	})
}

// adjust sets the percentage at which the heap next reaches the floor. Setting
// it stops the world for a moment, so a small change is left.
func (c *collector) adjust() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	if want := percentFor(live[0].Value.Uint64(), c.floor); want*10 > c.percent*11 || want*11 < c.percent*10 {
		c.percent = want
		debug.SetGCPercent(want)
	}
}

// percentFor is the GOGC at which a heap of live bytes is collected when it is
// at floor, but never before it has doubled.
func percentFor(live, floor uint64) int {
	live = max(live, 1<<20)
	if floor <= 2*live {
		return 100
	}
	return int((floor - live) * 100 / live)
}
