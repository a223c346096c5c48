package services

import (
	"context"
	"encoding/hex"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"supmesh.dev/proto"
)

// Question is one request to a service.
type Question struct {
	Subject string
	// Actor is who asks, as proto.Actor.Header writes it: whoever asks often
	// for one actor makes it once.
	Actor string
	Body  []byte // not to be changed before the answer
	// Timeout bounds the request in all, repeats included; 0 is
	// proto.RequestTimeout. A ctx whose deadline is sooner counts.
	Timeout time.Duration
	// Idempotent allows repeats when the outcome is unknown. All repeats carry
	// the same request id: a service may use it as the key.
	Idempotent bool
	// RequestID is by default the id of the request ctx belongs to, or a new one.
	RequestID      string
	IdempotencyKey string // of a backend
}

const (
	// attempts is how often an idempotent request is made while the outcome of
	// the one before is unknown; each waits its share of the time.
	attempts = 3
	// refusals is how often a request is repeated because nobody subscribes to
	// it: after a restart of NATS a service is back within half a second, and the
	// pauses add up to more. Times without a connection do not count.
	refusals = 5
)

// Ask asks a service and does not wait: done is called exactly once, with the
// answer, or with a failure of Ask's own as Reply.Err: SERVICE_UNAVAILABLE when
// the request certainly did not run, TIMEOUT when that is unknown. It costs no
// goroutine, timer or context: replies come by one subscription of the host
// and one sweeper watches all their times, up to 10 ms late.
//
// done is called by this or another goroutine, under no lock; it must not block,
// since other answers wait for it, but it may ask again. The end of ctx is not
// watched: it gives the request its trace, and its deadline.
func (h *Host) Ask(ctx context.Context, q Question, done func(Reply)) { h.ask(ctx, &q, done) }

