package services_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
)

func TestRoom(t *testing.T) {
	t.Parallel()
	r := services.RoomOf(100)
	require.False(t, r.Fits(101))
	require.True(t, r.Fits(60))
	require.False(t, r.Fits(41))
	require.True(t, r.Fits(40))
	require.Zero(t, r.Left())
	require.Equal(t, 100, r.Whole())
}

// TestAnswerRoom: an answer that fills its room arrives, whatever the server announced.
func TestAnswerRoom(t *testing.T) {
	t.Parallel()
	for _, payload := range []int32{services.MinPayload, 1 << 20} {
		n := servicestest.RunNATS(t, func(o *server.Options) { o.MaxPayload = payload })
		h := servicestest.NewHost(t, "test", n, nil)
		require.Equal(t, int(payload)-1024, h.AnswerRoom().Left())
		h.Serve(services.On(echo, func(context.Context, echoReq) (echoRes, error) {
			return echoRes{Key: strings.Repeat("x", h.AnswerRoom().Left())}, nil
		}))
		servicestest.Run(t, h, servicestest.Service{})
		res, err := services.Do(t.Context(), h, echo, actor, echoReq{})
		require.NoError(t, err)
		require.Len(t, res.Key, int(payload)-1024)
	}
}

// TestSmallServerIsRefused: a host ends on a server that takes smaller messages than the
// mesh needs, and says which setting it is.
func TestSmallServerIsRefused(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t, func(o *server.Options) { o.MaxPayload = services.MinPayload - 1 })
	h := servicestest.NewHost(t, "test", n, nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := h.Run(ctx, servicestest.Service{})
	require.ErrorContains(t, err, "max_payload of the NATS server")
	require.ErrorContains(t, err, "is 262143 bytes: set it to 262144 or more")
}

// TestLargeRequest: what is too large only by its spelling is sent shorter; of what is too
// large in any, the error names the member.
func TestLargeRequest(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "test", n, nil)
	h.Serve(services.On(echo, func(_ context.Context, req echoReq) (echoRes, error) {
		return echoRes{Key: req.Key}, nil
	}))
	servicestest.Run(t, h, servicestest.Service{})
	reply, err := h.Request(t.Context(), echo.Subject, actor, []byte(`{"key":"`+strings.Repeat(`\u003c`, 64<<10)+`"}`))
	require.NoError(t, err)
	require.Contains(t, string(reply.Body), strings.Repeat("<", 64<<10))
	_, err = h.Request(t.Context(), echo.Subject, actor, []byte(`{"other":1,"key":"`+strings.Repeat(`\u0001`, 64<<10)+`"}`))
	require.ErrorIs(t, err, &proto.Error{Code: proto.PayloadTooLarge})
	require.Equal(t, "key", proto.AsError(err).Field)
	require.Contains(t, err.Error(), "key is too large: the request must be at most 26")
}
