package services

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	mathrand "math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"

	"supmesh.dev/proto"
	"supmesh.dev/services/wire"
)

// Idempotency keys make a backend's request safe to repeat, whatever became of
// the answer: the header Sup-Idempotency-Key, Idempotency-Key on the admin HTTP
// API (IETF draft-ietf-httpapi-idempotency-key-header).
//
//   - The first request with a key runs. Its answer, a success or a failure that
//     would be the same next time, is kept for 24 h under service, row and key.
//   - A repeat gets the very bytes, requestId included, with Sup-Replayed.
//   - Another request under the same key is CONFLICT, where the draft has 422.
//     Two writings of one JSON value are the same request.
//   - A repeat while the first runs waits for it, up to its own deadline, then
//     SERVICE_UNAVAILABLE, where the draft has 409: here a later try helps.
//   - A retryable failure, a panic too, frees the key at once; a crash frees it
//     after the row's timeout, when nobody waits for the first any more.
//   - What never ran is not kept: a request that is refused as invalid may come
//     corrected under its key.
//   - While Redis is away rows that are idempotent by themselves run all the
//     same; any other is SERVICE_UNAVAILABLE, since it might run twice.
//
// Only a backend's key counts: nobody else may see what a backend was answered.

// keptFor is how long an answer is kept: as long as a message's tempId.
const keptFor = 24 * time.Hour

// keyMargin is how long before its deadline a waiting repeat gives up, so that
// its caller still hears why.
const keyMargin = 50 * time.Millisecond

// replayMargin is room for the headers of a replay in a NATS message.
const replayMargin = 512

// errParked says that a request waits for its key, off the worker.
var errParked = errors.New("the request waits for its idempotency key")

// hold is one request's part in its idempotency key.
type hold struct {
	key     string  // in Redis
	digest  string  // of what is asked: the same key means the same request
	token   string  // names this run among others of the key
	decided bool    // it is to run
	taken   bool    // the key is its own; not so while Redis is away
	flight  *flight // that it leads
}

// flight is the requests of one key at this instance. One leads: it asks Redis,
// or runs; the others wait for what it hears, so that a hundred repeats are one
// look at Redis.
type flight struct {
	digest string
	landed chan struct{}
	kept   *keptAnswer // once landed; nil: the next may try
}

// keptAnswer is the answer that a key has.
type keptAnswer struct {
	requestID string // of the request that made it
	code      proto.Code
	body      []byte
}

// header of the replay to a request. A caller's own repeat, which has the
// first's request id, is not told of it: to its client there was one request.
func (k *keptAnswer) header(requestID string) nats.Header {
	h := nats.Header{}
	if k.code != "" {
		h = failureHeader(&proto.Error{Code: k.code})
	}
	if k.requestID != requestID {
		h[proto.HeaderReplayed] = []string{"true"}
	}
	return h
}

// readKey takes a backend's idempotency key from the headers.
func (r *request) readKey(header nats.Header) error {
	values, given := header[proto.HeaderIdempotencyKey]
	c := &r.ctx.call
	if !given || !c.Actor.Backend {
		return nil
	}
	if len(values) == 1 { // of two, neither counts
		c.IdempotencyKey = values[0]
	}
	if err := proto.CheckIdempotencyKey(c.IdempotencyKey); err != nil {
		return err
	}
	asked := sha256.Sum256(append([]byte(c.Actor.User+"\x00"), wire.Canonical(c.Data)...))
	r.hold = &hold{
		key:    proto.IdempotencyRecordKey(r.server.host.name, r.server.route.row.Subject, c.IdempotencyKey),
		digest: hex.EncodeToString(asked[:]),
		token:  rand.Text(),
	}
	return nil
}

// claim decides what becomes of a request with an idempotency key: neither an
// answer nor an error means that it runs. errParked: it is off the worker, and
// comes back through the queue or is answered by who waits.
func (r *request) claim() (any, error) {
	if r.hold == nil || r.hold.decided {
		return nil, nil //nolint:nilnil // it runs
	}
	s := r.server.records
	if !s.lead(r.hold) {
		return nil, r.park()
	}
	kept, err := s.begin(&r.ctx, r.hold)
	switch {
	case errors.Is(err, errRunning):
		return nil, r.park()
	case kept == nil: // no nil pointer in an interface
		return nil, err
	}
	return kept, err
}

// park waits for a key's answer without a worker: those who repeat must not
// keep others from running.
func (r *request) park() error {
	s := r.server
	if s.records.parked.Add(1) > int64(s.route.maxPending) {
		s.records.parked.Add(-1)
		return errCrowded()
	}
	s.host.requests.Go(func() {
		defer s.records.parked.Add(-1)
		kept, err := r.await()
		if err == nil && kept == nil {
			if s.queue.push(r.lane, r) {
				return
			}
			err = errCrowded()
		}
		r.ctx.finish()
		if err != nil {
			r.answer(nil, err)
		} else {
			r.answer(kept, nil)
		}
	})
	return errParked
}

// await returns when the key has an answer or is this request's own.
func (r *request) await() (*keptAnswer, error) {
	const longest = 100 * time.Millisecond
	ctx, cancel := context.WithDeadline(&r.ctx, r.ctx.call.Deadline.Add(-keyMargin))
	defer cancel()
	s := r.server.records
	for pause := 2 * time.Millisecond; ; pause = min(2*pause, longest) {
		if f := s.follows(r.hold); f != nil {
			select {
			case <-f.landed:
			case <-ctx.Done():
				return nil, errStillRuns()
			}
			if f.kept != nil {
				s.counted(outcomeReplayed)
				return f.kept, nil
			}
			continue
		}
		timer := time.NewTimer(pause/2 + mathrand.N(pause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, errStillRuns()
		}
		kept, err := s.begin(&r.ctx, r.hold)
		if !errors.Is(err, errRunning) {
			return kept, err
		}
	}
}

func errStillRuns() *proto.Error {
	return &proto.Error{Code: proto.ServiceUnavailable, Message: "the first request with this " + proto.IdempotencyKey + " still runs", RetryAfter: time.Second}
}

// settle does at a request's end what its key needs, before the answer is sent:
// who has an answer will get the same again. replay is the answer where an
// earlier request made it.
func (r *request) settle(replay *keptAnswer, code proto.Code, body []byte) {
	if r.hold == nil {
		return
	}
	switch {
	case replay != nil || !r.hold.decided:
	case code != "" && code.Row().Retryable:
		r.server.records.release(&r.ctx, r.hold)
	default:
		replay = &keptAnswer{requestID: r.ctx.call.RequestID, code: code, body: bytes.Clone(body)}
		r.server.records.keep(&r.ctx, r.hold, replay)
	}
	r.server.records.land(r.hold, replay)
}

// giveUp frees the key of a request that will not be answered.
func (r *request) giveUp() {
	if r.hold == nil {
		return
	}
	if r.hold.decided {
		r.server.records.release(&r.ctx, r.hold)
	}
	r.server.records.land(r.hold, nil)
}
