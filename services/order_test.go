package services_test

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
)

// send publishes a request without waiting; answers go to inbox.
func send(t *testing.T, nc *nats.Conn, subject, inbox, body string, header nats.Header) {
	t.Helper()
	require.NoError(t, nc.PublishMsg(&nats.Msg{Subject: subject, Reply: inbox, Data: []byte(body), Header: header}))
}

func TestOneKeyIsServedInOrderWhileOthersRun(t *testing.T) {
	t.Parallel()
	const keys, each = 40, 50
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "test", n, nil)
	var mu sync.Mutex
	got := map[string][]int{}
	var running, most atomic.Int32
	h.Serve(services.On(echo, func(_ context.Context, req echoReq) (echoRes, error) {
		now := running.Add(1)
		for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
		}
		if req.N%7 == 0 {
			runtime.Gosched() // others run meanwhile
		}
		mu.Lock()
		got[req.Key] = append(got[req.Key], req.N)
		mu.Unlock()
		running.Add(-1)
		return echoRes{}, nil
	}, services.KeyBy(func(r *echoReq) string { return r.Key }), services.Workers(8)))
	servicestest.Run(t, h, servicestest.Service{})

	nc := n.Connect()
	inbox := nc.NewInbox()
	answers, err := nc.SubscribeSync(inbox)
	require.NoError(t, err)
	for i := range each {
		for k := range keys {
			send(t, nc, echo.Subject, inbox, fmt.Sprintf(`{"key":"k%d","n":%d}`, k, i), nil)
		}
	}
	for range keys * each {
		servicestest.Next(t, answers)
	}
	mu.Lock()
	defer mu.Unlock()
	require.Len(t, got, keys)
	for key, order := range got {
		require.Len(t, order, each)
		for i, v := range order {
			require.Equal(t, i, v, "key %s", key)
		}
	}
	require.Greater(t, most.Load(), int32(1), "keys must run side by side")
	require.LessOrEqual(t, most.Load(), int32(8))
}

func TestASlowKeyHoldsUpOnlyItself(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "test", n, nil)
	release := make(chan struct{})
	h.Serve(services.On(echo, func(_ context.Context, req echoReq) (echoRes, error) {
		if req.Key == "slow" {
			<-release
		}
		return echoRes{Key: req.Key}, nil
	}, services.KeyBy(func(r *echoReq) string { return r.Key }), services.Workers(2)))
	servicestest.Run(t, h, servicestest.Service{})
	defer close(release)
	nc := n.Connect()
	for range 10 {
		send(t, nc, echo.Subject, nc.NewInbox(), `{"key":"slow"}`, nil)
	}
	for i := range 100 {
		_, err := services.Do(t.Context(), h, echo, actor, echoReq{Key: strconv.Itoa(i)})
		require.NoError(t, err)
	}
}

func TestTooManyPendingIsSaidAtOnce(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "test", n, nil)
	release := make(chan struct{})
	h.Serve(services.On(echo, func(context.Context, echoReq) (echoRes, error) { <-release; return echoRes{}, nil },
		services.Unordered(), services.Workers(2), services.MaxPending(5)))
	servicestest.Run(t, h, servicestest.Service{})
	nc := n.Connect()
	inbox := nc.NewInbox()
	answers, err := nc.SubscribeSync(inbox)
	require.NoError(t, err)
	for range 8 {
		send(t, nc, echo.Subject, inbox, `{}`, nil)
	}
	for range 3 {
		msg := servicestest.Next(t, answers)
		require.Equal(t, string(proto.ServiceUnavailable), msg.Header.Get(proto.HeaderError))
		require.Contains(t, string(msg.Data), `"retryAfterMs":1000`)
	}
	close(release)
	for range 5 {
		msg := servicestest.Next(t, answers)
		require.Empty(t, msg.Header.Get(proto.HeaderError))
	}
}

func TestARequestPastItsDeadlineIsDropped(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "test", n, nil)
	var ran atomic.Int32
	release := make(chan struct{})
	h.Serve(services.On(echo, func(_ context.Context, req echoReq) (echoRes, error) {
		ran.Add(1)
		if req.Key == "wait" {
			<-release
		}
		return echoRes{Key: req.Key}, nil
	}, services.Workers(1)))
	servicestest.Run(t, h, servicestest.Service{})
	nc := n.Connect()
	inbox := nc.NewInbox()
	answers, err := nc.SubscribeSync(inbox)
	require.NoError(t, err)
	at := func(d time.Duration) nats.Header {
		return nats.Header{proto.HeaderDeadline: {strconv.FormatInt(time.Now().Add(d).UnixMilli(), 10)}}
	}
	send(t, nc, echo.Subject, inbox, `{"key":"late"}`, at(-time.Second)) // past on arrival
	send(t, nc, echo.Subject, inbox, `{"key":"wait"}`, at(time.Minute))
	send(t, nc, echo.Subject, inbox, `{"key":"zombie"}`, at(30*time.Millisecond)) // past when its turn comes
	send(t, nc, echo.Subject, inbox, `{"key":"last"}`, at(time.Minute))
	require.NoError(t, nc.Flush())
	past := time.Now().Add(30 * time.Millisecond)
	servicestest.Eventually(t, servicestest.Patience, "the deadline is over", func() bool { return time.Now().After(past) })
	close(release)
	for _, want := range []string{"wait", "last"} {
		msg := servicestest.Next(t, answers)
		require.Contains(t, string(msg.Data), `"key":"`+want+`"`)
	}
	require.Equal(t, int32(2), ran.Load())
}

func TestAHandlersContextEndsAtTheDeadline(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "test", n, nil)
	var kept context.Context
	h.Serve(services.On(echo, func(ctx context.Context, req echoReq) (echoRes, error) {
		kept = ctx
		if req.Key == "quick" {
			child, cancel := context.WithCancel(ctx)
			defer cancel()
			return echoRes{}, child.Err()
		}
		deadline, ok := ctx.Deadline()
		if !ok || ctx.Err() != nil || time.Until(deadline) > 200*time.Millisecond {
			return echoRes{}, fmt.Errorf("deadline %v", deadline)
		}
		<-ctx.Done()
		return echoRes{}, fmt.Errorf("store: %w", ctx.Err())
	}))
	servicestest.Run(t, h, servicestest.Service{})
	_, err := services.Do(t.Context(), h, echo, actor, echoReq{}, services.WithTimeout(100*time.Millisecond))
	require.ErrorIs(t, err, &proto.Error{Code: proto.Timeout})
	_, err = services.Do(t.Context(), h, echo, actor, echoReq{Key: "quick"})
	require.NoError(t, err)
	servicestest.Eventually(t, time.Second, "a request's context ends with it", func() bool { return kept.Err() == context.Canceled })
	<-kept.Done()
}
