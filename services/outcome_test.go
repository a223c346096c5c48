package services_test

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
)

func TestRedisOutcome(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	require.NoError(t, services.RedisOutcome(ctx, nil))
	require.NoError(t, services.RedisOutcome(ctx, redis.Nil))
	require.ErrorIs(t, services.RedisOutcome(ctx, services.ErrRedisDown), services.ErrRedisDown)
	lost := services.RedisOutcome(ctx, io.EOF)
	require.ErrorIs(t, lost, services.ErrRedisDown)
	require.ErrorIs(t, lost, io.EOF)
	require.Equal(t, proto.ServiceUnavailable, proto.AsError(lost).Code)
	cancel()
	require.Equal(t, context.Canceled, services.RedisOutcome(ctx, io.EOF))
}

func TestUnavailable(t *testing.T) {
	t.Parallel()
	cause := errors.New("away")
	require.NoError(t, services.Unavailable(nil, "x"))
	require.Equal(t, cause, services.Unavailable(cause, "x"))
	for _, err := range []error{services.ErrRedisDown, context.DeadlineExceeded, context.Canceled, cause} {
		var told *proto.Error
		require.ErrorAs(t, services.Unavailable(err, "x is away", cause), &told)
		require.Equal(t, proto.ServiceUnavailable, told.Code)
		require.Equal(t, "x is away", told.Message)
	}
	other := proto.Errorf(proto.Conflict, "no")
	require.Equal(t, error(other), services.Unavailable(other, "x"))
}

func TestFailuresNameTheCall(t *testing.T) {
	t.Parallel()
	ack := services.FailureAck(&proto.Error{Code: proto.CallGlare, Message: "m", CallID: "c:1"}, "r")
	require.Contains(t, string(ack), `"callId":"c:1"`)
}
