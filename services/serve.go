package services

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/micro"
)

// Serve adds rows to the host's one table of routes. Before Run they start
// with it; after that, at once. A mistake in the table ends the host at start.
// A subject that no service serves is answered by NATS itself ("no
// responders"), which Request turns into SERVICE_UNAVAILABLE.
func (h *Host) Serve(routes ...Route) {
	h.mu.Lock()
	h.routes = append(h.routes, routes...)
	live := h.phase == running
	h.mu.Unlock()
	if !live {
		return
	}
	for _, r := range routes {
		if err := h.addRoute(r); err != nil {
			h.fail(err)
			return
		}
	}
}

// startRoutes puts the service on NATS: discovery ($SRV) and one queue
// subscription a route.
func (h *Host) startRoutes() error {
	h.mu.Lock()
	routes := h.routes
	if h.phase != starting {
		h.mu.Unlock()
		return fmt.Errorf("a host runs once")
	}
	h.mu.Unlock()
	if len(routes) > 0 {
		inbound, err := h.connect("requests")
		if err != nil {
			return err
		}
		h.mu.Lock()
		h.inbound = inbound
		h.mu.Unlock()
		h.micro, err = micro.AddService(inbound, micro.Config{
			Name: h.name, Version: h.version, Description: "supmesh.dev " + h.name,
			Metadata: map[string]string{"instance": h.cfg.InstanceID},
		})
		if err != nil {
			return fmt.Errorf("register with nats: %w", err)
		}
	}
	h.setPhase(running)
	for _, r := range routes {
		if err := h.addRoute(r); err != nil {
			return err
		}
	}
	return nil
}

func (h *Host) addRoute(r Route) error {
	if r.err != nil {
		return r.err
	}
	if h.micro == nil {
		return fmt.Errorf("route %s: a host without routes at start cannot get one", r.row.Subject)
	}
	for _, e := range h.micro.Info().Endpoints {
		if e.Subject == r.row.Subject {
			return fmt.Errorf("route %s stands twice in the table", r.row.Subject)
		}
	}
	s := newServer(h, r)
	h.mu.Lock()
	h.servers = append(h.servers, s)
	h.mu.Unlock()
	err := h.micro.AddEndpoint(strings.ReplaceAll(r.row.Subject, ".", "-"), micro.HandlerFunc(s.receive),
		micro.WithEndpointSubject(r.row.Subject),
		micro.WithEndpointMetadata(map[string]string{"summary": r.row.Summary, "event": r.row.Event, "http": r.row.HTTP}))
	if err != nil {
		return fmt.Errorf("route %s: %w", r.row.Subject, err)
	}
	return nil
}

// stopRoutes takes no more requests and waits until the accepted ones are
// answered; after DRAIN_TIMEOUT their contexts end.
func (h *Host) stopRoutes() {
	if h.micro == nil {
		return
	}
	deadline := time.Now().Add(h.cfg.DrainTimeout)
	if h.inbound.IsConnected() {
		if err := h.micro.Stop(); err != nil {
			h.log.Warn("stop routes", "error", err)
		}
		// Only routes subscribe here: none left means that every request the
		// server had sent has been handed to a worker.
		for h.inbound.NumSubscriptions() > 0 && h.inbound.IsConnected() && time.Now().Before(deadline) {
			time.Sleep(time.Millisecond)
		}
	}
	h.mu.Lock()
	servers := h.servers
	h.mu.Unlock()
	for _, s := range servers {
		s.queue.close()
	}
	done := make(chan struct{})
	go func() { h.requests.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(time.Until(deadline)):
		h.log.Warn("requests did not end in time", "timeout", h.cfg.DrainTimeout)
		h.endRequests(context.DeadlineExceeded)
		select {
		case <-done:
		case <-time.After(time.Second):
		}
	}
	if err := h.nc.FlushTimeout(2 * time.Second); err != nil && h.nc.IsConnected() {
		h.log.Warn("flush answers", "error", err)
	}
}

// Flush waits until the NATS server has seen everything sent so far: after it,
// the subscriptions made before are in place.
func (h *Host) Flush() error {
	h.mu.Lock()
	inbound := h.inbound
	h.mu.Unlock()
	if inbound != nil {
		if err := inbound.FlushTimeout(2 * time.Second); err != nil {
			return fmt.Errorf("flush requests: %w", err)
		}
	}
	if err := h.nc.FlushTimeout(2 * time.Second); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	return nil
}
