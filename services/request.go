package services

import (
	"context"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"supmesh.dev/proto"
	"supmesh.dev/services/wire"
)

// Reply is the answer to a request.
type Reply struct {
	// Body is the ack as the client gets it, a failure ack too. It is set
	// whatever happened.
	Body []byte
	// Err is the failure that the service answered; from Ask also one of its own.
	Err       *proto.Error
	RequestID string
	// Replayed says that Body is the kept answer to an earlier request with the
	// same idempotency key.
	Replayed bool

	unanswered bool // Err is not the service's
}

// RequestOption changes one Request.
type RequestOption func(*Question)

// WithTimeout bounds the request in all, repeats included; proto.RequestTimeout
// by default. A ctx that ends sooner counts.
func WithTimeout(d time.Duration) RequestOption { return func(q *Question) { q.Timeout = d } }

// Idempotent allows repeats when the outcome is unknown. All repeats carry the
// same request id: a service may use it as the key.
func Idempotent() RequestOption { return func(q *Question) { q.Idempotent = true } }

// WithRow takes timeout and idempotency from a catalogue row.
func WithRow(row proto.Row) RequestOption {
	return func(q *Question) {
		q.Idempotent = row.Idempotent
		if row.Timeout > 0 {
			q.Timeout = row.Timeout
		}
	}
}

// WithRequestID names the request; by default it has the id of the request ctx
// belongs to, or a new one.
func WithRequestID(id string) RequestOption { return func(q *Question) { q.RequestID = id } }

// WithIdempotencyKey hands on a backend's key.
func WithIdempotencyKey(key string) RequestOption {
	return func(q *Question) { q.IdempotencyKey = key }
}

// Request is Ask for those who wait; the end of ctx ends the wait. The error is
// always a *proto.Error: SERVICE_UNAVAILABLE when the request certainly did not
// run, TIMEOUT when that is unknown. A failure that the service answered is
// Reply.Err, not the error.
func (h *Host) Request(ctx context.Context, subject string, actor proto.Actor, body []byte, opts ...RequestOption) (Reply, error) {
	q := Question{Subject: subject, Actor: actor.Header(), Body: body}
	for _, opt := range opts {
		opt(&q)
	}
	answered := make(chan Reply, 1)
	id := h.ask(ctx, &q, func(r Reply) { answered <- r })
	if id == 0 { // it has ended already
		return (<-answered).split()
	}
	select {
	case r := <-answered:
		return r.split()
	case <-ctx.Done():
		h.asks.giveUp(id)
		return (<-answered).split()
	}
}

// split tells Ask's own failures from the service's.
func (r Reply) split() (Reply, error) {
	if !r.unanswered {
		return r, nil
	}
	err := r.Err
	r.Err = nil
	return r, err
}

func readReply(msg *nats.Msg) Reply {
	r := Reply{Body: msg.Data, Replayed: first(msg.Header, proto.HeaderReplayed) != ""}
	code := first(msg.Header, proto.HeaderError)
	if code == "" {
		return r
	}
	var f proto.Failure
	if err := wire.Restore(msg.Data, &f); err != nil {
		r.Err = proto.Errorf(proto.Code(code), "%s", proto.Code(code).Row().Title)
		return r
	}
	r.Err = &proto.Error{
		Code: proto.Code(code), Message: f.Message, Field: f.Field, RetryAfter: time.Duration(f.RetryAfterMs) * time.Millisecond, CallID: f.CallID,
	}
	return r
}

// Do is a typed Request of a catalogue row. A failure that the service
// answered is the error, a *proto.Error like the others.
func Do[Req, Res any](ctx context.Context, h *Host, ep proto.Endpoint[Req, Res], actor proto.Actor, req Req, opts ...RequestOption) (Res, error) {
	var res Res
	body, err := wire.Marshal(req)
	if err != nil {
		return res, err
	}
	reply, err := h.Request(ctx, ep.Subject, actor, body, append([]RequestOption{WithRow(ep.Row)}, opts...)...)
	if err != nil {
		return res, err
	}
	if reply.Err != nil {
		return res, reply.Err
	}
	return res, wire.Restore(reply.Body, &res)
}

// clientSpan opens the span of a request going out, where somebody exports
// spans, and gives the header that carries the trace on; "" where a new one is
// to be made. end is nil without a span.
func (h *Host) clientSpan(ctx context.Context, q *Question, call *Call) (traceparent string, end func(proto.Code)) {
	within := call != nil && call.RequestID == q.RequestID
	if h.telemetry.traces == nil {
		if within {
			traceparent = call.trace
		}
		return traceparent, nil
	}
	if q.RequestID == "" {
		q.RequestID = NewRequestID()
	}
	if !within {
		ctx = WithCall(ctx, &Call{RequestID: q.RequestID})
	}
	_, span := h.telemetry.tracer.Start(ctx, metricSubject(q.Subject), trace.WithSpanKind(trace.SpanKindClient))
	return traceparentOf(span.SpanContext()), func(code proto.Code) {
		if code != "" {
			span.SetStatus(codes.Error, string(code))
			span.SetAttributes(attribute.String("code", string(code)))
		}
		span.End()
	}
}

// metricSubject is a subject as a label: rpc.* are rows of the catalogue, of
// any other only the first token is bounded.
func metricSubject(subject string) string {
	if strings.HasPrefix(subject, "rpc.") {
		return subject
	}
	head, _, _ := strings.Cut(subject, ".")
	return head
}
