package services

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"supmesh.dev/proto"
)

// The record of an idempotency key is one hash, so that one slot has all of it:
// digest (of the request), then by (the run that holds the key) or request, code
// and answer. It lives for the row's timeout while somebody runs, then keptFor.
var (
	// KEYS record; ARGV digest, run, milliseconds. Returns what stands there, or
	// nothing: then the key is the run's.
	beginLua = redis.NewScript(`
local r = redis.call('HMGET', KEYS[1], 'digest', 'request', 'code', 'answer')
if r[1] then return r end
redis.call('HSET', KEYS[1], 'digest', ARGV[1], 'by', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {}`)
	// KEYS record; ARGV run, digest, request, code, answer, milliseconds. A run
	// that took too long leaves the record to who has it now.
	keepLua = redis.NewScript(`
if redis.call('EXISTS', KEYS[1]) == 1 and redis.call('HGET', KEYS[1], 'by') ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'digest', ARGV[2], 'request', ARGV[3], 'code', ARGV[4], 'answer', ARGV[5])
redis.call('PEXPIRE', KEYS[1], ARGV[6])
return 1`)
	// KEYS record; ARGV run.
	freeLua = redis.NewScript(`
if redis.call('HGET', KEYS[1], 'by') == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`)
)

// recordTimeout bounds what a request does to its record at its end, when it may
// have no time left.
const recordTimeout = 500 * time.Millisecond

// errRunning says that another request holds the key.
var errRunning = errors.New("the key's first request runs")

// records keeps the idempotency keys of one route.
type records struct {
	host    *Host
	row     *proto.Row
	timeout time.Duration
	parked  atomic.Int64 // requests that wait for a key
	mu      sync.Mutex
	flights map[string]*flight // key in Redis → its requests here
	count   metric.Int64Counter
	counts  map[string]metric.AddOption
}

// What is counted of requests with a key.
const (
	outcomeFirst    = "first"
	outcomeReplayed = "replayed"
	outcomeConflict = "conflict"
	outcomeUnkept   = "unkept" // Redis was away: it ran without a record, or its answer is lost
)

func newRecords(h *Host, row *proto.Row) *records {
	s := &records{host: h, row: row, timeout: row.Timeout, flights: map[string]*flight{}, counts: map[string]metric.AddOption{}}
	if s.timeout <= 0 {
		s.timeout = proto.RequestTimeout
	}
	var err error
	if s.count, err = h.telemetry.meter.Int64Counter("sup.idempotency.requests", metric.WithDescription("Requests with an idempotency key, by subject and outcome.")); err != nil {
		h.log.Error("count idempotency keys", "error", err) // only a name that is no name is refused
	}
	for _, outcome := range []string{outcomeFirst, outcomeReplayed, outcomeConflict, outcomeUnkept} {
		s.counts[outcome] = metric.WithAttributeSet(attribute.NewSet(attribute.String("subject", row.Subject), attribute.String("outcome", outcome)))
	}
	return s
}

func (s *records) counted(outcome string) {
	s.count.Add(context.Background(), 1, s.counts[outcome])
}

// lead says whether the request is to ask for its key: not where another here
// does. A request of another digest asks for itself, and will hear CONFLICT.
func (s *records) lead(h *hold) bool { return s.follows(h) == nil }

// follows is the flight whose end the request waits for, or nil: then it leads.
func (s *records) follows(h *hold) *flight {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.flights[h.key]
	switch {
	case f == nil:
		h.flight = &flight{digest: h.digest, landed: make(chan struct{})}
		s.flights[h.key] = h.flight
		return nil
	case f == h.flight || f.digest != h.digest:
		return nil
	}
	return f
}

// land ends the flight that the request leads: kept is what its key has, nil
// that somebody else may try.
func (s *records) land(h *hold, kept *keptAnswer) {
	if h.flight == nil {
		return
	}
	s.mu.Lock()
	delete(s.flights, h.key)
	s.mu.Unlock()
	h.flight.kept = kept
	close(h.flight.landed)
	h.flight = nil
}