// ask gives the id by which giveUp knows the request, 0 if it has ended already.
func (h *Host) ask(ctx context.Context, q *Question, done func(Reply)) (id uint64) {
	began := time.Now()
	call, within := CallFrom(ctx)
	if q.RequestID == "" && within {
		q.RequestID = call.RequestID
	}
	if q.Timeout == 0 {
		q.Timeout = proto.RequestTimeout
	}
	deadline := began.Add(q.Timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	traceparent, end := h.clientSpan(ctx, q, call)
	a := asked{subject: q.Subject, requestID: q.RequestID, began: began, end: end, done: done}
	failure := checkSubject(q.Subject)
	if failure == nil && (ctx.Err() != nil || !began.Before(deadline)) {
		failure = late()
	}
	if failure == nil {
		q.Body, failure = h.fitRequest(q)
	}
	if failure != nil {
		if a.requestID == "" {
			a.requestID = NewRequestID()
		}
		a.conclude(h, Reply{Err: failure, unanswered: true})
		return 0
	}
	id = h.asks.newID()
	msg := question{
		subject: q.Subject, actor: q.Actor, trace: traceparent, requestID: q.RequestID, key: q.IdempotencyKey, body: q.Body,
	}
	msg.write(h.asks.prefix, id, deadline)
	a.requestID = msg.requestID
	if failure = h.asks.add(id, &a, &msg, deadline, q.Idempotent); failure != nil {
		a.conclude(h, Reply{Err: failure, unanswered: true})
		return 0
	}
	h.asks.publish(id, &msg)
	return id
}

// asked is what is needed to end a request.
type asked struct {
	subject, requestID string
	began              time.Time
	end                func(proto.Code) // of its span
	done               func(Reply)
}

// conclude hands a request its reply. No lock may be held.
func (a *asked) conclude(h *Host, r Reply) {
	r.RequestID = a.requestID
	var code proto.Code
	if r.Err != nil {
		code = r.Err.Code
	}
	if r.unanswered {
		r.Body = appendFailure(nil, r.Err, r.RequestID)
	}
	if a.end != nil {
		a.end(code)
	}
	h.metrics.called(a.subject, code, time.Since(a.began))
	defer h.logPanic(a.subject) // replies of others come by the same goroutine
	a.done(r)
}

// question is a request as it is published, and published again.
type question struct {
	subject, reply                         string
	actor, deadline, requestID, trace, key string
	body                                   []byte
}

// write makes the texts that a request has for itself, all in one allocation:
// where the reply goes, until when, and, if it has none, its trace and id.
func (m *question) write(prefix string, id uint64, deadline time.Time) {
	var buf [192]byte
	b := append(buf[:0], prefix...)
	b = appendHex(b, id)
	reply := len(b)
	b = strconv.AppendInt(b, deadline.UnixMilli(), 10)
	until := len(b)
	if m.trace == "" {
		b = appendTraceparent(b, m.requestID)
	}
	text := string(b)
	m.reply, m.deadline = text[:reply], text[reply:until]
	if m.trace == "" {
		m.trace = text[until:]
	}
	if m.requestID == "" {
		m.requestID = m.trace[3:35]
	}
}

// outgoing is a message with its headers, used for one request after the other:
// nats.go keeps nothing of a message it has published.
type outgoing struct {
	msg    nats.Msg
	values [5]string
}

var outgoings = sync.Pool{New: func() any { return &outgoing{msg: nats.Msg{Header: make(nats.Header, 5)}} }}

// requestHeader sets the headers of one request.
func (o *outgoing) requestHeader(m *question) {
	o.values = [...]string{m.actor, m.deadline, m.requestID, m.trace, m.key}
	header := o.msg.Header
	header[proto.HeaderActor] = o.values[0:1:1]
	header[proto.HeaderDeadline] = o.values[1:2:2]
	header[proto.HeaderRequestID] = o.values[2:3:3]
	header[proto.HeaderTrace] = o.values[3:4:4]
	if m.key == "" {
		delete(header, proto.HeaderIdempotencyKey)
	} else {
		header[proto.HeaderIdempotencyKey] = o.values[4:5:5]
	}
}

// publish sends a request once. What that shows of its end is noted; the reply
// may be there before publish returns.
func (t *asks) publish(id uint64, m *question) {
	o := outgoings.Get().(*outgoing) //nolint:forcetypeassert // the pool holds nothing else
	o.msg.Subject, o.msg.Reply, o.msg.Data = m.subject, m.reply, m.body
	o.requestHeader(m)
	err := t.host.nc.PublishMsg(&o.msg)
	o.msg.Data, o.values = nil, [5]string{}
	outgoings.Put(o)
	switch {
	case err == nil:
	case isDisconnected(err):
		t.refuse(id, false)
	case errors.Is(err, nats.ErrMaxPayload):
		t.fail(id, proto.Errorf(proto.PayloadTooLarge, "the request is too large"))
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionDraining), errors.Is(err, nats.ErrBadSubject):
		t.fail(id, unavailable())
	default: // it may have gone out
		t.doubt(id)
	}
}

// received takes what came by the reply subscription.
func (t *asks) received(msg *nats.Msg) {
	var raw [8]byte
	digits := msg.Subject[min(len(t.prefix), len(msg.Subject)):]
	if len(digits) != 2*len(raw) {
		return
	}
	var id uint64
	if _, err := hex.Decode(raw[:], []byte(digits)); err != nil {
		return
	}
	for _, b := range raw {
		id = id<<8 | uint64(b)
	}
	if len(msg.Data) == 0 && first(msg.Header, "Status") == noResponders {
		t.refuse(id, true)
		return
	}
	if a, ok := t.take(id); ok { // or it is late, or comes twice
		a.conclude(t.host, readReply(msg))
	}
}

// noResponders is the status by which the server says that nobody subscribes.
const noResponders = "503"

// isDisconnected says that msg was never sent: without a reconnect buffer a
// publish while the connection is away fails at once.
func isDisconnected(err error) bool {
	return errors.Is(err, nats.ErrReconnectBufExceeded) || errors.Is(err, nats.ErrDisconnected) || errors.Is(err, nats.ErrConnectionReconnecting)
}

func unavailable() *proto.Error {
	return &proto.Error{Code: proto.ServiceUnavailable, Message: "the service is not available", RetryAfter: time.Second}
}

func late() *proto.Error { return proto.Errorf(proto.Timeout, "the service did not answer in time") }

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
