package services

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"supmesh.dev/proto"
	"supmesh.dev/services/wire"
)

// Reply is the answer to a Request.
type Reply struct {
	// Body is the ack as the client gets it, a failure ack too. It is set
	// whatever happened.
	Body      []byte
	Err       *proto.Error // the service answered a failure
	RequestID string
	// Replayed says that Body is the kept answer to an earlier request with the
	// same idempotency key.
	Replayed bool
}

type requestOptions struct {
	timeout        time.Duration
	idempotent     bool
	requestID      string
	idempotencyKey string
}

// RequestOption changes one Request.
type RequestOption func(*requestOptions)

// WithTimeout bounds the request in all, repeats included; proto.RequestTimeout
// by default. A ctx that ends sooner counts.
func WithTimeout(d time.Duration) RequestOption { return func(o *requestOptions) { o.timeout = d } }

// Idempotent allows repeats when the outcome is unknown. All repeats carry the
// same request id: a service may use it as the key.
func Idempotent() RequestOption { return func(o *requestOptions) { o.idempotent = true } }

// WithRow takes timeout and idempotency from a catalogue row.
func WithRow(row proto.Row) RequestOption {
	return func(o *requestOptions) {
		o.idempotent = row.Idempotent
		if row.Timeout > 0 {
			o.timeout = row.Timeout
		}
	}
}

// WithRequestID names the request; by default it has the id of the request ctx
// belongs to, or a new one.
func WithRequestID(id string) RequestOption { return func(o *requestOptions) { o.requestID = id } }

// WithIdempotencyKey hands on a backend's key.
func WithIdempotencyKey(key string) RequestOption {
	return func(o *requestOptions) { o.idempotencyKey = key }
}

const (
	// attempts is how often an idempotent request is made while the outcome of
	// the one before is unknown; each waits its share of the time.
	attempts = 3
	// refusals is how often a request that nobody executed is repeated.
	refusals = 3
)

// Request asks a service and waits. The error is always a *proto.Error:
// SERVICE_UNAVAILABLE when it certainly did not run, TIMEOUT when that is
// unknown. A failure that the service answered is Reply.Err, not the error.
func (h *Host) Request(ctx context.Context, subject string, actor proto.Actor, body []byte, opts ...RequestOption) (Reply, error) {
	o := requestOptions{timeout: proto.RequestTimeout}
	for _, opt := range opts {
		opt(&o)
	}
	call, within := CallFrom(ctx)
	if o.requestID == "" {
		if within && call.RequestID != "" {
			o.requestID = call.RequestID
		} else {
			o.requestID = NewRequestID()
		}
	}
	start := time.Now()
	deadline := start.Add(o.timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	ctx, traceparent, end := h.clientSpan(ctx, subject, o.requestID, call)
	msg := &nats.Msg{Subject: subject, Data: body, Header: requestHeader(actor, deadline, traceparent, &o)}

	reply, err := h.attempt(ctx, msg, deadline, o.idempotent)
	reply.RequestID = o.requestID
	var code proto.Code
	switch {
	case err != nil:
		code = err.Code
		reply.Body = appendFailure(nil, err, o.requestID)
	case reply.Err != nil:
		code = reply.Err.Code
	}
	end(code)
	h.metrics.called(subject, code, time.Since(start))
	if err != nil {
		return reply, err
	}
	return reply, nil
}

// requestHeader is the headers of one request, its values in one allocation.
func requestHeader(actor proto.Actor, deadline time.Time, traceparent string, o *requestOptions) nats.Header {
	values := [...]string{actor.Header(), strconv.FormatInt(deadline.UnixMilli(), 10), o.requestID, traceparent}
	header := nats.Header{
		proto.HeaderActor:     values[0:1:1],
		proto.HeaderDeadline:  values[1:2:2],
		proto.HeaderRequestID: values[2:3:3],
		proto.HeaderTrace:     values[3:4:4],
	}
	if o.idempotencyKey != "" {
		header[proto.HeaderIdempotencyKey] = []string{o.idempotencyKey}
	}
	return header
}

// attempt makes the request until it is answered, refused for good, or late.
func (h *Host) attempt(ctx context.Context, msg *nats.Msg, deadline time.Time, idempotent bool) (Reply, *proto.Error) {
	if err := checkSubject(msg.Subject); err != nil {
		return Reply{}, err
	}
	refused, unknown := 0, 0
	share := time.Until(deadline) / attempts
	for {
		wait := deadline
		if idempotent && unknown < attempts-1 {
			if at := time.Now().Add(share); at.Before(wait) {
				wait = at
			}
		}
		once, cancel := context.WithDeadline(ctx, wait)
		answer, err := h.nc.RequestMsgWithContext(once, msg)
		cancel()
		switch {
		case err == nil:
			return readReply(answer), nil
		case errors.Is(err, nats.ErrNoResponders), isDisconnected(err):
			// Nobody ran it: safe for every request. A lost connection comes
			// back in about 250 ms; a service that restarts is another's turn.
			if refused++; refused > refusals && errors.Is(err, nats.ErrNoResponders) {
				return Reply{}, unavailable()
			}
			if !pause(ctx, refused, deadline) {
				if unknown > 0 {
					return Reply{}, proto.Errorf(proto.Timeout, "the service did not answer in time")
				}
				return Reply{}, unavailable()
			}
		case errors.Is(err, nats.ErrMaxPayload):
			return Reply{}, proto.Errorf(proto.PayloadTooLarge, "the request is too large")
		case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionDraining), errors.Is(err, nats.ErrBadSubject):
			return Reply{}, unavailable()
		default: // no answer: the outcome is unknown
			if unknown++; ctx.Err() != nil || !idempotent || !time.Now().Before(deadline) {
				return Reply{}, proto.Errorf(proto.Timeout, "the service did not answer in time")
			}
		}
	}
}

