package services

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"supmesh.dev/proto"
)

// server is a route at work.
type server struct {
	host    *Host
	route   Route
	queue   *queue
	metrics *routeMetrics
	records *records // of idempotency keys

	complained atomic.Int64 // Unix seconds of the last word about late requests
}

func newServer(h *Host, r Route) *server {
	s := &server{host: h, route: r, metrics: h.metrics.route(r.row.Subject), records: newRecords(h, &r.row)}
	s.queue = newQueue(r.workers, r.maxPending, h.requests.Go)
	h.metrics.watch(r.row.Subject, s.queue)
	return s
}

// request is one request on its way through the chain.
type request struct {
	server  *server
	ctx     callContext
	reply   string
	arrived time.Time
	lane    string // key of its order
	decoded any    // by receive, on a keyed route
	err     error  // found before a worker took it
	hold    *hold  // of its idempotency key, where a backend gave one
}

// The chain, in its one order:
//
//	recover → trace → deadline → concurrency → decode → validate → idempotency key → handler → error mapping → metrics
//
// receive is everything up to concurrency and runs on the route's one
// receiving goroutine, so that order is what arrived; run is the rest and runs
// on a worker. A route keyed by payload is decoded by receive, since its order
// depends on it.
func (s *server) receive(msg micro.Request) {
	r := &request{server: s, reply: msg.Reply(), arrived: time.Now()}
	r.err = guard(func() error {
		if err := r.read(msg); err != nil {
			return err
		}
		if s.route.keyBy == nil {
			r.lane = r.ctx.call.Actor.User
			return nil
		}
		var err error
		if r.decoded, err = s.route.decode(r.ctx.call.Data); err != nil {
			return err
		}
		r.lane = s.route.keyBy(r.decoded)
		return nil
	})
	if r.expired() {
		s.late(r)
		return
	}
	if r.err == nil && !s.queue.push(r.lane, r) {
		r.err = errCrowded()
	}
	if r.err != nil {
		r.answer(nil, r.err)
	}
}

func errCrowded() *proto.Error {
	return &proto.Error{Code: proto.ServiceUnavailable, Message: "too many requests are waiting", RetryAfter: time.Second}
}

// late drops a request past its deadline. When all are late a service looks
// idle, so it says why, at most every 10 s.
func (s *server) late(r *request) {
	s.metrics.expired()
	now := time.Now().Unix()
	if last := s.complained.Load(); now-last >= 10 && s.complained.CompareAndSwap(last, now) {
		s.host.log.WarnContext(&r.ctx, "requests past their deadline are dropped: overload, or clocks that differ",
			"subject", s.route.row.Subject, "late", time.Since(r.ctx.call.Deadline), "waited", time.Since(r.arrived))
	}
}

// read takes who asks, until when and under which id from the headers.
func (r *request) read(msg micro.Request) error {
	header := nats.Header(msg.Headers())
	c := &r.ctx.call
	c.Subject, c.Data = msg.Subject(), msg.Data()
	c.trace = first(header, proto.HeaderTrace)
	c.RequestID = first(header, proto.HeaderRequestID)
	if !isRequestID(c.RequestID) {
		if c.RequestID = traceID(c.trace); c.RequestID == "" {
			c.RequestID = NewRequestID()
		}
	}
	if traceID(c.trace) == "" {
		c.trace = newTraceparent(c.RequestID)
	}
	r.ctx.base = r.server.host.requestCtx
	c.Deadline = r.arrived.Add(r.server.timeout())
	if v := first(header, proto.HeaderDeadline); v != "" {
		ms, ok := unixMilli(v)
		if !ok {
			return proto.Errorf(proto.InvalidPayload, "header %s must be Unix milliseconds", proto.HeaderDeadline)
		}
		// Never later than the catalogue allows, whatever the caller's clock says.
		if at := time.UnixMilli(ms); at.Before(c.Deadline) {
			c.Deadline = at
		}
	}
	if v := first(header, proto.HeaderActor); v != "" {
		var err error
		if c.Actor, err = proto.ParseActor(v); err != nil {
			return proto.Errorf(proto.InvalidPayload, "header %s is not an actor", proto.HeaderActor)
		}
	}
	return r.readKey(header)
}

func (s *server) timeout() time.Duration {
	if s.route.row.Timeout > 0 {
		return s.route.row.Timeout
	}
	return proto.RequestTimeout
}

