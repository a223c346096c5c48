package notify

import (
	"context"
	"hash/maphash"

	"supmesh.dev/proto"
)

// turns lets one at a time of this instance add to a user's notifications: each
// addition follows from the one before, so that others would only have to try
// again. Some users share a turn.
type turns struct {
	seed  maphash.Seed
	slots [512]chan struct{}
}

func newTurns() turns {
	t := turns{seed: maphash.MakeSeed()}
	for i := range t.slots {
		t.slots[i] = make(chan struct{}, 1)
	}
	return t
}

// take waits for a user's turn, which lasts until it is given back.
func (t *turns) take(ctx context.Context, user proto.Token) (giveBack func(), err error) {
	slot := t.slots[maphash.String(t.seed, string(user))%uint64(len(t.slots))]
	select {
	case slot <- struct{}{}:
		return func() { <-slot }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
