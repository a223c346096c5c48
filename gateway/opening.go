package gateway

import (
	"context"
	"sync"
)

// maxOpening is how many connections are being opened at once. More of them would only wait for chat
// and presence, and hold up requests of those that are open.
const maxOpening = 300

// openings bounds the connections that are being opened. Those over the bound wait: sessions that
// return before new ones, each in order. A later rule may refuse by how long they would wait.
type openings struct {
	mu        sync.Mutex
	free      int
	returning []*turn
	fresh     []*turn
}

// turn is what a connection waits for.
type turn struct {
	given chan struct{} // closed when it may go on
	gone  bool          // nobody waits for it any more
}

func newOpenings(most int) *openings { return &openings{free: most} }

// enter waits for a turn. It returns the error of ctx if that ends first; otherwise leave must follow.
func (o *openings) enter(ctx context.Context, returns bool) error {
	o.mu.Lock()
	if o.free > 0 {
		o.free--
		o.mu.Unlock()
		return nil
	}
	w := &turn{given: make(chan struct{})}
	if returns {
		o.returning = append(o.returning, w)
	} else {
		o.fresh = append(o.fresh, w)
	}
	o.mu.Unlock()
	select {
	case <-w.given:
		return nil
	case <-ctx.Done():
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case <-w.given: // it came at the same time
		return nil
	default:
		w.gone = true
		return ctx.Err()
	}
}

// leave gives the turn to the next that waits.
func (o *openings) leave() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, queue := range [...]*[]*turn{&o.returning, &o.fresh} {
		for len(*queue) > 0 {
			w := (*queue)[0]
			(*queue)[0] = nil
			*queue = (*queue)[1:]
			if !w.gone {
				close(w.given)
				return
			}
		}
		*queue = nil
	}
	o.free++
}

// waiting returns how many wait for a turn.
func (o *openings) waiting() (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, queue := range [...][]*turn{o.returning, o.fresh} {
		for _, w := range queue {
			if !w.gone {
				n++
			}
		}
	}
	return n
}