// begin takes the key for a request, or says what the key has: an answer,
// CONFLICT, or errRunning. Neither an answer nor an error: the request runs.
func (s *records) begin(ctx context.Context, h *hold) (*keptAnswer, error) {
	found, err := s.look(ctx, h)
	switch {
	case err != nil && s.row.Idempotent && ctx.Err() == nil:
		if !errors.Is(err, ErrRedisDown) { // which has been said once for all
			s.host.log.WarnContext(ctx, "a request runs without its idempotency key", "subject", s.row.Subject, "error", err)
		}
		s.counted(outcomeUnkept)
		h.decided = true
		return nil, nil //nolint:nilnil // it runs
	case err != nil:
		// The key may be taken by a command whose reply was lost.
		s.release(ctx, h)
		return nil, ErrRedisDown
	case len(found) == 0:
		s.counted(outcomeFirst)
		h.decided, h.taken = true, true
		return nil, nil //nolint:nilnil // it runs
	case found[0] != h.digest:
		s.counted(outcomeConflict)
		return nil, &proto.Error{Code: proto.Conflict, Field: proto.IdempotencyKey, Message: "this " + proto.IdempotencyKey + " belongs to another request"}
	case found[3] == nil:
		return nil, errRunning
	}
	s.counted(outcomeReplayed)
	kept := &keptAnswer{}
	kept.requestID, _ = found[1].(string)
	code, _ := found[2].(string)
	body, _ := found[3].(string)
	kept.code, kept.body = proto.Code(code), []byte(body)
	return kept, nil
}

// look is the record as it stands; empty: it is this request's now.
func (s *records) look(ctx context.Context, h *hold) ([]any, error) {
	client := s.host.redis
	if client == nil {
		return nil, ErrRedisDown
	}
	found, err := beginLua.Run(ctx, client, []string{h.key}, h.digest, h.token, s.timeout.Milliseconds()).Slice()
	if err != nil {
		return nil, fmt.Errorf("take the key: %w", err)
	}
	if len(found) != 0 && len(found) != 4 {
		return nil, fmt.Errorf("take the key: %d fields", len(found))
	}
	return found, nil
}

// keep puts the answer in place of the run. Where that fails the request has run
// all the same and is answered; keeping goes on behind it for as long as the
// key is taken, since afterwards a repeat would run again.
func (s *records) keep(ctx context.Context, h *hold, a *keptAnswer) {
	if s.host.redis == nil {
		return
	}
	if s.tryKeep(ctx, h, a) == nil || !h.taken {
		return
	}
	end := time.Now().Add(s.timeout)
	s.host.requests.Go(func() {
		again := time.NewTicker(breakerPing)
		defer again.Stop()
		for time.Now().Before(end) {
			select {
			case <-again.C:
			case <-s.host.requestCtx.Done():
				return
			}
			if s.tryKeep(ctx, h, a) == nil {
				return
			}
		}
		s.counted(outcomeUnkept)
		s.host.log.WarnContext(ctx, "an answer is not kept for its idempotency key", "subject", s.row.Subject)
	})
}

func (s *records) tryKeep(ctx context.Context, h *hold, a *keptAnswer) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	kept, err := keepLua.Run(ctx, s.host.redis, []string{h.key}, h.token, h.digest, a.requestID, string(a.code), a.body, keptFor.Milliseconds()).Int()
	if err == nil && kept == 0 {
		s.host.log.WarnContext(ctx, "a request took longer than its row allows: its idempotency key is another's", "subject", s.row.Subject)
	}
	return err
}

// release frees the key if the request holds it. Where that fails it is free
// after the row's timeout.
func (s *records) release(ctx context.Context, h *hold) {
	if s.host.redis == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	if err := freeLua.Run(ctx, s.host.redis, []string{h.key}, h.token).Err(); err != nil && !errors.Is(err, ErrRedisDown) {
		s.host.log.WarnContext(ctx, "free an idempotency key", "subject", s.row.Subject, "error", err)
	}
}
