package services

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel/attribute"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

const scope = "supmesh.dev/services"

// telemetry is one host's meters and tracer: own registry, own providers, no
// globals, so that several hosts share a process.
type telemetry struct {
	registry *prometheus.Registry
	meters   *sdkmetric.MeterProvider
	traces   *sdktrace.TracerProvider // nil: tracing is off
	meter    metric.Meter
	tracer   trace.Tracer
}

// newTelemetry always has /metrics; traces, and metrics pushed elsewhere, only
// where the environment names an exporter (OTEL_TRACES_EXPORTER and the like).
// The SDK's own default would be a collector on localhost.
func newTelemetry(ctx context.Context, h *Host) (*telemetry, error) {
	t := &telemetry{registry: prometheus.NewRegistry()}
	res := resource.NewSchemaless(
		attribute.String("service.name", h.name), attribute.String("service.version", h.version),
		attribute.String("service.instance.id", h.cfg.InstanceID),
	)
	exporter, err := otelprom.New(
		otelprom.WithRegisterer(prometheus.WrapRegistererWith(prometheus.Labels{"service": h.name}, t.registry)),
		otelprom.WithoutScopeInfo(), otelprom.WithoutTargetInfo(),
	)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	meterOpts := []sdkmetric.Option{sdkmetric.WithReader(exporter), sdkmetric.WithResource(res)}
	if configured("OTEL_METRICS_EXPORTER", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT") {
		reader, err := autoexport.NewMetricReader(ctx)
		if err != nil {
			return nil, fmt.Errorf("OTEL_METRICS_EXPORTER: %w", err)
		}
		meterOpts = append(meterOpts, sdkmetric.WithReader(reader))
	}
	t.meters = sdkmetric.NewMeterProvider(meterOpts...)
	t.meter = t.meters.Meter(scope)

	t.tracer = noop.NewTracerProvider().Tracer(scope)
	if configured("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") {
		spans, err := autoexport.NewSpanExporter(ctx)
		if err != nil {
			return nil, fmt.Errorf("OTEL_TRACES_EXPORTER: %w", err)
		}
		t.traces = sdktrace.NewTracerProvider(sdktrace.WithBatcher(spans), sdktrace.WithResource(res), sdktrace.WithIDGenerator(requestIDs{}))
		t.tracer = t.traces.Tracer(scope)
	}
	return t, nil
}

// configured says whether the environment asks for a signal's exporter.
func configured(exporter, endpoint string) bool {
	switch os.Getenv(exporter) {
	case "none":
		return false
	case "":
		return os.Getenv(endpoint) != "" || os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != ""
	}
	return true
}

// close flushes what is left, for at most 3 s.
func (t *telemetry) close(h *Host) {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if t.traces != nil {
		if err := t.traces.Shutdown(ctx); err != nil {
			h.log.Warn("flush traces", "error", err)
		}
	}
	if err := t.meters.Shutdown(ctx); err != nil {
		h.log.Warn("flush metrics", "error", err)
	}
}
