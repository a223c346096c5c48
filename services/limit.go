package services

import (
	"context"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"golang.org/x/time/rate"
)

// Rule is how many actions are allowed per window: N at once, then one each
// Per/N. A zero Rule allows everything.
type Rule struct {
	N   int
	Per time.Duration
}

// Limiter enforces rules per key over all instances: first with a bucket in
// this process, which refuses most of a flood for 0.1 µs, then in Redis, which
// every instance shares. While Redis is away the local buckets decide alone:
// limits become per instance, never off.
type Limiter struct {
	host   *Host
	prefix string
	rules  map[string]Rule
	counts map[string][]metric.AddOption // rule → its attribute
	shared *redis_rate.Limiter           // nil: no Redis
	seed   maphash.Seed
	shards [64]limitShard
}

type limitShard struct {
	mu      sync.Mutex
	buckets map[limitKey]*bucket
	sweep   int // size at which idle buckets are looked for
}

type limitKey struct{ rule, key string }

type bucket struct {
	local *rate.Limiter
	until time.Time // refused by Redis until then
	used  time.Time
}

// limitTimeout is how long Redis may take to answer for a limit; then the
// local bucket's word counts.
const limitTimeout = 100 * time.Millisecond

// NewLimiter makes a limiter. Its keys in Redis are
// rate:{<prefix>:<key>}:limit:<rule>, so that those of one key share a slot.
func (h *Host) NewLimiter(prefix string, rules map[string]Rule) *Limiter {
	l := &Limiter{host: h, prefix: prefix, rules: rules, seed: maphash.MakeSeed(), counts: make(map[string][]metric.AddOption, len(rules))}
	for rule := range rules {
		l.counts[rule] = []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(attribute.String("rule", rule)))}
	}
	for i := range l.shards {
		l.shards[i] = limitShard{buckets: make(map[limitKey]*bucket), sweep: 1024}
	}
	if client := h.impatientRedis(limitTimeout); client != nil {
		// Many checks at once share a round trip: 7 µs each in place of 29.
		if pipe, err := client.AutoPipeline(); err == nil {
			l.shared = redis_rate.NewLimiter(pipe)
		} else {
			h.log.Warn("limits go to redis one by one", "error", err)
			l.shared = redis_rate.NewLimiter(client)
		}
	}
	return l
}

// Allow takes one action of key under rule. When it is refused, retryAfter is
// how long until one would be allowed. key must be safe in a Redis key: a
// proto.Token. An unknown rule allows.
func (l *Limiter) Allow(ctx context.Context, rule, key string) (ok bool, retryAfter time.Duration) {
	r := l.rules[rule]
	if r.N <= 0 || r.Per <= 0 {
		return true, 0
	}
	if ok, retryAfter = l.allow(ctx, rule, key, r); !ok {
		l.host.metrics.refused.Add(ctx, 1, l.counts[rule]...)
	}
	return ok, retryAfter
}

func (l *Limiter) allow(ctx context.Context, rule, key string, r Rule) (ok bool, retryAfter time.Duration) {
	now := time.Now()
	s := l.shard(key)
	s.mu.Lock()
	b := s.bucket(limitKey{rule, key}, r, now)
	if wait := b.until.Sub(now); wait > 0 {
		s.mu.Unlock()
		return false, wait
	}
	if missing := 1 - b.local.TokensAt(now); missing > 0 {
		s.mu.Unlock()
		return false, time.Duration(missing * float64(r.Per) / float64(r.N))
	}
	// Taken before Redis is asked, so that a burst cannot pass while it is
	// away; given back if Redis refuses, or the two would drift apart.
	taken := b.local.ReserveN(now, 1)
	s.mu.Unlock()
	if l.shared == nil || l.host.breaker.open.Load() {
		return true, 0
	}
	allowed, wait, err := l.ask(ctx, rule, key, r)
	if err != nil || allowed {
		return true, 0
	}
	s.mu.Lock()
	taken.CancelAt(now)
	b.until = time.Now().Add(wait)
	s.mu.Unlock()
	return false, wait
}

// ask runs GCRA in Redis.
func (l *Limiter) ask(ctx context.Context, rule, key string, r Rule) (bool, time.Duration, error) {
	redisKey := "{" + l.prefix + ":" + key + "}:limit:" + rule
	res, err := l.shared.Allow(ctx, redisKey, redis_rate.Limit{Rate: r.N, Burst: r.N, Period: r.Per})
	if err != nil {
		return false, 0, fmt.Errorf("limit %s: %w", rule, err)
	}
	return res.Allowed > 0, max(res.RetryAfter, time.Millisecond), nil
}

func (l *Limiter) shard(key string) *limitShard {
	return &l.shards[maphash.String(l.seed, key)%uint64(len(l.shards))]
}

// bucket is the local bucket of a key; the shard's lock is held.
func (s *limitShard) bucket(key limitKey, r Rule, now time.Time) *bucket {
	b := s.buckets[key]
	if b == nil {
		if len(s.buckets) >= s.sweep {
			s.forgetIdle(now)
		}
		b = &bucket{local: rate.NewLimiter(rate.Limit(float64(r.N)/r.Per.Seconds()), r.N)}
		s.buckets[key] = b
	}
	b.used = now
	return b
}

// forgetIdle drops the buckets that are full again, which is what a new one is.
func (s *limitShard) forgetIdle(now time.Time) {
	for key, b := range s.buckets {
		if now.After(b.until) && b.local.TokensAt(now) >= float64(b.local.Burst()) {
			delete(s.buckets, key)
		}
	}
	s.sweep = max(1024, 2*len(s.buckets))
}
