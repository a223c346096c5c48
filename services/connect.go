package services

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// connect opens one NATS connection. Every option that differs from nats.go's
// default is here for a fault that was seen with the default (RELIABILITY §7).
func (h *Host) connect(purpose string) (*nats.Conn, error) {
	opts := []nats.Option{
		nats.Name(h.name + "-" + h.cfg.InstanceID + " " + purpose),
		nats.CustomInboxPrefix("_INBOX_" + h.name), // permissions are per service
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectJitter(250*time.Millisecond, 250*time.Millisecond),
		nats.ReconnectBufSize(-1), // a publish while disconnected fails: nothing is sent after its caller gave up
		nats.RetryOnFailedConnect(true),
		nats.PingInterval(5 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.FlusherTimeout(10 * time.Second), // a server that takes nothing is given up like one that says nothing: whoever publishes waits for it
		nats.Timeout(2 * time.Second),
		nats.DrainTimeout(15 * time.Second),
		nats.ErrorHandler(h.natsError),
		nats.ClosedHandler(h.natsClosed),
		nats.DisconnectErrHandler(func(nc *nats.Conn, err error) {
			if !h.isStopping() {
				h.log.Warn("nats disconnected", "connection", purpose, "error", err)
			}
		}),
		nats.ConnectHandler(h.checkPayload),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			h.checkPayload(nc)
			h.log.Info("nats reconnected", "connection", purpose, "server", nc.ConnectedUrlRedacted())
			if purpose == "data" {
				for _, fn := range h.reconnectHandlers() {
					fn()
				}
			}
		}),
	}
	switch {
	case h.cfg.NATSCreds != "":
		opts = append(opts, nats.UserCredentials(h.cfg.NATSCreds))
	case h.cfg.NATSNKey != "":
		opt, err := nats.NkeyOptionFromSeed(h.cfg.NATSNKey)
		if err != nil {
			return nil, fmt.Errorf("NATS_NKEY: %w", err)
		}
		opts = append(opts, opt)
	case h.cfg.NATSUser != "":
		opts = append(opts, nats.UserInfo(h.cfg.NATSUser, h.cfg.NATSPassword.Reveal()))
	}
	if h.cfg.NATSCA != "" {
		opts = append(opts, nats.RootCAs(h.cfg.NATSCA))
	}
	if h.cfg.NATSCert != "" {
		opts = append(opts, nats.ClientCert(h.cfg.NATSCert, h.cfg.NATSKey))
	}
	nc, err := nats.Connect(h.cfg.NATSURL, append(opts, h.opts.nats...)...)
	if err != nil {
		return nil, fmt.Errorf("connect to nats: %w", err)
	}
	return nc, nil
}

func (h *Host) reconnectHandlers() []func() {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.onReconnect
}

func (h *Host) natsError(_ *nats.Conn, sub *nats.Subscription, err error) {
	switch {
	case errors.Is(err, nats.ErrSlowConsumer) && sub != nil:
		h.metrics.slowConsumers.Add(context.Background(), 1)
		h.log.Warn("nats subscription overflowed: messages were dropped", "subject", sub.Subject)
		h.mu.Lock()
		handlers := h.onSlow
		h.mu.Unlock()
		for _, fn := range handlers {
			fn(sub)
		}
	case errors.Is(err, nats.ErrPermissionViolation):
		h.metrics.denied.Add(context.Background(), 1)
		h.log.Error("nats permission denied", "error", err)
	default:
		h.log.Error("nats error", "error", err)
	}
}

// natsClosed ends the host: nats.go gives a connection up for good after some
// protocol errors whatever MaxReconnects says, and a process without NATS only
// looks alive.
func (h *Host) natsClosed(nc *nats.Conn) {
	if h.isStopping() {
		return
	}
	cause := nc.LastError()
	if cause == nil {
		cause = nats.ErrConnectionClosed
	}
	h.fail(fmt.Errorf("nats connection closed: %w", cause))
}

func (h *Host) natsStatus(context.Context) Status {
	h.mu.Lock()
	inbound := h.inbound
	h.mu.Unlock()
	for _, nc := range []*nats.Conn{h.nc, inbound} {
		if nc != nil && !nc.IsConnected() {
			return StatusDown("%s", nc.Status())
		}
	}
	return StatusOK
}
