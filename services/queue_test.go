package services

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type jobFunc func()

func (f jobFunc) run() { f() }

// Two jobs that come while one worker idles: the one that it takes, and never ends,
// does not hold up the other.
func TestQueueWakesAWorkerForEachJob(t *testing.T) {
	t.Parallel()
	for range 200 {
		var under sync.WaitGroup
		q := newQueue(8, 64, under.Go)
		q.startOne()
		release, other := make(chan struct{}), make(chan struct{})
		deadline := time.Now().Add(5 * time.Second)
		for waiting := false; !waiting && time.Now().Before(deadline); {
			q.mu.Lock()
			waiting = q.idle == 1
			q.mu.Unlock()
		}
		require.True(t, q.push("a", jobFunc(func() { <-release })))
		require.True(t, q.push("b", jobFunc(func() { close(other) })))
		select {
		case <-other:
		case <-time.After(30 * time.Second):
			t.Fatal("the other job was not run")
		}
		close(release)
		q.close()
		under.Wait()
	}
}
