package services

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/micro"
)

// Serve adds rows to the host's one table of routes. Before Run they start
// with it; after that, at once, so that a service may first rebuild what it
// answers from. A mistake in the table ends the host. A subject that no service
// serves is answered by NATS itself ("no responders"), which Request turns into
// SERVICE_UNAVAILABLE.
func (h *Host) Serve(routes ...Route) {
	h.mu.Lock()
	if h.phase == starting {
		h.routes = append(h.routes, routes...)
		h.mu.Unlock()
		return
	}
	h.mu.Unlock()
	for _, r := range routes {
		if err := h.addRoute(r); err != nil {
			h.fail(err)
			return
		}
	}
}

// startRoutes puts the table on NATS and the host into rotation.
func (h *Host) startRoutes() error {
	h.mu.Lock()
	again := h.phase != starting
	h.phase = max(h.phase, opening)
	routes := h.routes
	h.mu.Unlock()
	if again {
		return fmt.Errorf("a host runs once")
	}
	for _, r := range routes {
		if err := h.addRoute(r); err != nil {
			return err
		}
	}
	// Ready means that requests arrive. While NATS is away its own part says so.
	if h.nc.IsConnected() {
		if err := h.Flush(); err != nil {
			h.log.Warn("start routes", "error", err)
		}
	}
	h.setPhase(running)
	return nil
}

// register puts the service on NATS: its connection for requests, and its
// entry in discovery ($SRV). The caller holds serveMu.
func (h *Host) register() error {
	if h.micro != nil {
		return nil
	}
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
	return nil
}

func (h *Host) addRoute(r Route) error {
	if r.err != nil {
		return r.err
	}
	h.serveMu.Lock()
	defer h.serveMu.Unlock()
	if h.isStopping() {
		return nil
	}
	if err := h.register(); err != nil {
		return err
	}
	for _, s := range h.servers {
		if s.route.row.Subject == r.row.Subject {
			return fmt.Errorf("route %s stands twice in the table", r.row.Subject)
		}
	}
	s := newServer(h, r)
	h.servers = append(h.servers, s)
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
	h.serveMu.Lock()
	defer h.serveMu.Unlock()
	if h.micro == nil {
		return
	}
	deadline := time.Now().Add(h.cfg.DrainTimeout)
	if h.inbound.IsConnected() {
		if err := h.micro.Stop(); err != nil {
			h.log.Warn("stop routes", "error", err)
		}
		// Only routes subscribe here: none left means that every request the
		// server had sent has been handed to a worker. nats.go tells nobody
		// when a subscription has drained, so it is looked at.
		look := time.NewTicker(time.Millisecond)
		for h.inbound.NumSubscriptions() > 0 && h.inbound.IsConnected() && time.Now().Before(deadline) {
			<-look.C
		}
		look.Stop()
	}
	for _, s := range h.servers {
		s.queue.close()
	}
	done := make(chan struct{})
	go func() { h.requests.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(max(time.Until(deadline), time.Second)):
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
