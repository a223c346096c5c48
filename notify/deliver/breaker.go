package deliver

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"

	"supmesh.dev/notify/push"
	"supmesh.dev/proto"
)

// A breaker opens when nearly everything fails: a server that takes a third of what
// it gets is worth asking.
const (
	breakAt          = 0.7 // of the tries
	breakAfter       = 30  // tries at least
	breakWindow      = 30 * time.Second
	breakFor         = 15 * time.Second
	closeAfter       = 3 // tries that succeed in a row
	shortestDeferral = time.Second
)

// maxBreakers bounds the servers that are watched one by one: webhooks are anybody's.
const maxBreakers = 4096

type breaker = circuitbreaker.CircuitBreaker[any]

// target is what has a breaker of its own: a provider, or one of its servers.
type target struct {
	provider    proto.PushProvider
	destination string
}

type breakers struct {
	mu  sync.Mutex
	all map[target]breaker
}

func newBreakers() *breakers {
	return &breakers{all: make(map[target]breaker)}
}

// of is the breaker of where a push goes.
func (b *breakers) of(provider push.Provider, to push.Registration) breaker {
	t := target{provider: provider.Name()}
	if many, ok := provider.(push.Destined); ok {
		t.destination = many.Destination(to)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if known, ok := b.all[t]; ok {
		return known
	}
	if len(b.all) >= maxBreakers {
		b.forget()
	}
	made := circuitbreaker.NewBuilder[any]().
		WithFailureRateThreshold(breakAt, breakAfter, breakWindow).
		WithDelay(breakFor).WithJitterFactor(0.2).
		WithSuccessThreshold(closeAfter).
		Build()
	b.all[t] = made
	return made
}

// forget makes room: first by what is closed, which a new breaker is as well.
func (b *breakers) forget() {
	for _, closedOnly := range []bool{true, false} {
		for t, one := range b.all {
			if len(b.all) < maxBreakers*3/4 {
				return
			}
			if !closedOnly || one.IsClosed() {
				delete(b.all, t)
			}
		}
	}
}

// states is how many breakers of each provider are in each state.
func (b *breakers) states() map[proto.PushProvider]map[circuitbreaker.State]int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	counts := map[proto.PushProvider]map[circuitbreaker.State]int64{}
	for t, one := range b.all {
		if counts[t.provider] == nil {
			counts[t.provider] = map[circuitbreaker.State]int64{}
		}
		counts[t.provider][one.State()]++
	}
	return counts
}

// around is a pause made longer by up to a half at random: what was put off together
// must not come again together.
func around(d time.Duration) time.Duration { return d + rand.N(d/2+1) }
