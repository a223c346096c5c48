package projection

import (
	"sync"

	"github.com/redis/go-redis/v9"
)

// reused are operations that are used again. In a cluster they are not: go-redis
// notes in a command which slot it goes to, once.
type reused[T any] struct {
	fresh func() *T
	once  bool
	pool  sync.Pool
}

func newReused[T any](client redis.UniversalClient, fresh func() *T) *reused[T] {
	_, cluster := client.(*redis.ClusterClient)
	return &reused[T]{fresh: fresh, once: cluster}
}

func (r *reused[T]) get() *T {
	if op, ok := r.pool.Get().(*T); ok {
		return op
	}
	return r.fresh()
}

func (r *reused[T]) put(op *T) {
	if !r.once {
		r.pool.Put(op)
	}
}
