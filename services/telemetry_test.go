package services_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
)

func get(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
	return rec.Code, rec.Body.String()
}

func TestTheListenerTellsHealthReadinessAndMetrics(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	cfg := servicestest.Config(n, nil)
	h, err := services.NewHost(t.Context(), "test", "1.2.3", cfg, services.WithLogger(servicestest.Log(t)))
	require.NoError(t, err)
	h.Serve(services.On(echo, func(_ context.Context, req echoReq) (echoRes, error) {
		if req.N > 0 {
			return echoRes{}, proto.Errorf(proto.Conflict, "no")
		}
		return echoRes{}, nil
	}))
	part := services.StatusOK
	h.OnReady("store", func(context.Context) services.Status { return part })
	fetch := func(path string) (int, string) {
		res, err := http.Get("http://" + h.MetricsAddr() + path)
		require.NoError(t, err)
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return res.StatusCode, string(body)
	}
	code, body := fetch("/ready")
	require.Equal(t, 503, code)
	require.Contains(t, body, `"starting"`)
	code, _ = fetch("/health")
	require.Equal(t, 200, code, "alive before it is ready")

	stop := servicestest.Run(t, h, servicestest.Service{})
	code, body = fetch("/ready")
	require.Equal(t, 200, code, body)
	part = services.StatusDegraded("catching up %d", 7)
	code, body = fetch("/ready")
	require.Equal(t, 200, code)
	var ready services.Readiness
	require.NoError(t, json.Unmarshal([]byte(body), &ready))
	require.Equal(t, services.Degraded, ready.State)
	require.Equal(t, "catching up 7", ready.Parts["store"].Detail)
	part = services.StatusDown("gone")
	code, _ = fetch("/ready")
	require.Equal(t, 503, code)

	_, _ = services.Do(t.Context(), h, echo, actor, echoReq{})
	_, _ = services.Do(t.Context(), h, echo, actor, echoReq{N: 1})
	servicestest.Eventually(t, 5*time.Second, "requests are counted", func() bool {
		_, body = fetch("/metrics")
		return strings.Contains(body, `sup_request_duration_seconds_count{code="CONFLICT",service="test",subject="rpc.test.echo"} 1`)
	})
	for _, want := range []string{
		`sup_request_duration_seconds_count{code="OK",service="test",subject="rpc.test.echo"} 1`,
		`sup_call_duration_seconds_count{code="OK",service="test",subject="rpc.test.echo"} 1`,
		`sup_requests_pending{service="test",subject="rpc.test.echo"} 0`,
		`sup_redis_down{service="test"} 0`,
		`go_goroutines`, `process_resident_memory_bytes`,
	} {
		require.Contains(t, body, want)
	}
	require.NotContains(t, body, "ann", "no user in a label")
	http.DefaultClient.CloseIdleConnections()
	require.NoError(t, stop())
	_, err = http.Get("http://" + h.MetricsAddr() + "/health")
	require.Error(t, err)
}

func TestSeveralHostsShareOneListener(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	a, b := servicestest.NewHost(t, "a", n, nil), servicestest.NewHost(t, "b", n, nil)
	servicestest.Run(t, a, servicestest.Service{})
	all := services.Handler(a, b)
	code, body := get(t, all, "/ready")
	require.Equal(t, 503, code, "b does not run")
	require.Contains(t, body, `"service":"a"`)
	servicestest.Run(t, b, servicestest.Service{})
	code, _ = get(t, all, "/ready")
	require.Equal(t, 200, code)
	code, body = get(t, all, "/metrics")
	require.Equal(t, 200, code)
	require.Contains(t, body, `sup_redis_down{service="a"} 0`)
	require.Contains(t, body, `sup_redis_down{service="b"} 0`)
	require.NotContains(t, body, "error")
	code, _ = get(t, all, "/debug/pprof/")
	require.Equal(t, 404, code, "profiles only where PPROF asks for them")
}

