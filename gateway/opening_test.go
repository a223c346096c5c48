package gateway

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/services/servicestest"
)

// TestReturnsGoFirst: who returns has the next turn, whoever waited before; each kind in order.
func TestReturnsGoFirst(t *testing.T) {
	t.Parallel()
	o := newOpenings(1)
	require.NoError(t, o.enter(t.Context(), false))
	var mu sync.Mutex
	var order []string
	var wg sync.WaitGroup
	wait := func(ctx context.Context, name string, returns bool) {
		before := o.waiting()
		wg.Go(func() {
			if o.enter(ctx, returns) == nil {
				mu.Lock()
				order = append(order, name)
				mu.Unlock()
				o.leave()
			}
		})
		servicestest.Eventually(t, patience, "it waits", func() bool { return o.waiting() == before+1 })
	}
	for i := range 3 {
		wait(t.Context(), fmt.Sprint("fresh ", i), false)
	}
	given, giveUp := context.WithCancel(t.Context())
	wait(given, "given up", true)
	for i := range 3 {
		wait(t.Context(), fmt.Sprint("returns ", i), true)
	}
	giveUp()
	servicestest.Eventually(t, patience, "one has given up", func() bool { return o.waiting() == 6 })
	o.leave()
	wg.Wait()
	require.Equal(t, []string{"returns 0", "returns 1", "returns 2", "fresh 0", "fresh 1", "fresh 2"}, order)
	require.Equal(t, 1, o.free)
}

// TestOpeningsAreBounded: over the bound connections wait, and all get through.
func TestOpeningsAreBounded(t *testing.T) {
	t.Parallel()
	const most, all = 5, 200
	o := newOpenings(most)
	var mu sync.Mutex
	now, peak, failed := 0, 0, 0
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%7)*100*time.Microsecond+time.Duration(i%2)*patience)
			defer cancel()
			err := o.enter(ctx, i%3 == 0)
			count := func(n int) {
				mu.Lock()
				defer mu.Unlock()
				now += n
				peak = max(peak, now)
				if err != nil {
					failed++
				}
			}
			if err != nil {
				count(0)
				return
			}
			count(1)
			count(-1)
			o.leave()
		})
	}
	wg.Wait()
	require.LessOrEqual(t, peak, most)
	require.LessOrEqual(t, failed, all/2)
	require.Equal(t, most, o.free)
	require.Zero(t, o.waiting())
}

// TestConnectsWaitForTheirTurn: a client whose turn has not come is greeted once it has.
func TestConnectsWaitForTheirTurn(t *testing.T) {
	t.Parallel()
	m := runTuned(t, func(svc *Service) { svc.openings = newOpenings(1) })
	require.NoError(t, m.svc.openings.enter(t.Context(), false))
	first := m.newClient(m.dial("/ws?token="+tokenFor(t, "ann", "", time.Hour), nil), false)
	servicestest.Eventually(t, patience, "the client waits", func() bool { return m.svc.openings.waiting() == 1 })
	require.Empty(t, first.in)
	m.svc.openings.leave()
	first.greeted()
	servicestest.Eventually(t, patience, "all turns are back", func() bool {
		m.svc.openings.mu.Lock()
		defer m.svc.openings.mu.Unlock()
		return m.svc.openings.free == 1
	})
}
