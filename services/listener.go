package services

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"supmesh.dev/services/wire"
)

// Handler answers /health (the process lives), /ready (it may get traffic) and
// /metrics (Prometheus), for one host or for all hosts of a process at once;
// with PPROF set on one of them also /debug/pprof/.
func Handler(hosts ...*Host) http.Handler {
	process := prometheus.NewRegistry()
	process.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	gatherers := prometheus.Gatherers{process}
	for _, h := range hosts {
		gatherers = append(gatherers, h.telemetry.registry)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(gatherers, promhttp.HandlerOpts{EnableOpenMetrics: true, ErrorHandling: promhttp.ContinueOnError}))
	if slices.ContainsFunc(hosts, func(h *Host) bool { return h.cfg.PProf }) {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"state":"ok"}` + "\n")) // a prober that left is no error
	})
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, r *http.Request) {
		status := http.StatusOK
		answers := make([]Readiness, 0, len(hosts))
		for _, h := range hosts {
			ready := h.Ready(r.Context())
			if ready.State == Down {
				status = http.StatusServiceUnavailable
				w.Header().Set("Connection", "close")
			}
			answers = append(answers, ready)
		}
		var body []byte
		var err error
		if len(answers) == 1 {
			body, err = wire.Marshal(answers[0])
		} else {
			body, err = wire.Marshal(answers)
		}
		if err != nil {
			http.Error(w, "internal error", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		_, _ = w.Write(append(body, '\n')) // as above
	})
	return mux
}

// listen serves Handler from NewHost on, so that a service which waits for
// NATS is alive and not ready.
func (h *Host) listen() error {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", net.JoinHostPort(h.cfg.MetricsHost, strconv.Itoa(h.cfg.MetricsPort)))
	if err != nil {
		return fmt.Errorf("METRICS_PORT: %w", err)
	}
	h.addr = l.Addr().String()
	h.listener = &http.Server{Handler: Handler(h), ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10}
	server := h.listener
	h.listenerDone = make(chan struct{})
	go func() {
		defer close(h.listenerDone)
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			h.fail(fmt.Errorf("metrics listener: %w", err))
		}
	}()
	return nil
}

// MetricsAddr is where the listener listens; empty WithoutListener.
func (h *Host) MetricsAddr() string { return h.addr }

func (h *Host) closeListener() {
	if h.listener == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := h.listener.Shutdown(ctx); err != nil {
		_ = h.listener.Close() // a prober that hangs is cut off
	}
	<-h.listenerDone
}
