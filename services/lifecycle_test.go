package services_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
)

type runFunc func(context.Context) error

func (f runFunc) Run(ctx context.Context) error { return f(ctx) }

func TestAStopAnswersEveryAcceptedRequest(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "test", n, nil)
	release := make(chan struct{})
	h.Serve(services.On(echo, func(_ context.Context, req echoReq) (echoRes, error) {
		<-release
		return echoRes{Key: req.Key}, nil
	}, services.Unordered(), services.Workers(4)))
	stop := servicestest.Run(t, h, servicestest.Service{})

	nc := n.Connect()
	inbox := nc.NewInbox()
	answers, err := nc.SubscribeSync(inbox)
	require.NoError(t, err)
	const requests = 500
	for i := range requests {
		send(t, nc, echo.Subject, inbox, fmt.Sprintf(`{"key":"%d"}`, i), nil)
	}
	require.NoError(t, nc.Flush()) // the server has them all
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	servicestest.Eventually(t, servicestest.Patience, "it stops", func() bool { return h.Ready(context.Background()).State == services.Down })
	close(release)
	require.NoError(t, <-stopped)
	for range requests {
		msg := servicestest.Next(t, answers)
		require.Empty(t, msg.Header.Get(proto.HeaderError))
	}
	_, err = nc.Request(echo.Subject, nil, time.Second)
	require.ErrorIs(t, err, nats.ErrNoResponders)
}

func TestTheOrderOfAStop(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "test", n, nil)
	var steps []string
	entered := make(chan struct{})
	partRuns := make(chan struct{})
	release := make(chan struct{})
	h.Serve(services.On(echo, func(ctx context.Context, _ echoReq) (echoRes, error) {
		close(entered)
		<-release
		if ctx.Err() != nil {
			return echoRes{}, ctx.Err()
		}
		steps = append(steps, "request")
		return echoRes{}, nil
	}))
	require.True(t, h.Go("part", func(ctx context.Context) error {
		close(partRuns)
		<-ctx.Done()
		steps = append(steps, "part")
		return ctx.Err()
	}))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- h.Run(ctx, runFunc(func(ctx context.Context) error { <-ctx.Done(); steps = append(steps, "run"); return ctx.Err() }))
	}()
	<-partRuns
	nc := n.Connect()
	inbox := nc.NewInbox()
	answers, err := nc.SubscribeSync(inbox)
	require.NoError(t, err)
	servicestest.Eventually(t, 5*time.Second, "ready", func() bool { return h.Ready(t.Context()).State == services.OK && h.Flush() == nil })
	send(t, nc, echo.Subject, inbox, `{}`, nil)
	<-entered
	cancel()
	servicestest.Eventually(t, 5*time.Second, "not ready while stopping", func() bool { return h.Ready(context.Background()).State == services.Down })
	close(release)
	require.NoError(t, <-ended)
	require.Equal(t, []string{"request", "run", "part"}, steps)
	servicestest.Next(t, answers)
	require.False(t, h.Go("late", func(context.Context) error { return nil }), "nothing starts on a stopped host")
	require.True(t, h.NATS().IsClosed())
}

func TestAPartThatEndsWithAnErrorEndsTheHost(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	broken := errors.New("disk is gone")
	tests := []struct {
		name string
		part func(context.Context) error
		run  func(context.Context) error
		want string
	}{
		{"error", func(context.Context) error { return broken }, nil, "run test: consumer: disk is gone"},
		{"panic", func(context.Context) error { panic("oops") }, nil, "run test: consumer: panic: oops"},
		{"run", func(context.Context) error { return nil }, func(context.Context) error { return broken }, "run test: disk is gone"},
		{"run panics", func(context.Context) error { return nil }, func(context.Context) error { panic("oops") }, "run test: panic: oops"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := servicestest.NewHost(t, "test", n, nil)
			run := tt.run
			if run == nil {
				run = servicestest.Service{}.Run
			}
			require.True(t, h.Go("consumer", tt.part))
			require.ErrorContains(t, h.Run(t.Context(), runFunc(run)), tt.want)
		})
	}
}

