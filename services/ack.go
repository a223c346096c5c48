package services

import (
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"supmesh.dev/proto"
	"supmesh.dev/services/wire"
)

// ackAppender is an answer that encodes its own fields.
type ackAppender interface{ AppendAck(dst []byte) []byte }

// ackBuffer is memory for one ack, reused: what is published is copied.
type ackBuffer struct{ b []byte }

type ackPool struct{ sync.Pool }

var ackBuffers = ackPool{sync.Pool{New: func() any { return new(ackBuffer) }}}

func (p *ackPool) put(b *ackBuffer) {
	if cap(b.b) <= 256<<10 {
		p.Put(b)
	}
}

// appendSuccess writes {"success":true, …fields of res…, "requestId":"…"}: the
// client's ack, complete, so that the gateway passes it on as bytes.
func appendSuccess(dst []byte, res any, requestID string) ([]byte, error) {
	dst = append(dst, `{"success":true,`...)
	start := len(dst)
	if a, ok := res.(ackAppender); ok {
		dst = a.AppendAck(dst)
	} else {
		var err error
		if dst, err = wire.Append(dst, res); err != nil {
			return dst, err
		}
		if len(dst)-start < 2 || dst[start] != '{' {
			return dst, fmt.Errorf("encode %T: not an object", res)
		}
		// The object's braces go; its fields stay, one byte to the left.
		dst = append(dst[:start], dst[start+1:len(dst)-1]...)
	}
	if len(dst) > start && dst[len(dst)-1] != ',' {
		dst = append(dst, ',')
	}
	return appendRequestID(dst, requestID), nil
}

// appendFailure writes proto.Failure. Hand-made: it must not fail.
func appendFailure(dst []byte, e *proto.Error, requestID string) []byte {
	f := e.Failure(requestID)
	dst = append(dst, `{"success":false,"error":`...)
	dst = wire.AppendString(dst, f.Error)
	dst = append(dst, `,"message":`...)
	dst = wire.AppendString(dst, f.Message)
	dst = append(dst, `,"code":"`...)
	dst = append(dst, f.Code...)
	dst = append(dst, `","retryable":`...)
	dst = strconv.AppendBool(dst, f.Retryable)
	dst = append(dst, ',')
	if f.RetryAfterMs > 0 {
		dst = append(dst, `"retryAfterMs":`...)
		dst = strconv.AppendInt(dst, f.RetryAfterMs, 10)
		dst = append(dst, ',')
	}
	if f.Field != "" {
		dst = append(dst, `"field":`...)
		dst = wire.AppendString(dst, f.Field)
		dst = append(dst, ',')
	}
	if f.CallID != "" {
		dst = append(dst, `"callId":`...)
		dst = wire.AppendString(dst, f.CallID)
		dst = append(dst, ',')
	}
	return appendRequestID(dst, requestID)
}

func appendRequestID(dst []byte, requestID string) []byte {
	dst = append(dst, `"requestId":"`...)
	dst = append(dst, requestID...)
	return append(dst, `"}`...)
}

// FailureAck is the failure ack of one request, for who answers a client
// without having asked a service.
func FailureAck(err error, requestID string) []byte {
	return appendFailure(nil, proto.AsError(err), requestID)
}

// AppendSuccessAck writes the success ack of res behind dst.
func AppendSuccessAck(dst []byte, res any, requestID string) ([]byte, error) {
	return appendSuccess(dst, res, requestID)
}

func failureHeader(e *proto.Error) nats.Header {
	row := e.Code.Row()
	return nats.Header{
		proto.HeaderError:     {string(row.Code)},
		micro.ErrorHeader:     {row.Title},
		micro.ErrorCodeHeader: {strconv.Itoa(row.Status)},
	}
}

func unixMilli(s string) (int64, bool) {
	ms, err := strconv.ParseInt(s, 10, 64)
	return ms, err == nil && ms > 0 && ms < time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
}
