package services

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Service is what a host runs. Run returns when ctx has ended and everything
// it started has ended; an error before that ends the host.
type Service interface {
	Run(ctx context.Context) error
}

// partsTimeout is how long parts may take to end once told to. A part that
// takes longer is named in the error; the process ends without it.
const partsTimeout = 10 * time.Second

// Go runs fn as a part of the host until it returns. Its ctx ends after
// Service.Run has returned. An error, or a panic, ends the host with that
// error; nil means that the part was done. A host that is stopping starts
// nothing and answers false.
func (h *Host) Go(name string, fn func(context.Context) error) bool {
	h.mu.Lock()
	if h.partCtx.Err() != nil {
		h.mu.Unlock()
		return false
	}
	h.parts.Add(1)
	h.partNames[name]++
	h.mu.Unlock()
	go func() {
		defer h.partEnded(name)
		err := guard(func() error { return fn(h.partCtx) })
		if err != nil && !(h.partCtx.Err() != nil && errors.Is(err, context.Canceled)) {
			h.fail(fmt.Errorf("%s: %w", name, err))
		}
	}()
	return true
}

func (h *Host) partEnded(name string) {
	h.mu.Lock()
	if h.partNames[name]--; h.partNames[name] == 0 {
		delete(h.partNames, name)
	}
	h.mu.Unlock()
	h.parts.Done()
}

// panicError is a recovered panic with its stack, for the log.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.value, e.stack) }

// guard turns a panic of fn into an error.
func guard(fn func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{v, debug.Stack()}
		}
	}()
	return fn()
}

// logPanic, deferred, keeps a panic of somebody's callback from what called it.
func (h *Host) logPanic(what string) {
	if v := recover(); v != nil {
		h.log.Error("panic", "in", what, "error", &panicError{v, debug.Stack()})
	}
}

// fail ends the host with err; the first failure counts.
func (h *Host) fail(err error) {
	h.mu.Lock()
	first := h.failure == nil
	if first {
		h.failure = err
	}
	h.mu.Unlock()
	if first {
		h.log.Error("host fails", "error", err)
	}
	h.endRun(err)
}

func (h *Host) isStopping() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.phase >= stopping
}

// Run starts the routes and then the service, and returns when both have ended
// and everything is released: after ctx (or NewHost's) ends, after s.Run
// returned, or after a part failed. It returns the error that ended it, nil
// for a stop that was asked for. A host runs once.
//
// The order at stop: /ready turns down → routes take no more requests and
// answer the accepted ones (DRAIN_TIMEOUT) → s.Run's ctx ends, s.Run returns →
// the parts' ctx ends, the parts return → requests without an answer end → NATS drains → Redis closes →
// telemetry is flushed → the listener closes.
func (h *Host) Run(ctx context.Context, s Service) error {
	defer h.Close()
	if err := h.startRoutes(); err != nil {
		return fmt.Errorf("run %s: %w", h.name, err)
	}
	serviceCtx, endService := context.WithCancel(context.WithoutCancel(ctx))
	defer endService()
	done := make(chan error, 1)
	h.parts.Go(func() { done <- guard(func() error { return s.Run(serviceCtx) }) })
	h.log.Info("running", "version", h.version)

	var err error
	ended := false
	select {
	case <-ctx.Done():
	case <-h.runCtx.Done():
	case err = <-done:
		ended = true
	}
	h.setPhase(stopping)
	h.log.Info("stopping")
	h.stopRoutes()
	endService()
	if !ended {
		if err = <-done; errors.Is(err, context.Canceled) {
			err = nil
		}
	}
	h.Close()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failure != nil {
		err = h.failure
	}
	if err != nil {
		return fmt.Errorf("run %s: %w", h.name, err)
	}
	return nil
}

func (h *Host) setPhase(p phase) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.phase = max(h.phase, p)
}

// Close stops a host and releases what NewHost made. Run ends with it; only a
// host that never ran needs it. It may be called twice.
func (h *Host) Close() {
	h.mu.Lock()
	if h.phase == stopped {
		h.mu.Unlock()
		return
	}
	h.phase = stopped
	h.mu.Unlock()
	h.stopRoutes()
	h.endRun(context.Canceled)
	h.mu.Lock() // so that Go either counts its part before the wait or starts none
	h.endParts(context.Canceled)
	h.mu.Unlock()
	h.waitParts()
	h.endRequests(context.Canceled)
	h.asks.close()
	for _, nc := range []*nats.Conn{h.catchUp, h.inbound, h.nc} {
		h.drain(nc)
	}
	h.closeRedis()
	h.telemetry.close(h)
	h.closeListener()
}

func (h *Host) waitParts() {
	done := make(chan struct{})
	go func() { h.parts.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(partsTimeout):
		h.mu.Lock()
		names := strings.Join(slices.Sorted(maps.Keys(h.partNames)), ", ")
		if h.failure == nil {
			h.failure = fmt.Errorf("parts did not end within %s: %s", partsTimeout, names)
		}
		h.mu.Unlock()
		h.log.Error("parts did not end", "parts", names)
	}
}

// drain ends one connection: what is subscribed is finished, what was
// published is flushed. A connection without a server is simply closed.
func (h *Host) drain(nc *nats.Conn) {
	if nc == nil {
		return
	}
	closed := nc.StatusChanged(nats.CLOSED)
	if nc.IsConnected() && nc.Drain() == nil {
		select {
		case <-closed:
		case <-time.After(h.cfg.DrainTimeout):
		}
	}
	nc.Close()
}