func TestAClosedConnectionEndsTheHost(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "test", n, nil)
	ended := make(chan error, 1)
	go func() { ended <- h.Run(t.Context(), servicestest.Service{}) }()
	servicestest.Eventually(t, 5*time.Second, "ready", func() bool { return h.Ready(t.Context()).State == services.OK })
	// A subject over the server's control line: nats.go gives up for good.
	require.NoError(t, h.NATS().Publish(strings.Repeat("x", 5000), nil))
	require.ErrorContains(t, <-ended, "nats connection closed")
}

func TestARestartOfNATSIsSurvived(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "test", n, nil)
	var back, served atomic.Int32
	h.OnReconnect(func() { back.Add(1) })
	h.Serve(services.On(echo, func(context.Context, echoReq) (echoRes, error) { served.Add(1); return echoRes{}, nil }))
	servicestest.Run(t, h, servicestest.Service{})
	n.Stop()
	servicestest.Eventually(t, 10*time.Second, "the loss is seen", func() bool { return h.Ready(t.Context()).State == services.Down && !h.NATS().IsConnected() })
	require.Error(t, h.NATS().Publish("zombie", nil), "a publish while NATS is away fails")

	start := time.Now()
	_, err := h.Request(t.Context(), echo.Subject, actor, nil, services.WithTimeout(300*time.Millisecond))
	require.ErrorIs(t, err, &proto.Error{Code: proto.ServiceUnavailable})
	require.Less(t, time.Since(start), proto.RequestTimeout)

	// One that is patient enough gets its answer after the restart.
	patient := make(chan error, 1)
	go func() {
		_, err := h.Request(context.Background(), echo.Subject, actor, nil, services.WithTimeout(15*time.Second))
		patient <- err
	}()
	n.Start()
	require.NoError(t, <-patient)
	require.Equal(t, int32(1), served.Load(), "the request that was given up must not arrive later")
	require.False(t, h.NATS().IsClosed())
	servicestest.Eventually(t, 10*time.Second, "ready again", func() bool { return h.Ready(t.Context()).State == services.OK })
	require.Equal(t, int32(1), back.Load())
}

func TestAHostStartsBeforeNATS(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	n.Stop()
	h := servicestest.NewHost(t, "test", n, nil)
	h.Serve(services.On(echo, func(context.Context, echoReq) (echoRes, error) { return echoRes{N: 1}, nil }))
	require.Equal(t, services.Down, h.Ready(t.Context()).State)
	n.Start()
	servicestest.Run(t, h, servicestest.Service{})
	_, err := services.Do(t.Context(), h, echo, actor, echoReq{})
	require.NoError(t, err)
}

func TestSlowConsumersAreReported(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "test", n, nil)
	slow := make(chan string, 10)
	h.OnSlowConsumer(func(s *nats.Subscription) { slow <- s.Subject })
	full := make(chan *nats.Msg, 1)
	_, err := h.NATS().ChanSubscribe("flood", full)
	require.NoError(t, err)
	nc := n.Connect()
	require.NoError(t, h.Flush())
	for range 100 {
		require.NoError(t, nc.Publish("flood", nil))
	}
	require.Equal(t, "flood", <-slow)
}

func TestManyHostsLiveInOneProcess(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	opts := []services.Option{services.WithInProcessNATS(n.Server)}
	a := servicestest.NewHost(t, "a", n, nil, opts...)
	b := servicestest.NewHost(t, "b", n, nil, opts...)
	a.Serve(services.On(echo, func(context.Context, echoReq) (echoRes, error) { return echoRes{N: 7}, nil }))
	stop := servicestest.Run(t, a, servicestest.Service{})
	servicestest.Run(t, b, servicestest.Service{})
	res, err := services.Do(t.Context(), b, echo, actor, echoReq{})
	require.NoError(t, err)
	require.Equal(t, 7, res.N)
	require.NoError(t, stop())
	require.True(t, b.NATS().IsConnected())
}
