package gateway

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"supmesh.dev/gateway/auth"
	"supmesh.dev/proto"
)

// ackLog is a plain client that notes its acks.
type ackLog struct {
	sink
	mu     sync.Mutex
	ids    []string
	bodies []string
}

func (a *ackLog) ack(id ackID, body []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ids, a.bodies = append(a.ids, id.raw), append(a.bodies, string(body))
	return nil
}

func (a *ackLog) count() int { a.mu.Lock(); defer a.mu.Unlock(); return len(a.ids) }

func (a *ackLog) outcomes(counts map[string]int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, body := range a.bodies {
		for _, want := range []string{`"success":true`, string(proto.RateLimitExceeded), string(proto.Timeout), string(proto.ServiceUnavailable)} {
			if strings.Contains(body, want) {
				counts[want]++
			}
		}
	}
}

func (m *mesh) ackLogs(n int) ([]*ackLog, []*Session) {
	logs, sessions := make([]*ackLog, n), make([]*Session, n)
	for i := range n {
		logs[i] = &ackLog{sink: sink{p: profilePlain}}
		s, err := m.svc.newSession(logs[i], "s"+strconv.Itoa(i), auth.Identity{User: "u" + strconv.Itoa(i), Device: "d"})
		require.NoError(m.t, err)
		s.phase = open
		sessions[i] = s
		m.t.Cleanup(s.gone)
	}
	return logs, sessions
}

func idleAgain(t *testing.T, s *Session) {
	t.Helper()
	require.Eventually(t, func() bool { return !s.busy() }, patience, time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	require.Zero(t, s.bytes)
}

// TestLaneAcksOnceInOrder: a service that is slow, silent, or answers twice, at
// about the time at which it is too late, and a limit in Redis that refuses the
// last. Whatever becomes of a request, its ack comes once, behind those before.
func TestLaneAcksOnceInOrder(t *testing.T) {
	t.Parallel()
	const clients, each, limit = 20, 200, 150
	m := runMesh(t, func(c *Config) { c.RateLimits = "message:delivered=" + strconv.Itoa(limit) + "/1h" })
	m.svc.events[proto.MarkDelivered.Event].row.Timeout = 400 * time.Millisecond
	service := m.nats.Connect()
	var answering sync.WaitGroup
	_, err := service.Subscribe(proto.MarkDelivered.Subject, func(msg *nats.Msg) {
		answer := func() { _ = service.Publish(msg.Reply, []byte(`{"success":true}`)) }
		switch rand.N(20) {
		case 0:
		case 1, 2:
			answer()
			answer()
		case 3:
			answering.Add(1)
			time.AfterFunc(rand.N(500*time.Millisecond), func() { answer(); answering.Done() })
		default:
			answer()
		}
	})
	require.NoError(t, err)
	require.NoError(t, service.Flush())
	logs, sessions := m.ackLogs(clients)
	var senders sync.WaitGroup
	for _, s := range sessions {
		senders.Go(func() {
			for i := range each {
				m.svc.dispatch(s, proto.MarkDelivered.Event, []byte(`{"chatId":"c1","upToSeq":7}`), ackID{raw: strconv.Itoa(i)})
			}
		})
	}
	senders.Wait()
	counts := map[string]int{}
	for i, log := range logs {
		require.Eventually(t, func() bool { return log.count() >= each }, 3*patience, time.Millisecond)
		idleAgain(t, sessions[i])
	}
	require.NoError(t, service.Drain())
	require.Eventually(t, service.IsClosed, patience, time.Millisecond)
	answering.Wait()
	require.NoError(t, m.host.Flush())
	for _, log := range logs {
		require.Equal(t, each, log.count())
		for i, id := range log.ids {
			require.Equal(t, strconv.Itoa(i), id)
		}
		log.outcomes(counts)
	}
	require.Equal(t, clients*each, counts[`"success":true`]+counts[string(proto.RateLimitExceeded)]+counts[string(proto.Timeout)]+counts[string(proto.ServiceUnavailable)])
	require.Positive(t, counts[`"success":true`])
	require.Positive(t, counts[string(proto.ServiceUnavailable)], "some have waited too long")
}

// TestLaneOutlivesNATS: requests that are pending when NATS goes are answered
// in order when it is back, and so are those that come meanwhile.
func TestLaneOutlivesNATS(t *testing.T) {
	t.Parallel()
	const clients, each = 10, 30
	m := runMesh(t, func(c *Config) { c.RateLimits = "off" })
	m.svc.events[proto.MarkDelivered.Event].row.Timeout = 15 * time.Second
	serve := func(answer bool) (heard chan struct{}) {
		heard = make(chan struct{}, clients*each)
		nc := m.nats.Connect(nats.NoReconnect())
		_, err := nc.Subscribe(proto.MarkDelivered.Subject, func(msg *nats.Msg) {
			heard <- struct{}{}
			if answer {
				_ = msg.Respond([]byte(`{"success":true}`))
			}
		})
		require.NoError(t, err)
		require.NoError(t, nc.Flush())
		return heard
	}
	logs, sessions := m.ackLogs(clients)
	send := func(from, to int) {
		for i := from; i < to; i++ {
			for _, s := range sessions {
				m.svc.dispatch(s, proto.MarkDelivered.Event, nil, ackID{raw: strconv.Itoa(i)})
			}
		}
	}
	heard := serve(false)
	send(0, each/2)
	for range clients {
		<-heard
	}
	m.nats.Stop()
	require.Eventually(t, func() bool { return !m.host.NATS().IsConnected() }, patience, time.Millisecond)
	send(each/2, each)
	m.nats.Start()
	serve(true)
	counts := map[string]int{}
	for i, log := range logs {
		require.Eventually(t, func() bool { return log.count() == each }, 3*patience, time.Millisecond)
		idleAgain(t, sessions[i])
		for i, id := range log.ids {
			require.Equal(t, strconv.Itoa(i), id)
		}
		log.outcomes(counts)
	}
	require.Equal(t, clients*each, counts[`"success":true`])
}
