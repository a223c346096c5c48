package bench

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLedger(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		delivered []uint64
		own       []uint64
		top       uint64
		missing   uint64
		repeated  uint64
		disorder  uint64
	}{
		{name: "nothing"},
		{name: "dense", delivered: []uint64{1, 2, 3}, top: 3},
		{name: "own between", delivered: []uint64{1, 4}, own: []uint64{2, 3}, top: 4},
		{name: "gap", delivered: []uint64{1, 3}, top: 3, missing: 1},
		{name: "tail missing", delivered: []uint64{1}, top: 200, missing: 199},
		{name: "repeat", delivered: []uint64{1, 2, 2, 3}, top: 3, repeated: 1, disorder: 1},
		{name: "swapped", delivered: []uint64{2, 1, 3}, top: 3, disorder: 1},
		{name: "own delivered too", delivered: []uint64{1}, own: []uint64{1}, top: 1, repeated: 1},
		{name: "word border", delivered: []uint64{63, 64, 65, 128, 129}, top: 129, missing: 124},
		{name: "seq zero", delivered: []uint64{0}, repeated: 1, disorder: 1},
	} {
		var l ledger
		for _, seq := range c.delivered {
			l.delivered(seq)
		}
		for _, seq := range c.own {
			l.own(seq)
		}
		require.Equal(t, c.missing, l.missing(c.top), c.name)
		require.Equal(t, c.repeated, l.repeated, c.name)
		require.Equal(t, c.disorder, l.disordered, c.name)
	}
}

func TestSchedule(t *testing.T) {
	t.Parallel()
	s := newSchedule(250, 2*time.Second, 10, 1)
	require.Equal(t, 500, s.count)
	require.Zero(t, s.due(0))
	require.Equal(t, time.Second, s.due(250))
	require.Equal(t, 250, s.at(time.Second))
	require.Equal(t, 500, s.at(time.Hour))
	var hits [10]int
	for i := range s.count {
		require.GreaterOrEqual(t, s.due(i+1), s.due(i))
		hits[s.sender(i)]++
	}
	for sender, n := range hits {
		require.Greater(t, n, 20, "sender %d", sender)
	}
	again := newSchedule(250, 2*time.Second, 10, 1)
	require.Equal(t, s.sender(77), again.sender(77))
}

func TestSleepUntil(t *testing.T) {
	t.Parallel()
	start := time.Now()
	sleepUntil(start, 3*time.Millisecond)
	sleepUntil(start, 4*time.Millisecond)
	require.GreaterOrEqual(t, time.Since(start), 4*time.Millisecond)
	sleepUntil(start, -time.Hour)
	require.Less(t, time.Since(start), time.Minute)
}

func TestMedian(t *testing.T) {
	t.Parallel()
	require.Zero(t, median(nil))
	require.InDelta(t, 3, median([]float64{3}), 0)
	require.InDelta(t, 2, median([]float64{9, 1, 2}), 0)
	require.InDelta(t, 2.5, median([]float64{4, 1, 2, 3}), 0)
}

func TestLatency(t *testing.T) {
	t.Parallel()
	l := newLatency()
	for i := 1; i <= 1000; i++ {
		l.record(time.Duration(i) * time.Millisecond)
	}
	require.InEpsilon(t, 500, l.quantile(50), 0.01)
	require.InEpsilon(t, 990, l.quantile(99), 0.01)
	l.record(-time.Second)
	l.record(time.Hour)
	require.InEpsilon(t, maxLatency.Milliseconds(), l.quantile(100), 0.01)
}

func TestMediansOfRuns(t *testing.T) {
	t.Parallel()
	run := func(v float64, problems ...string) result {
		r := result{Offered: 10, Problems: problems}
		r.add("x", "ms", v)
		return r
	}
	got := medians([]result{run(1), run(5, "late"), run(3)})
	v, ok := got.value("x")
	require.True(t, ok)
	require.InDelta(t, 3, v, 0)
	require.Equal(t, 3, got.Runs)
	require.Equal(t, []string{"run 2: late"}, got.Problems)
	require.False(t, got.sustained())
}

func TestSearchNarrows(t *testing.T) {
	t.Parallel()
	const capacity = 730
	var held, broke *result
	rate, tries := 100.0, 0
	for ; rate > 0; tries++ {
		require.Less(t, tries, 12)
		r := &result{Offered: rate}
		if rate <= capacity {
			held = r
		} else {
			broke = r
		}
		rate = nextRate(held, broke)
	}
	require.LessOrEqual(t, held.Offered, float64(capacity))
	require.LessOrEqual(t, broke.Offered, held.Offered*1.15)
}
