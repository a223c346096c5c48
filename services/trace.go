package services

import (
	"context"
	"encoding/hex"
	"math/rand/v2"

	"go.opentelemetry.io/otel/trace"
)

// NewRequestID makes a request's id, which is also its trace id: 32 hex digits.
func NewRequestID() string {
	var b [32]byte
	hexDigits(b[:], rand.Uint64(), rand.Uint64()|1) // a trace id must not be zero
	return string(b[:])
}

const hexAlphabet = "0123456789abcdef"

func hexDigits(dst []byte, words ...uint64) {
	for i := range dst {
		dst[i] = hexAlphabet[words[i/16]>>(60-4*(i%16))&15]
	}
}

func appendHex(dst []byte, word uint64) []byte {
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, hexAlphabet[word>>shift&15])
	}
	return dst
}

// newTraceparent is a W3C traceparent header for a request nobody records: not
// sampled, but the same id all the way.
func newTraceparent(requestID string) string {
	var b [55]byte
	return string(appendTraceparent(b[:0], requestID))
}

// appendTraceparent appends a new traceparent; without a request id, with one
// that is new too.
func appendTraceparent(dst []byte, requestID string) []byte {
	var b [55]byte
	copy(b[:], "00-")
	if requestID == "" {
		hexDigits(b[3:35], rand.Uint64(), rand.Uint64()|1) // a trace id must not be zero
	} else {
		copy(b[3:], requestID)
	}
	b[35] = '-'
	hexDigits(b[36:52], rand.Uint64()|1)
	copy(b[52:], "-00")
	return append(dst, b[:]...)
}

// traceID is the trace id inside a traceparent header, or "".
func traceID(traceparent string) string {
	if len(traceparent) < 55 || traceparent[2] != '-' || traceparent[35] != '-' || traceparent[52] != '-' || !isRequestID(traceparent[3:35]) {
		return ""
	}
	return traceparent[3:35]
}

func isRequestID(s string) bool {
	if len(s) != 32 {
		return false
	}
	zero := true
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
		zero = zero && c == '0'
	}
	return !zero
}

// remoteSpan is the caller's span, for a server span to hang under.
func remoteSpan(traceparent string) (trace.SpanContext, bool) {
	if traceID(traceparent) == "" {
		return trace.SpanContext{}, false
	}
	var tid trace.TraceID
	var sid trace.SpanID
	var flags [1]byte
	if _, err := hex.Decode(tid[:], []byte(traceparent[3:35])); err != nil {
		return trace.SpanContext{}, false
	}
	if _, err := hex.Decode(sid[:], []byte(traceparent[36:52])); err != nil {
		return trace.SpanContext{}, false
	}
	if _, err := hex.Decode(flags[:], []byte(traceparent[53:55])); err != nil {
		return trace.SpanContext{}, false
	}
	sc := trace.NewSpanContext(trace.SpanContextConfig{TraceID: tid, SpanID: sid, TraceFlags: trace.TraceFlags(flags[0]), Remote: true})
	return sc, sc.IsValid()
}

// traceparentOf writes a span as a traceparent header.
func traceparentOf(sc trace.SpanContext) string {
	return "00-" + sc.TraceID().String() + "-" + sc.SpanID().String() + "-" + sc.TraceFlags().String()
}

// requestIDs makes span ids, and gives a root span its request's id as trace
// id, so that the id in a client's ack finds the trace.
type requestIDs struct{}

func (requestIDs) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	var tid trace.TraceID
	id := NewRequestID()
	if call, ok := CallFrom(ctx); ok && isRequestID(call.RequestID) {
		id = call.RequestID
	}
	if _, err := hex.Decode(tid[:], []byte(id)); err != nil {
		return trace.TraceID{1}, newSpanID()
	}
	return tid, newSpanID()
}

func (requestIDs) NewSpanID(context.Context, trace.TraceID) trace.SpanID { return newSpanID() }

func newSpanID() (sid trace.SpanID) {
	n := rand.Uint64() | 1
	for i := range sid {
		sid[i] = byte(n >> (8 * i))
	}
	return sid
}
