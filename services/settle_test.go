package services

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBackoff(t *testing.T) {
	t.Parallel()
	plain, spread := &worker{longest: lastRetry}, &worker{}
	WithPauses(time.Hour)(spread)
	for tries, want := range map[int]time.Duration{
		1: time.Second, 2: 2 * time.Second, 9: 256 * time.Second, 10: 5 * time.Minute, 1000: 5 * time.Minute,
	} {
		require.Equal(t, want, plain.backoff(tries), tries)
	}
	for tries, want := range map[int]time.Duration{1: time.Second, 12: 2048 * time.Second, 13: time.Hour, 1000: time.Hour} {
		different := map[time.Duration]bool{}
		for range 50 {
			got := spread.backoff(tries)
			require.InDelta(t, want, got, float64(want)/5+1, tries)
			different[got] = true
		}
		require.Greater(t, len(different), 10)
	}
}
