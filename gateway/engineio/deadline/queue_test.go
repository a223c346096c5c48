package deadline_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"supmesh.dev/gateway/engineio/deadline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// item reports when it falls due.
type item struct {
	deadline.Entry
	n   int
	due chan<- int
}

func (i *item) Expire() { i.due <- i.n }

func run(t *testing.T, granularity time.Duration) *deadline.Queue {
	q := deadline.New(granularity)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = q.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return q
}

func receive(t *testing.T, from <-chan int) int {
	t.Helper()
	select {
	case n := <-from:
		return n
	case <-time.After(patience):
		require.FailNow(t, "nothing fell due")
		return 0
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	const total = 500
	q := deadline.New(time.Millisecond)
	due := make(chan int, total)
	for _, n := range rand.Perm(total) {
		i := &item{n: n, due: due}
		q.Set(&i.Entry, i, time.Hour) // moved below
		q.SetAt(&i.Entry, i, time.Duration(n))
	}
	require.Equal(t, total, q.Len())
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = q.Run(ctx) })
	for n := range total {
		require.Equal(t, n, receive(t, due))
	}
	cancel()
	running.Wait()
	require.Zero(t, q.Len())
}

func TestNeverEarly(t *testing.T) {
	t.Parallel()
	q := run(t, time.Millisecond)
	due := make(chan int, 1)
	i := &item{due: due}
	began := time.Now()
	q.Set(&i.Entry, i, 30*time.Millisecond)
	receive(t, due)
	require.GreaterOrEqual(t, time.Since(began), 30*time.Millisecond)
}

func TestEarlierEntryWakesTheQueue(t *testing.T) {
	t.Parallel()
	q := run(t, time.Hour)
	due := make(chan int, 2)
	late, early := &item{n: 1, due: due}, &item{n: 2, due: due}
	q.Set(&late.Entry, late, time.Hour)
	q.Set(&early.Entry, early, 0)
	require.Equal(t, 2, receive(t, due))
}

func TestRemove(t *testing.T) {
	t.Parallel()
	q := run(t, time.Millisecond)
	due := make(chan int, 2)
	gone, kept := &item{n: 1, due: due}, &item{n: 2, due: due}
	q.Set(&gone.Entry, gone, 10*time.Millisecond)
	q.Set(&kept.Entry, kept, 20*time.Millisecond)
	q.Remove(&gone.Entry)
	q.Remove(&gone.Entry)
	require.Equal(t, 2, receive(t, due))
	q.Set(&gone.Entry, gone, 0)
	require.Equal(t, 1, receive(t, due), "a removed entry can be used again")
}

// TestHeapAgainstModel moves and removes entries at random and checks what is left.
func TestHeapAgainstModel(t *testing.T) {
	t.Parallel()
	q := deadline.New(time.Millisecond)
	due := make(chan int, 200)
	items := make([]*item, 200)
	model := map[int]time.Duration{}
	for n := range items {
		items[n] = &item{n: n, due: due}
	}
	for range 5000 {
		n := rand.IntN(len(items))
		if rand.IntN(3) == 0 {
			q.Remove(&items[n].Entry)
			delete(model, n)
		} else {
			at := time.Duration(rand.IntN(1000)) * time.Nanosecond
			q.SetAt(&items[n].Entry, items[n], at)
			model[n] = at
		}
		require.Equal(t, len(model), q.Len())
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = q.Run(ctx) })
	last := time.Duration(-1)
	for range len(model) {
		n := receive(t, due)
		at, queued := model[n]
		require.True(t, queued)
		require.GreaterOrEqual(t, at, last)
		delete(model, n)
		last = at
	}
	cancel()
	running.Wait()
}

func BenchmarkSet(b *testing.B) {
	q := deadline.New(time.Millisecond)
	items := make([]item, 100_000)
	for i := range items {
		q.Set(&items[i].Entry, &items[i], time.Hour+time.Duration(i))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		n := i % len(items)
		q.Set(&items[n].Entry, &items[n], time.Hour)
	}
}
