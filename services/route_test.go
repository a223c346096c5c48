package services_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
)

type echoReq struct {
	Key   string            `json:"key"`
	N     int               `json:"n"`
	Inner struct{ A []int } `json:"inner"`
	When  *proto.Timestamp  `json:"when"`
}

func (r *echoReq) Validate() error {
	if r.N < 0 {
		return &proto.Error{Code: proto.InvalidPayload, Field: "n", Message: "n must not be negative"}
	}
	return nil
}

type echoRes struct {
	Key string `json:"key,omitzero"`
	N   int    `json:"n,omitzero"`
}

// fastRes writes itself.
type fastRes struct{ raw string }

func (r fastRes) AppendAck(dst []byte) []byte { return append(dst, r.raw...) }

func endpoint[Req, Res any](subject string) proto.Endpoint[Req, Res] {
	return proto.Endpoint[Req, Res]{Row: proto.Row{Subject: subject, Timeout: 5 * time.Second}}
}

var (
	echo  = endpoint[echoReq, echoRes]("rpc.test.echo")
	fast  = endpoint[echoReq, fastRes]("rpc.test.fast")
	actor = proto.Actor{User: "ann", Device: "phone", Name: "Ann Ö", Socket: "s1", Gateway: "g1"}
)

func TestAnswersAreWholeAcks(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "test", n, nil)
	var seen *services.Call
	h.Serve(
		services.On(echo, func(ctx context.Context, req echoReq) (echoRes, error) {
			seen, _ = services.CallFrom(ctx)
			switch req.Key {
			case "coded":
				return echoRes{}, &proto.Error{Code: proto.RateLimitExceeded, Message: "slow \"down\"", Field: "key", RetryAfter: 1500 * time.Millisecond}
			case "secret":
				return echoRes{}, errors.New("password is hunter2")
			case "panic":
				panic("hunter2")
			case "wrapped":
				return echoRes{}, errors.Join(errors.New("context"), proto.Errorf(proto.ChatNotFound, "no such chat"))
			}
			return echoRes{Key: req.Key, N: req.N}, nil
		}),
		services.On(fast, func(_ context.Context, req echoReq) (fastRes, error) { return fastRes{req.Key}, nil }),
	)
	servicestest.Run(t, h, servicestest.Service{})

	const id = "0123456789abcdef0123456789abcdef"
	tests := []struct{ name, subject, body, want string }{
		{"success", "rpc.test.echo", `{"key":"k","n":1}`, `{"success":true,"key":"k","n":1,"requestId":"` + id + `"}`},
		{"no fields", "rpc.test.echo", `{}`, `{"success":true,"requestId":"` + id + `"}`},
		{"no body", "rpc.test.echo", ``, `{"success":true,"requestId":"` + id + `"}`},
		{"own encoder", "rpc.test.fast", `{"key":"\"a\":1"}`, `{"success":true,"a":1,"requestId":"` + id + `"}`},
		{"own encoder, nothing", "rpc.test.fast", `{}`, `{"success":true,"requestId":"` + id + `"}`},
		{"coded", "rpc.test.echo", `{"key":"coded"}`, `{"success":false,"error":"Rate limit exceeded","message":"slow \"down\"","code":"RATE_LIMIT_EXCEEDED","retryable":true,"retryAfterMs":1500,"field":"key","requestId":"` + id + `"}`},
		{"wrapped", "rpc.test.echo", `{"key":"wrapped"}`, `{"success":false,"error":"Chat not found","message":"no such chat","code":"CHAT_NOT_FOUND","retryable":false,"requestId":"` + id + `"}`},
		{"anything else", "rpc.test.echo", `{"key":"secret"}`, `{"success":false,"error":"Internal error","message":"internal error","code":"INTERNAL_ERROR","retryable":true,"requestId":"` + id + `"}`},
		{"panic", "rpc.test.echo", `{"key":"panic"}`, `{"success":false,"error":"Internal error","message":"internal error","code":"INTERNAL_ERROR","retryable":true,"requestId":"` + id + `"}`},
		{"validate", "rpc.test.echo", `{"n":-1}`, `{"success":false,"error":"Invalid payload","message":"n must not be negative","code":"INVALID_PAYLOAD","retryable":false,"field":"n","requestId":"` + id + `"}`},
		{"wrong type", "rpc.test.echo", `{"n":"1"}`, `{"success":false,"error":"Invalid payload","message":"n must be a whole number","code":"INVALID_PAYLOAD","retryable":false,"field":"n","requestId":"` + id + `"}`},
		{"wrong type, deep", "rpc.test.echo", `{"inner":{"A":[1,"x"]}}`, `{"success":false,"error":"Invalid payload","message":"inner.A[1] must be a whole number","code":"INVALID_PAYLOAD","retryable":false,"field":"inner.A[1]","requestId":"` + id + `"}`},
		{"twice", "rpc.test.echo", `{"key":"a","key":"b"}`, `{"success":false,"error":"Invalid payload","message":"key must not stand twice","code":"INVALID_PAYLOAD","retryable":false,"field":"key","requestId":"` + id + `"}`},
		{"bad time", "rpc.test.echo", `{"when":"yesterday"}`, `{"success":false,"error":"Invalid payload","message":"when must be an RFC 3339 time","code":"INVALID_PAYLOAD","retryable":false,"field":"when","requestId":"` + id + `"}`},
		{"bad UTF-8", "rpc.test.echo", "{\"key\":\"\xff\"}", `{"success":false,"error":"Invalid payload","message":"key must be valid UTF-8","code":"INVALID_PAYLOAD","retryable":false,"field":"key","requestId":"` + id + `"}`},
		{"not JSON", "rpc.test.echo", `{"key":`, `{"success":false,"error":"Invalid payload","message":"key must be valid JSON","code":"INVALID_PAYLOAD","retryable":false,"field":"key","requestId":"` + id + `"}`},
		{"too deep", "rpc.test.echo", `{"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, `{"success":false,"error":"Invalid payload","message":"nesting must be at most 32 levels","code":"INVALID_PAYLOAD","retryable":false,"requestId":"` + id + `"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			reply, err := h.Request(t.Context(), tt.subject, actor, []byte(tt.body), services.WithRequestID(id))
			require.NoError(t, err)
			require.Equal(t, tt.want, string(reply.Body))
			require.True(t, json.Valid(reply.Body))
			var f proto.Failure
			require.NoError(t, json.Unmarshal(reply.Body, &f))
			if f.Success {
				require.Nil(t, reply.Err)
			} else {
				require.Equal(t, f.Code, reply.Err.Code)
				require.Equal(t, f.Field, reply.Err.Field)
				require.Equal(t, time.Duration(f.RetryAfterMs)*time.Millisecond, reply.Err.RetryAfter)
			}
			require.Equal(t, id, reply.RequestID)
		})
	}
	require.Equal(t, actor, seen.Actor)
	require.Equal(t, id, seen.RequestID)
	require.Equal(t, "rpc.test.echo", seen.Subject)
}

