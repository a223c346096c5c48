package services

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"supmesh.dev/proto"
)

// Durability classes: what an acknowledged append survives.
const (
	BestEffort  = "best-effort"  // kill -9; a power cut loses up to two minutes
	FsyncOne    = "fsync-1"      // a power cut
	FsyncQuorum = "fsync-quorum" // the loss of a node's disk, too
)

// Durability is the class the log runs on. Whether the server syncs each
// append is told only by its monitoring address (NATS_MONITOR_URL); without
// it the answer is the weakest. It is also the metric sup_durability.
func (h *Host) Durability(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	class := BestEffort
	always, err := h.syncAlways(ctx)
	if err != nil {
		h.log.Warn("durability is unknown, taken for the weakest", "error", err)
	}
	if always {
		class = FsyncOne
		if stream, err := h.js.Stream(ctx, proto.Events.Name); err == nil && stream.CachedInfo().Config.Replicas >= 3 {
			class = FsyncQuorum
		}
	}
	h.mu.Lock()
	first := h.durable == ""
	h.durable = class
	h.mu.Unlock()
	if first {
		h.metrics.durability(h)
	}
	return class
}

// syncAlways asks the server's monitoring whether it syncs every append.
func (h *Host) syncAlways(ctx context.Context) (bool, error) {
	if h.cfg.NATSMonitor == "" {
		return false, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(h.cfg.NATSMonitor, "/")+"/jsz?config=true", nil)
	if err != nil {
		return false, fmt.Errorf("NATS_MONITOR_URL: %w", err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return false, fmt.Errorf("NATS_MONITOR_URL: %w", err)
	}
	defer res.Body.Close()
	var answer struct {
		Config struct {
			SyncAlways bool `json:"sync_always"`
		} `json:"config"`
	}
	// The server's own format: encoding/json's leniency is wanted here.
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&answer); err != nil {
		return false, fmt.Errorf("NATS_MONITOR_URL: status %d: %w", res.StatusCode, err)
	}
	return answer.Config.SyncAlways, nil
}

func (m *hostMetrics) durability(h *Host) {
	_, err := m.meter.Int64ObservableGauge("sup.durability", metric.WithDescription("1 for the durability class the log runs on."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			h.mu.Lock()
			class := h.durable
			h.mu.Unlock()
			o.Observe(1, metric.WithAttributes(attribute.String("class", class)))
			return nil
		}))
	if err != nil {
		h.log.Warn("metric", "error", err)
	}
}
