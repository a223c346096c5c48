package gateway

import (
	"context"
	"errors"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"supmesh.dev/proto"
)

// metrics are the gateway's own. No label is ever a user, chat or connection.
type metrics struct {
	connections gauge
	refusals    metric.Int64Counter
	closes      metric.Int64Counter
	ends        metric.Int64Counter
	limits      metric.Int64Counter
	unknown     metric.Int64Counter
	finished    metric.Int64Counter
	drops       metric.Int64Counter
	gaps        metric.Int64Counter
	rechecks    metric.Int64Counter
	swept       metric.Int64Counter
	lost        metric.Int64Counter
	typed       metric.Int64Counter
	coalesced   metric.Int64Counter
	unshown     metric.Int64Counter
	shed        metric.Int64Counter
	openedLate  metric.Int64Counter
	presences   metric.Int64Counter
	unreported  metric.Int64Counter

	pagesRefused metric.Int64Counter
	viewers      atomic.Int64
	watches      atomic.Int64
	watched      atomic.Int64
}

// gauge counts connections per profile.
type gauge [profiles]atomic.Int64

func (g *gauge) add(profile int, n int64) { g[profile].Add(n) }

func (m *metrics) register(svc *Service) error {
	meter := svc.host.Metrics()
	var failed []error
	counter := func(name, help string) metric.Int64Counter {
		c, err := meter.Int64Counter(name, metric.WithDescription(help))
		failed = append(failed, err)
		return c
	}
	m.refusals = counter("gateway_refused_total", "Clients that were not let in, by reason.")
	m.closes = counter("gateway_closes_total", "Connections closed by the gateway, by close code.")
	m.ends = counter("gateway_disconnects_total", "Connections that ended, by reason.")
	m.limits = counter("gateway_rate_limited_total", "Requests over a user's limit, by event.")
	m.unknown = counter("gateway_unknown_events_total", "Events that nobody answers.")
	m.finished = counter("gateway_requests_after_close_total", "Requests carried out after their connection had ended.")
	m.drops = counter("gateway_requests_dropped_total", "Queued requests dropped at the end of their connection, by reason.")
	m.gaps = counter("gateway_gaps_total", "Live copies that were found missing and read from the log.")
	m.rechecks = counter("gateway_rechecks_total", "Times that everything hosted was compared with the log.")
	m.swept = counter("gateway_swept_total", "Log entries that were compared with what has passed.")
	m.lost = counter("gateway_lost_total", "Live copies that never came and were found missing by the comparison with the log.")
	m.typed = counter("gateway_typing_published_total", "Typing that the other gateways were told of.")
	m.coalesced = counter("gateway_typing_coalesced_total", "Typing that nobody was told of: told lately, too many typists, over the limit.")
	m.unshown = counter("gateway_typing_unshown_total", "Typing of others that was not shown: too many in one chat.")
	m.shed = counter("gateway_ephemeral_dropped_total", "Events that are not durable, dropped for a client that is far behind.")
	m.openedLate = counter("gateway_opened_late_total", "Connections that were served before presence knew of them.")
	m.presences = counter("gateway_presence_events_total", "Changes of presence passed on to connections.")
	m.unreported = counter("gateway_calls_dropped_total", "Words to signaling on connections that it was not told: too many waited, or it refused them.")
	m.pagesRefused = counter("gateway_backlog_refused_total", "Pages of a device's backlog that chat refused; they are asked for smaller.")
	observe := func(name, help string, value func() int64) {
		_, err := meter.Int64ObservableGauge(name, metric.WithDescription(help), metric.WithInt64Callback(
			func(_ context.Context, o metric.Int64Observer) error { o.Observe(value()); return nil }))
		failed = append(failed, err)
	}
	_, err := meter.Int64ObservableGauge("gateway_connections", metric.WithDescription("Open connections, by profile."), metric.WithInt64Callback(
		func(_ context.Context, o metric.Int64Observer) error {
			for p := range m.connections {
				o.Observe(m.connections[p].Load(), metric.WithAttributes(attribute.String("profile", profileNames[p])))
			}
			return nil
		}))
	failed = append(failed, err)
	observe("gateway_openings_waiting", "Connections that wait for their turn to be opened.", func() int64 { return int64(svc.openings.waiting()) })
	observe("gateway_live_waiting", "Live copies that wait for the fan-out.", func() int64 { return int64(svc.store.backlog()) })
	observe("gateway_leaving_connections", "Connections that have ended and whose requests are still carried out.", svc.leaving.sessions.Load)
	observe("gateway_viewers", "Chats that are open on connections here.", m.viewers.Load)
	observe("gateway_presence_subscriptions", "Presence that is subscribed on connections here.", m.watches.Load)
	observe("gateway_presence_watched", "Users whose presence somebody here has subscribed.", m.watched.Load)
	observe("gateway_calls_waiting", "Words to signaling on connections, that came or left, which wait.", func() int64 { return int64(svc.asker.waiting()) })
	observe("gateway_repairs_waiting", "Topics that wait for a read of the log.", func() int64 { return int64(svc.repairs.waiting()) })
	return errors.Join(failed...)
}

func (m *metrics) refused(reason refusal) { count(m.refusals, "reason", string(reason)) }
func (m *metrics) closed(code proto.CloseCode) {
	count(m.closes, "reason", code.Row().Reason)
}
func (m *metrics) disconnected(reason string) { count(m.ends, "reason", reason) }
func (m *metrics) limited(event string)       { count(m.limits, "event", event) }

// dropped counts n requests that are not carried out.
func (m *metrics) dropped(reason string, n int) {
	if n > 0 {
		m.drops.Add(context.Background(), int64(n), metric.WithAttributes(attribute.String("reason", reason)))
	}
}

func count(c metric.Int64Counter, label, value string) {
	c.Add(context.Background(), 1, metric.WithAttributes(attribute.String(label, value)))
}