func TestBadHeadersAreNamed(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "test", n, nil)
	h.Serve(services.On(echo, func(context.Context, echoReq) (echoRes, error) { return echoRes{}, nil }))
	servicestest.Run(t, h, servicestest.Service{})
	nc := n.Connect()
	for header, value := range map[string]string{proto.HeaderActor: "nobody", proto.HeaderDeadline: "soon"} {
		msg, err := nc.RequestMsg(&nats.Msg{Subject: echo.Subject, Header: nats.Header{header: {value}}}, 5*time.Second)
		require.NoError(t, err)
		require.Equal(t, "INVALID_PAYLOAD", msg.Header.Get(proto.HeaderError))
		require.Equal(t, "400", msg.Header.Get(micro.ErrorCodeHeader))
		require.Contains(t, string(msg.Data), header)
	}
}

func TestDoIsTyped(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "test", n, nil)
	h.Serve(services.On(echo, func(_ context.Context, req echoReq) (echoRes, error) {
		if req.Key == "" {
			return echoRes{}, proto.Errorf(proto.Conflict, "empty")
		}
		return echoRes(struct {
			Key string `json:"key,omitzero"`
			N   int    `json:"n,omitzero"`
		}{req.Key, req.N}), nil
	}))
	servicestest.Run(t, h, servicestest.Service{})
	res, err := services.Do(t.Context(), h, echo, actor, echoReq{Key: "a", N: 2})
	require.NoError(t, err)
	require.Equal(t, echoRes{"a", 2}, res)
	_, err = services.Do(t.Context(), h, echo, actor, echoReq{})
	require.ErrorIs(t, err, &proto.Error{Code: proto.Conflict})
}

func TestDiscoveryListsTheTable(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "test", n, nil)
	h.Serve(
		services.On(echo, func(context.Context, echoReq) (echoRes, error) { return echoRes{}, nil }),
		services.On(fast, func(context.Context, echoReq) (fastRes, error) { return fastRes{}, nil }),
	)
	servicestest.Run(t, h, servicestest.Service{})
	msg, err := n.Connect().Request("$SRV.INFO.test", nil, 5*time.Second)
	require.NoError(t, err)
	var info micro.Info
	require.NoError(t, json.Unmarshal(msg.Data, &info))
	require.Equal(t, "test", info.Name)
	require.Equal(t, h.InstanceID(), info.Metadata["instance"])
	var subjects []string
	for _, e := range info.Endpoints {
		subjects = append(subjects, e.Subject)
	}
	require.ElementsMatch(t, []string{echo.Subject, fast.Subject}, subjects)
}

func TestMistakesInTheTableStopTheStart(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	handler := func(context.Context, echoReq) (echoRes, error) { return echoRes{}, nil }
	tests := []struct {
		name   string
		routes []services.Route
		want   string
	}{
		{"twice", []services.Route{services.On(echo, handler), services.On(echo, handler)}, "route rpc.test.echo stands twice"},
		{"no subject", []services.Route{services.On(endpoint[echoReq, echoRes](""), handler)}, "has no subject"},
		{"answer", []services.Route{services.On(endpoint[echoReq, int]("rpc.test.n"), func(context.Context, echoReq) (int, error) { return 1, nil })}, "must be a struct or a map, not int"},
		{"key", []services.Route{services.On(echo, handler, services.KeyBy(func(*echoRes) string { return "" }))}, "KeyBy takes *services_test.echoRes"},
		{"workers", []services.Route{services.On(echo, handler, services.Workers(0))}, "at least 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := servicestest.NewHost(t, "test", n, nil)
			h.Serve(tt.routes...)
			require.ErrorContains(t, h.Run(t.Context(), servicestest.Service{}), tt.want)
		})
	}
}
