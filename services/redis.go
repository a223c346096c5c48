package services

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/extra/redisotel/v9"
	"github.com/redis/go-redis/v9"

	"supmesh.dev/proto"
)

// quietRedis silences go-redis's own printing: what matters of it reaches the
// log as errors. Its logger is the process's, so Main sets it and no host does.
type quietRedis struct{}

func (quietRedis) Printf(context.Context, string, ...any) {}

// ErrRedisDown is what every command answers while Redis is away. A handler
// may return it: clients see SERVICE_UNAVAILABLE.
var ErrRedisDown error = &proto.Error{Code: proto.ServiceUnavailable, Message: "state is unavailable", RetryAfter: time.Second}

// RedisOutcome is the error of a command, or of a script, as who called it may
// branch on it: nil, also where there was nothing; Redis's own answer; ctx's error;
// or ErrRedisDown with its cause: what was to be written may be written or not.
func RedisOutcome(ctx context.Context, err error) error {
	var answered redis.Error
	switch {
	case err == nil || errors.Is(err, redis.Nil):
		return nil
	case errors.Is(err, ErrRedisDown):
		return err
	case isOutage(err) && ctx.Err() == nil:
		return fmt.Errorf("%w: %w", ErrRedisDown, err)
	case errors.As(err, &answered):
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return fmt.Errorf("%w: %w", ErrRedisDown, err)
}

// Unavailable is what a caller is told of a failed dependency: SERVICE_UNAVAILABLE
// with this text, where err is that, the end of ctx's time, or one of the causes.
// Any other error stays as it is.
func Unavailable(err error, text string, causes ...error) error {
	var known *proto.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known) && known.Code != proto.ServiceUnavailable:
		return err
	case known != nil, errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled),
		slices.ContainsFunc(causes, func(cause error) bool { return errors.Is(err, cause) }):
		return &proto.Error{Code: proto.ServiceUnavailable, Message: text, RetryAfter: time.Second}
	}
	return err
}

// redisOptions reads REDIS_URL; nil where there is none.
func (c *Config) redisOptions() (*redis.UniversalOptions, error) {
	raw := c.RedisURL.Reveal()
	if raw == "" {
		return nil, nil //nolint:nilnil // no Redis is a setting, not an error
	}
	o := &redis.UniversalOptions{
		IsClusterMode: c.RedisCluster,
		// A command whose reply was lost may have run: repeating it is the
		// caller's decision. Left on, 5 % lost replies ran 5 % of INCRs twice.
		MaxRetries: -1,
		// Without this a ctx of 500 ms returns after 5 s.
		ContextTimeoutEnabled: true,
		// The breaker's background ping is what dials again; five tries inside
		// one command would make it wait half a second to hear "refused".
		DialerRetries: 1,
		DialTimeout:   time.Second,
		ReadTimeout:   500 * time.Millisecond,
		WriteTimeout:  500 * time.Millisecond,
		PoolTimeout:   time.Second,
		MinIdleConns:  2,
	}
	if c.RedisCluster {
		p, err := redis.ParseClusterURL(raw)
		if err != nil {
			return nil, fmt.Errorf("REDIS_URL: %s", withoutSecret(err, raw))
		}
		o.Addrs, o.Username, o.Password, o.TLSConfig = p.Addrs, p.Username, p.Password, p.TLSConfig
		return o, nil
	}
	p, err := redis.ParseURL(raw)
	if err != nil {
		return nil, fmt.Errorf("REDIS_URL: %s", withoutSecret(err, raw))
	}
	o.Addrs, o.DB, o.Username, o.Password, o.TLSConfig = []string{p.Addr}, p.DB, p.Username, p.Password, p.TLSConfig
	return o, nil
}

// withoutSecret is err's text without the address, which may hold a password.
func withoutSecret(err error, raw string) string {
	return strings.ReplaceAll(err.Error(), raw, hidden)
}

