package proto_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

func TestFailure(t *testing.T) {
	t.Parallel()
	e := &proto.Error{Code: proto.RateLimitExceeded, Message: "too many messages", RetryAfter: 1500 * time.Millisecond}
	require.Equal(t, proto.Failure{
		Error: "Rate limit exceeded", Message: "too many messages", Code: proto.RateLimitExceeded,
		Retryable: true, RetryAfterMs: 1500, RequestID: "r1",
	}, e.Failure("r1"))
}

func TestFieldErrorKeepsTheCausesCode(t *testing.T) {
	t.Parallel()
	cause := proto.Errorf(proto.PayloadTooLarge, "must be at most %d bytes", 5)
	var got *proto.Error
	require.ErrorAs(t, proto.FieldError("metadata", cause), &got)
	require.Equal(t, &proto.Error{Code: proto.PayloadTooLarge, Field: "metadata", Message: "metadata must be at most 5 bytes"}, got)
	require.Empty(t, cause.Field, "the cause is not changed")
	require.Equal(t, &proto.Error{Code: proto.InvalidPayload, Field: "at", Message: "at is odd"}, proto.FieldError("at", errors.New("is odd")))
}

func TestAsErrorHidesInternals(t *testing.T) {
	t.Parallel()
	known := proto.Errorf(proto.ChatNotFound, "no such chat")
	require.Same(t, known, proto.AsError(fmt.Errorf("load chat: %w", known)))
	require.Equal(t, &proto.Error{Code: proto.InternalError, Message: "internal error"}, proto.AsError(errors.New("dial 10.0.0.1: refused")))
}

func TestErrorIsByCode(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("send: %w", proto.FieldError("chatId", proto.Errorf(proto.InvalidPayload, "must not be empty")))
	require.ErrorIs(t, err, &proto.Error{Code: proto.InvalidPayload})
	require.NotErrorIs(t, err, &proto.Error{Code: proto.Conflict})
	require.EqualError(t, err, "send: INVALID_PAYLOAD (chatId): chatId must not be empty")
	require.EqualError(t, proto.Errorf(proto.Conflict, "other content"), "CONFLICT: other content")
}
