package services_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
)

func TestNobodyThereIsUnavailable(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "test", n, nil)
	start := time.Now()
	reply, err := h.Request(t.Context(), echo.Subject, actor, nil)
	require.ErrorIs(t, err, &proto.Error{Code: proto.ServiceUnavailable})
	require.Less(t, time.Since(start), proto.RequestTimeout)
	require.Contains(t, string(reply.Body), `"code":"SERVICE_UNAVAILABLE","retryable":true,"retryAfterMs":1000,"requestId":"`+reply.RequestID+`"}`)
}

func TestARequestFindsAServiceThatComesBack(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	caller := servicestest.NewHost(t, "caller", n, nil)
	server := servicestest.NewHost(t, "test", n, nil)
	server.Serve(services.On(echo, func(context.Context, echoReq) (echoRes, error) { return echoRes{N: 1}, nil }))
	done := make(chan error, 1)
	go func() {
		_, err := services.Do(context.Background(), caller, echo, actor, echoReq{})
		done <- err
	}()
	servicestest.Run(t, server, servicestest.Service{})
	require.NoError(t, <-done)
}

func TestOnlyIdempotentRequestsAreRepeated(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "test", n, nil)
	nc := n.Connect()
	asked, err := nc.SubscribeSync("rpc.test.mute")
	require.NoError(t, err)
	require.NoError(t, nc.Flush())

	_, err = h.Request(t.Context(), "rpc.test.mute", actor, nil, services.WithTimeout(900*time.Millisecond))
	require.ErrorIs(t, err, &proto.Error{Code: proto.Timeout})
	servicestest.Next(t, asked)

	_, err = h.Request(t.Context(), "rpc.test.mute", actor, nil, services.WithTimeout(900*time.Millisecond), services.Idempotent())
	require.ErrorIs(t, err, &proto.Error{Code: proto.Timeout})
	ids := map[string]bool{}
	for range 3 {
		msg := servicestest.Next(t, asked)
		ids[msg.Header.Get(proto.HeaderRequestID)] = true
	}
	require.Len(t, ids, 1, "repeats carry one id")
	servicestest.Nothing(t, h.NATS(), asked, "nothing else was sent")
}

func TestARequestInsideAHandlerCarriesItsTrace(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "test", n, nil)
	inner := endpoint[echoReq, echoRes]("rpc.test.inner")
	var outerID, innerID string
	h.Serve(
		services.On(echo, func(ctx context.Context, _ echoReq) (echoRes, error) {
			call, _ := services.CallFrom(ctx)
			outerID = call.RequestID
			return services.Do(ctx, h, inner, call.Actor, echoReq{})
		}),
		services.On(inner, func(ctx context.Context, _ echoReq) (echoRes, error) {
			call, _ := services.CallFrom(ctx)
			innerID = call.RequestID
			return echoRes{}, nil
		}),
	)
	servicestest.Run(t, h, servicestest.Service{})
	_, err := services.Do(t.Context(), h, echo, actor, echoReq{})
	require.NoError(t, err)
	require.Len(t, outerID, 32)
	require.Equal(t, outerID, innerID)

	// From a caller that has a trace of its own and no request id.
	msg, err := n.Connect().RequestMsg(&nats.Msg{Subject: echo.Subject, Header: nats.Header{
		proto.HeaderTrace: {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
	}}, 5*time.Second)
	require.NoError(t, err)
	require.Contains(t, string(msg.Data), "4bf92f3577b34da6a3ce929d0e0e4736")
	require.Equal(t, "4bf92f3577b34da6a3ce929d0e0e4736", innerID)
}

func TestHostileSubjectsAndSizesAreRefused(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "test", n, nil)
	for _, subject := range []string{"", "rpc.*", "rpc.>", "rpc.a b", "rpc.\n", "rpc." + strings.Repeat("x", 5000)} {
		_, err := h.Request(t.Context(), subject, actor, nil)
		require.ErrorIs(t, err, &proto.Error{Code: proto.InternalError, Message: ""}, "%.20q", subject)
	}
	_, err := h.Request(t.Context(), echo.Subject, actor, make([]byte, 2<<20))
	require.ErrorIs(t, err, &proto.Error{Code: proto.PayloadTooLarge})
	require.True(t, h.NATS().IsConnected())
}

func TestAnAnswerThatIsTooLargeIsAFailure(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "test", n, nil)
	h.Serve(services.On(echo, func(context.Context, echoReq) (echoRes, error) {
		return echoRes{Key: strings.Repeat("x", 2<<20)}, nil
	}))
	servicestest.Run(t, h, servicestest.Service{})
	_, err := services.Do(t.Context(), h, echo, actor, echoReq{})
	require.ErrorIs(t, err, &proto.Error{Code: proto.PayloadTooLarge})
}

// TestTheOtherCallOfAFailure: a caller learns which call it is that rings already.
func TestTheOtherCallOfAFailure(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "test", n, nil)
	h.Serve(services.On(echo, func(context.Context, echoReq) (echoRes, error) {
		return echoRes{}, fmt.Errorf("initiate: %w", &proto.Error{Code: proto.CallGlare, Message: "they call you", CallID: `c"1`})
	}))
	servicestest.Run(t, h, servicestest.Service{})
	_, err := services.Do(t.Context(), h, echo, actor, echoReq{})
	require.Equal(t, &proto.Error{Code: proto.CallGlare, Message: "they call you", CallID: `c"1`}, err)
	reply, err := h.Request(t.Context(), echo.Subject, actor, []byte(`{}`))
	require.NoError(t, err)
	require.Contains(t, string(reply.Body), `"code":"CALL_GLARE","retryable":false,"callId":"c\"1","requestId":"`+reply.RequestID+`"}`)
}