func (h *Host) connectRedis() error {
	h.redis = h.opts.redis
	if h.redis == nil {
		o, err := h.cfg.redisOptions()
		if err != nil || o == nil {
			return err
		}
		o.ClientName = h.name + "-" + h.cfg.InstanceID
		h.redis = redis.NewUniversalClient(o)
	}
	h.breaker = &breaker{host: h}
	h.redis.AddHook(h.breaker)
	if h.telemetry.traces != nil {
		if err := redisotel.InstrumentTracing(h.redis, redisotel.WithTracerProvider(h.telemetry.traces), redisotel.WithDBStatement(false), redisotel.WithCallerEnabled(false)); err != nil {
			return fmt.Errorf("trace redis: %w", err)
		}
	}
	h.OnReady("redis", func(context.Context) Status {
		if h.breaker.open.Load() {
			return StatusDegraded("redis is away")
		}
		return StatusOK
	})
	return nil
}

// impatientRedis is a second client for commands that are not worth a wait:
// its timeouts are short because a command in an automatic pipeline does not
// look at its ctx any more. A client that was injected serves for both.
func (h *Host) impatientRedis(timeout time.Duration) redis.UniversalClient {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.redis == nil || h.opts.redis != nil {
		return h.redis
	}
	if h.limits == nil {
		o, err := h.cfg.redisOptions()
		if err != nil || o == nil { // it has been read before
			return h.redis
		}
		o.ClientName = h.name + "-" + h.cfg.InstanceID + "-limits"
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = timeout, timeout, timeout, timeout
		h.limits = redis.NewUniversalClient(o)
		h.limits.AddHook(h.breaker)
	}
	return h.limits
}

func (h *Host) closeRedis() {
	if h.opts.redis != nil {
		return
	}
	for _, client := range []redis.UniversalClient{h.limits, h.redis} {
		if client == nil {
			continue
		}
		if err := client.Close(); err != nil {
			h.log.Warn("close redis", "error", err)
		}
	}
}

// breaker makes commands fail at once while Redis is away, so that nobody
// waits out a timeout per message. It opens on the first failure of a
// connection and closes when a ping, sent in the background, is answered.
type breaker struct {
	host *Host
	open atomic.Bool
}

const breakerPing = 250 * time.Millisecond

type breakerProbe struct{}

func (b *breaker) DialHook(next redis.DialHook) redis.DialHook { return next }

func (b *breaker) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if b.refuses(ctx) {
			cmd.SetErr(ErrRedisDown)
			return ErrRedisDown
		}
		start := time.Now()
		err := next(ctx, cmd)
		b.saw(err, start)
		return err
	}
}

func (b *breaker) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if b.refuses(ctx) {
			for _, cmd := range cmds {
				cmd.SetErr(ErrRedisDown)
			}
			return ErrRedisDown
		}
		start := time.Now()
		err := next(ctx, cmds)
		b.saw(err, start)
		return err
	}
}

func (b *breaker) refuses(ctx context.Context) bool {
	return b.open.Load() && ctx.Value(breakerProbe{}) == nil
}

func (b *breaker) saw(err error, start time.Time) {
	if err == nil || !isOutage(err) {
		return
	}
	// A caller with hardly any time left says nothing about Redis.
	if errors.Is(err, context.DeadlineExceeded) && time.Since(start) < limitTimeout*9/10 {
		return
	}
	if !b.open.CompareAndSwap(false, true) {
		return
	}
	b.host.log.Warn("redis is away", "error", err)
	if !b.host.Go("redis probe", b.probe) {
		b.open.Store(false)
	}
}

func (b *breaker) probe(ctx context.Context) error {
	ctx = context.WithValue(ctx, breakerProbe{}, true)
	tick := time.NewTicker(breakerPing)
	defer tick.Stop()
	defer b.open.Store(false)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := b.host.redis.Ping(ctx).Err(); err == nil {
			b.host.log.Info("redis is back")
			return nil
		}
	}
}

// isOutage says whether err means that Redis cannot serve, rather than that a
// command was wrong or its caller left.
func isOutage(err error) bool {
	var reply redis.Error
	var network net.Error
	switch {
	case errors.Is(err, redis.Nil), errors.Is(err, context.Canceled), errors.Is(err, redis.ErrClosed), errors.Is(err, ErrRedisDown):
		return false
	case errors.As(err, &network): // refused, reset, timed out; context.DeadlineExceeded too
		return true
	case errors.As(err, &reply):
		for _, state := range []string{"LOADING", "CLUSTERDOWN", "MASTERDOWN", "READONLY", "TRYAGAIN"} {
			if strings.HasPrefix(reply.Error(), state) {
				return true
			}
		}
		return false
	}
	return true // EOF, pool timeout
}
