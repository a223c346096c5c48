package eventlog_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/services/eventlog"
)

// TestHead: whoever asks learns of all that was stored before, though requests
// are shared.
func TestHead(t *testing.T) {
	t.Parallel()
	w := open(t)
	l, ctx := w.log, w.ctx
	const callers, each = 16, 50
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for range each {
				ack, err := w.host.JetStream().Publish(ctx, fmt.Sprintf("ev.chat.c%d.msg", i), []byte("x"))
				if err != nil {
					t.Errorf("append: %v", err)
					return
				}
				last := ack.Sequence
				if head, err := l.Head(ctx); err != nil || head < last {
					t.Errorf("head %d, %v; stored %d", head, err, last)
				}
			}
		})
	}
	wg.Wait()
	head, err := l.Head(ctx)
	require.NoError(t, err)
	require.EqualValues(t, callers*each, head)
}

// TestHeadIsLeft: one who gives up neither fails the others nor keeps the turn.
func TestHeadIsLeft(t *testing.T) {
	t.Parallel()
	w := open(t)
	l, n, ctx := w.log, w.nats, w.ctx
	gone, cancel := context.WithCancel(ctx)
	cancel()
	for range 50 {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				if i%2 == 0 {
					_, _ = l.Head(gone)
				} else if _, err := l.Head(ctx); err != nil {
					t.Errorf("head: %v", err)
				}
			})
		}
		wg.Wait()
	}
	_, err := l.Head(ctx)
	require.NoError(t, err)
	n.Stop()
	_, err = l.Head(ctx)
	require.ErrorIs(t, err, eventlog.ErrUnavailable)
}
