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
	checks *queue                        // of AllowThen, at work in Redis
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
		l.checks = newQueue(limitWorkers, maxChecks, l.startWorker)
		l.checks.startOne()
		if h.partCtx.Err() != nil { // it was refused
			l.checks.close()
		}
	}
	return l
}

// Allow takes one action of key under rule. When it is refused, retryAfter is
// how long until one would be allowed. key must be safe in a Redis key: a
// proto.Token. An unknown rule allows.
func (l *Limiter) Allow(ctx context.Context, rule, key string) (ok bool, retryAfter time.Duration) {
	c := check{limiter: l, rule: rule, key: key}
	if c.local() {
		c.redis(ctx)
	}
	return c.verdict(ctx)
}

// AllowThen is Allow for those who must not wait: then is called once, under no
// lock; at once where this process decides alone, later by another goroutine
// where Redis is asked.
func (l *Limiter) AllowThen(rule, key string, then func(ok bool, retryAfter time.Duration)) {
	c := check{limiter: l, rule: rule, key: key}
	if c.local() {
		later := c
		later.then = then
		if l.checks.push("", &later) {
			return
		}
		// As many checks wait as Redis may have to answer: it is as good as away.
	}
	then(c.verdict(context.Background()))
}

const (
	// limitWorkers is how many checks of AllowThen share a round trip at most.
	limitWorkers = 64
	// maxChecks bounds the checks that wait for Redis.
	maxChecks = 4096
)

// startWorker starts one that makes checks until the host stops, and ends when
// those accepted before have been made. That a stop may refuse to start another
// harms nothing: the first is there.
func (l *Limiter) startWorker(work func()) {
	l.host.Go("limits", func(ctx context.Context) error {
		defer context.AfterFunc(ctx, l.checks.close)()
		work()
		return nil
	})
}

// check is one action on its way past a limit.
type check struct {
	limiter   *Limiter
	rule, key string
	then      func(bool, time.Duration)

	limit      Rule
	at         time.Time
	bucket     *bucket
	taken      *rate.Reservation
	refused    bool
	retryAfter time.Duration
}

// local takes the action from the local bucket. It says whether Redis is to be
// asked; if not, the verdict is there.
func (c *check) local() (undecided bool) {
	l := c.limiter
	c.limit = l.rules[c.rule]
	if c.limit.N <= 0 || c.limit.Per <= 0 {
		return false
	}
	c.at = time.Now()
	now := c.at
	s := l.shard(c.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	c.bucket = s.bucket(limitKey{c.rule, c.key}, c.limit, now)
	if wait := c.bucket.until.Sub(now); wait > 0 {
		c.refused, c.retryAfter = true, wait
		return false
	}
	if missing := 1 - c.bucket.local.TokensAt(now); missing > 0 {
		c.refused, c.retryAfter = true, time.Duration(missing*float64(c.limit.Per)/float64(c.limit.N))
		return false
	}
	// Taken before Redis is asked, so that a burst cannot pass while it is
	// away; given back if Redis refuses, or the two would drift apart.
	c.taken = c.bucket.local.ReserveN(now, 1)
	return l.shared != nil && !l.host.breaker.open.Load()
}

// redis asks Redis; without its answer the local bucket's word counts.
func (c *check) redis(ctx context.Context) {
	l := c.limiter
	allowed, wait, err := l.ask(ctx, c.rule, c.key, c.limit)
	if err != nil || wait <= 0 {
		return
	}
	s := l.shard(c.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	c.bucket.until = time.Now().Add(wait)
	if !allowed {
		c.refused, c.retryAfter = true, wait
		c.taken.CancelAt(c.at)
	}
}

func (c *check) verdict(ctx context.Context) (ok bool, retryAfter time.Duration) {
	if c.refused {
		c.limiter.host.metrics.refused.Add(ctx, 1, c.limiter.counts[c.rule]...)
	}
	// Whole milliseconds, as clients are told: after them one passes.
	return !c.refused, (c.retryAfter + time.Millisecond - 1).Truncate(time.Millisecond)
}

// run is a check's turn in Redis.
func (c *check) run() {
	ctx := c.limiter.host.requestCtx
	c.redis(ctx)
	defer c.limiter.host.logPanic(c.rule)
	c.then(c.verdict(ctx))
}

// ask runs GCRA in Redis. wait is how long no other action is allowed, 0 where one is.
func (l *Limiter) ask(ctx context.Context, rule, key string, r Rule) (allowed bool, wait time.Duration, err error) {
	redisKey := "{" + l.prefix + ":" + key + "}:limit:" + rule
	res, err := l.shared.Allow(ctx, redisKey, redis_rate.Limit{Rate: r.N, Burst: r.N, Period: r.Per})
	switch {
	case err != nil:
		return false, 0, fmt.Errorf("limit %s: %w", rule, err)
	case res.Allowed == 0:
		return false, max(res.RetryAfter, time.Millisecond), nil
	case res.Remaining > 0:
		return true, 0, nil
	}
	// It was the last one: the next is free when the bucket lacks no more than all but one.
	return true, res.ResetAfter - r.Per/time.Duration(r.N)*time.Duration(r.N-1), nil
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
