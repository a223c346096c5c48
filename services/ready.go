package services

import (
	"context"
	"fmt"
	"time"
)

// State is how well a part does.
type State string

const (
	OK       State = "ok"
	Degraded State = "degraded" // answers, with less than it promises; stays in rotation
	Down     State = "down"     // must get no traffic
)

// Status is one part's line in /ready.
type Status struct {
	State  State  `json:"state"`
	Detail string `json:"detail,omitzero"`
}

// StatusOK is the Status of a part that is well.
var StatusOK = Status{State: OK}

// StatusDegraded is a Status with a reason.
func StatusDegraded(format string, args ...any) Status {
	return Status{Degraded, fmt.Sprintf(format, args...)}
}

// StatusDown is a Status with a reason.
func StatusDown(format string, args ...any) Status { return Status{Down, fmt.Sprintf(format, args...)} }

type readyCheck struct {
	name  string
	check func(context.Context) Status
}

// OnReady adds a part to /ready. check is called for each probe and must
// answer within a second.
func (h *Host) OnReady(name string, check func(context.Context) Status) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks = append(h.checks, readyCheck{name, check})
}

// Readiness is the answer to /ready.
type Readiness struct {
	Service  string            `json:"service"`
	Instance string            `json:"instance"`
	State    State             `json:"state"` // the worst of the parts
	Parts    map[string]Status `json:"parts"`
}

// Ready asks every part. A host that has not started or is stopping is down.
func (h *Host) Ready(ctx context.Context) Readiness {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	h.mu.Lock()
	checks, phase := h.checks, h.phase
	h.mu.Unlock()
	r := Readiness{Service: h.name, Instance: h.cfg.InstanceID, State: OK, Parts: make(map[string]Status, len(checks)+1)}
	add := func(name string, s Status) {
		r.Parts[name] = s
		if s.State == Down || s.State == Degraded && r.State == OK {
			r.State = s.State
		}
	}
	switch phase {
	case starting, opening:
		add("host", StatusDown("starting"))
	case running:
		add("host", StatusOK)
	default:
		add("host", StatusDown("stopping"))
	}
	for _, c := range checks {
		add(c.name, c.check(ctx))
	}
	return r
}