// expired says that nobody waits for the answer any more.
func (r *request) expired() bool { return !time.Now().Before(r.ctx.call.Deadline) }

func (r *request) run() {
	if r.expired() {
		r.giveUp()
		r.server.late(r)
		return
	}
	end := r.span()
	var res any
	err := guard(func() (err error) {
		res, err = r.serve()
		return err
	})
	if errors.Is(err, errParked) { // answered by who waits for the key
		end("")
		return
	}
	r.ctx.finish()
	code := r.answer(res, err)
	end(code)
}

func (r *request) serve() (any, error) {
	route := &r.server.route
	req := r.decoded
	if req == nil {
		var err error
		if req, err = route.decode(r.ctx.call.Data); err != nil {
			return nil, err
		}
	}
	if err := route.validate(req); err != nil {
		return nil, err
	}
	if kept, err := r.claim(); kept != nil || err != nil {
		return kept, err
	}
	return route.handle(&r.ctx, req)
}

// span opens the request's server span, where somebody exports spans.
func (r *request) span() (end func(proto.Code)) {
	h := r.server.host
	if h.telemetry.traces == nil {
		return func(proto.Code) {}
	}
	base := context.WithValue(r.ctx.base, callKey{}, &r.ctx.call)
	if sc, ok := remoteSpan(r.ctx.call.trace); ok {
		base = trace.ContextWithRemoteSpanContext(base, sc)
	}
	ctx, span := h.telemetry.tracer.Start(base, r.server.route.row.Subject, trace.WithSpanKind(trace.SpanKindServer))
	r.ctx.base = ctx
	r.ctx.call.trace = traceparentOf(span.SpanContext())
	return func(code proto.Code) {
		if code != "" {
			span.SetStatus(codes.Error, string(code))
			span.SetAttributes(attribute.String("code", string(code)))
		}
		span.End()
	}
}

// answer sends the ack and counts it. It returns the code of a failure.
func (r *request) answer(res any, err error) (code proto.Code) {
	c := &r.ctx.call
	h := r.server.host
	buf := ackBuffers.Get().(*ackBuffer)
	defer ackBuffers.put(buf)
	out := &nats.Msg{Subject: r.reply}
	kept, replay := res.(*keptAnswer)
	switch {
	case replay && err == nil:
		code, out.Header = kept.code, kept.header(c.RequestID)
		buf.b = append(buf.b[:0], kept.body...)
	case err == nil:
		buf.b, err = appendSuccess(buf.b[:0], res, c.RequestID)
		if err == nil && r.hold != nil && len(buf.b)+replayMargin > h.maxPayload() {
			err = r.tooLarge(len(buf.b))
		}
	}
	if err != nil {
		e := r.failure(err)
		code = e.Code
		buf.b = appendFailure(buf.b[:0], e, c.RequestID)
		out.Header = failureHeader(e)
	}
	r.settle(kept, code, buf.b)
	out.Data = buf.b
	if r.reply != "" {
		err := h.nc.PublishMsg(out)
		if errors.Is(err, nats.ErrMaxPayload) {
			e := r.tooLarge(len(buf.b))
			code = e.Code
			out.Header, out.Data = failureHeader(e), appendFailure(nil, e, c.RequestID)
			err = h.nc.PublishMsg(out)
		}
		if err != nil {
			h.log.WarnContext(&r.ctx, "answer lost", "subject", c.Subject, "error", err)
		}
	}
	r.server.metrics.answered(code, time.Since(r.arrived))
	return code
}

// tooLarge is the failure of an answer that fits no message. A handler with a list fills
// its answer to AnswerRoom, so this is a fault of the handler.
func (r *request) tooLarge(size int) *proto.Error {
	r.server.host.log.ErrorContext(&r.ctx, "an answer fits no message", "subject", r.ctx.call.Subject, "bytes", size)
	return proto.Errorf(proto.PayloadTooLarge, "the answer is too large")
}

// failure is what the caller is told of err. What it is not told is logged.
func (r *request) failure(err error) *proto.Error {
	var e *proto.Error
	if errors.As(err, &e) {
		return e
	}
	if r.expired() && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout)) {
		return proto.Errorf(proto.Timeout, "the request took too long")
	}
	c := &r.ctx.call
	r.server.host.log.ErrorContext(&r.ctx, "request failed", "subject", c.Subject, "user", c.Actor.User, "error", err)
	return proto.AsError(err)
}

func first(h nats.Header, key string) string {
	if v := h[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}