func TestProfilesAreServedWhereAskedFor(t *testing.T) {
	t.Parallel()
	cfg := servicestest.Config(servicestest.RunNATS(t), nil)
	cfg.PProf = true
	h := servicestest.NewHostWith(t, "test", cfg)
	code, body := get(t, services.Handler(h), "/debug/pprof/goroutine?debug=1")
	require.Equal(t, 200, code)
	require.Contains(t, body, "goroutine profile: total")
}

func TestTracesFollowTheRequest(t *testing.T) {
	spans := recorded()
	spans.Reset()
	t.Setenv("OTEL_TRACES_EXPORTER", "memory")
	n, r := servicestest.RunNATS(t), servicestest.RunRedis(t)
	gateway, chat := servicestest.NewHost(t, "gateway", n, nil), servicestest.NewHost(t, "chat", n, r)
	chat.Serve(services.On(echo, func(ctx context.Context, _ echoReq) (echoRes, error) {
		if !trace.SpanContextFromContext(ctx).IsValid() {
			return echoRes{}, proto.Errorf(proto.Conflict, "no span")
		}
		return echoRes{}, chat.Redis().Set(ctx, "k", "v", 0).Err()
	}))
	servicestest.Run(t, chat, servicestest.Service{})
	reply, err := gateway.Request(t.Context(), echo.Subject, actor, nil)
	require.NoError(t, err)
	require.Nil(t, reply.Err)
	chat.Close()
	gateway.Close()

	byKind := map[trace.SpanKind]tracetest.SpanStub{}
	for _, s := range spans.GetSpans() {
		if s.Name == echo.Subject {
			byKind[s.SpanKind] = s
			require.Equal(t, reply.RequestID, s.SpanContext.TraceID().String(), "the request id is the trace id")
		}
	}
	require.Len(t, byKind, 2)
	require.Equal(t, byKind[trace.SpanKindClient].SpanContext.SpanID(), byKind[trace.SpanKindServer].Parent.SpanID())
	found := false
	for _, s := range spans.GetSpans() {
		found = found || s.Name == "set" && s.Parent.SpanID() == byKind[trace.SpanKindServer].SpanContext.SpanID()
	}
	require.True(t, found, "redis commands hang under the request")
}

// recorded is the exporter OTEL_TRACES_EXPORTER=memory; a name registers once.
var recorded = sync.OnceValue(func() *tracetest.InMemoryExporter {
	spans := tracetest.NewInMemoryExporter()
	autoexport.RegisterSpanExporter("memory", func(context.Context) (sdktrace.SpanExporter, error) { return kept{spans}, nil })
	return spans
})

// kept keeps its spans at shutdown, which the in-memory exporter drops.
type kept struct{ *tracetest.InMemoryExporter }

func (kept) Shutdown(context.Context) error { return nil }

func TestLogLinesCarryTheRequest(t *testing.T) {
	n := servicestest.RunNATS(t)
	var log lines
	h := servicestest.NewHost(t, "test", n, nil, services.WithLogger(services.NewLogger(&log, slog.LevelInfo, "json")))
	h.Serve(services.On(echo, func(ctx context.Context, _ echoReq) (echoRes, error) {
		h.Log().InfoContext(ctx, "hello", "secret", services.Secret("hunter2"))
		return echoRes{}, nil
	}))
	servicestest.Run(t, h, servicestest.Service{})
	reply, err := h.Request(t.Context(), echo.Subject, actor, nil)
	require.NoError(t, err)
	line := log.find("hello")
	require.Contains(t, line, `"requestId":"`+reply.RequestID+`"`)
	require.Contains(t, line, `"service":"test"`)
	require.NotContains(t, line, "hunter2")

	t.Setenv("NO_COLOR", "")
	var tinted bytes.Buffer
	services.NewLogger(&tinted, slog.LevelInfo, "tint").Info("hello", "a", 1)
	require.Contains(t, tinted.String(), "\x1b[")
}