// isDisconnected says that msg was never sent: without a reconnect buffer a
// publish while the connection is away fails at once.
func isDisconnected(err error) bool {
	return errors.Is(err, nats.ErrReconnectBufExceeded) || errors.Is(err, nats.ErrDisconnected) || errors.Is(err, nats.ErrConnectionReconnecting)
}

func unavailable() *proto.Error {
	return &proto.Error{Code: proto.ServiceUnavailable, Message: "the service is not available", RetryAfter: time.Second}
}

// pause waits before the n-th repeat, 50 ms doubled each time up to 400 ms,
// half of it random; false when the deadline comes first.
func pause(ctx context.Context, n int, deadline time.Time) bool {
	d := 50 * time.Millisecond << min(n-1, 3)
	d = d/2 + rand.N(d/2)
	if time.Until(deadline) <= d {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// maxSubject keeps a subject well under the server's control line: one that is
// over it closes the connection for good.
const maxSubject = 2048

func checkSubject(s string) *proto.Error {
	if s == "" || len(s) > maxSubject {
		return proto.Errorf(proto.InternalError, "internal error")
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == '*' || c == '>' || c >= 0x7f {
			return proto.Errorf(proto.InternalError, "internal error")
		}
	}
	return nil
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
	r.Err = &proto.Error{Code: proto.Code(code), Message: f.Message, Field: f.Field, RetryAfter: time.Duration(f.RetryAfterMs) * time.Millisecond}
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
// spans, and makes the header that carries the trace on.
func (h *Host) clientSpan(ctx context.Context, subject, requestID string, call *Call) (context.Context, string, func(proto.Code)) {
	if h.telemetry.traces == nil {
		traceparent := ""
		if call != nil && call.RequestID == requestID {
			traceparent = call.trace
		}
		if traceparent == "" {
			traceparent = newTraceparent(requestID)
		}
		return ctx, traceparent, func(proto.Code) {}
	}
	base := ctx
	if call == nil || call.RequestID != requestID {
		base = WithCall(ctx, &Call{RequestID: requestID})
	}
	ctx, span := h.telemetry.tracer.Start(base, metricSubject(subject), trace.WithSpanKind(trace.SpanKindClient))
	return ctx, traceparentOf(span.SpanContext()), func(code proto.Code) {
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
