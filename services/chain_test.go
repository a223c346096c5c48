package services_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
)

type touchyReq struct {
	Key string `json:"key"`
}

func (r *touchyReq) Validate() error {
	switch r.Key {
	case "panic in Validate":
		panic(r.Key)
	case "invalid":
		return proto.Errorf(proto.InvalidStatus, "validated")
	}
	return nil
}

func TestTheOrderOfTheChain(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "test", n, nil)
	release, entered := make(chan struct{}), make(chan struct{}, 1)
	keyed := endpoint[touchyReq, echoRes]("rpc.test.keyed")
	narrow := endpoint[touchyReq, echoRes]("rpc.test.narrow")
	h.Serve(
		services.On(keyed, func(context.Context, touchyReq) (echoRes, error) { return echoRes{}, nil },
			services.KeyBy(func(r *touchyReq) string {
				if r.Key == "panic in KeyBy" {
					panic(r.Key)
				}
				return r.Key
			})),
		services.On(narrow, func(context.Context, touchyReq) (echoRes, error) {
			entered <- struct{}{}
			<-release
			return echoRes{}, nil
		}, services.MaxPending(1)),
	)
	servicestest.Run(t, h, servicestest.Service{})
	code := func(subject, body string) proto.Code {
		t.Helper()
		reply, err := h.Request(t.Context(), subject, actor, []byte(body))
		require.NoError(t, err)
		if reply.Err == nil {
			return ""
		}
		return reply.Err.Code
	}
	require.Equal(t, proto.InternalError, code(keyed.Subject, `{"key":"panic in KeyBy"}`), "recover is around everything")
	require.Equal(t, proto.InternalError, code(keyed.Subject, `{"key":"panic in Validate"}`))
	require.Equal(t, proto.InvalidStatus, code(keyed.Subject, `{"key":"invalid"}`), "validate before the handler")
	require.Equal(t, proto.InvalidPayload, code(keyed.Subject, `{"key":"invalid","key":1}`), "decode before validate")
	require.Equal(t, proto.Code(""), code(keyed.Subject, `{"key":"fine"}`), "a panic costs one request")

	nc := n.Connect()
	inbox := nc.NewInbox()
	answers, err := nc.SubscribeSync(inbox)
	require.NoError(t, err)
	send(t, nc, narrow.Subject, inbox, `{}`, nil)
	<-entered
	require.Equal(t, proto.ServiceUnavailable, code(narrow.Subject, `not json`), "concurrency before decode")
	past := nats.Header{proto.HeaderDeadline: {strconv.FormatInt(time.Now().Add(-time.Second).UnixMilli(), 10)}}
	send(t, nc, narrow.Subject, inbox, `not json`, past)
	require.NoError(t, nc.Flush())
	close(release)
	msg := servicestest.Next(t, answers)
	require.Contains(t, string(msg.Data), `"success":true`)
	require.Equal(t, proto.InvalidPayload, code(narrow.Subject, `not json`), "it comes behind the late one")
	servicestest.Nothing(t, h.NATS(), answers, "deadline before concurrency: a late request gets no answer")
}

func TestADrainGivesUpAtItsTimeout(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	cfg := servicestest.Config(n, nil)
	cfg.DrainTimeout = 100 * time.Millisecond
	h := servicestest.NewHostWith(t, "test", cfg)
	entered := make(chan struct{})
	h.Serve(services.On(echo, func(ctx context.Context, _ echoReq) (echoRes, error) {
		close(entered)
		<-ctx.Done()
		return echoRes{}, proto.Errorf(proto.ServiceUnavailable, "stopping")
	}))
	stop := servicestest.Run(t, h, servicestest.Service{})
	nc := n.Connect()
	inbox := nc.NewInbox()
	answers, err := nc.SubscribeSync(inbox)
	require.NoError(t, err)
	send(t, nc, echo.Subject, inbox, `{}`, nil)
	<-entered
	require.NoError(t, stop())
	msg := servicestest.Next(t, answers)
	require.Equal(t, string(proto.ServiceUnavailable), msg.Header.Get(proto.HeaderError))
}

func TestAServiceMayServeOnlyWhenItHasRebuilt(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "test", n, nil)
	rebuilt := make(chan struct{})
	servicestest.Run(t, h, runFunc(func(ctx context.Context) error {
		<-rebuilt
		h.Serve(services.On(echo, func(context.Context, echoReq) (echoRes, error) { return echoRes{N: 3}, nil }))
		<-ctx.Done()
		return nil
	}))
	_, err := h.Request(t.Context(), echo.Subject, actor, nil)
	require.ErrorIs(t, err, &proto.Error{Code: proto.ServiceUnavailable})
	close(rebuilt)
	servicestest.Eventually(t, 5*time.Second, "the route is there", func() bool {
		res, err := services.Do(t.Context(), h, echo, actor, echoReq{})
		return err == nil && res.N == 3
	})
}
