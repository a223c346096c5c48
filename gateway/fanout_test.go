package gateway

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/gateway/auth"
	"supmesh.dev/gateway/wsconn"
	"supmesh.dev/proto"
)

// sink takes frames and forgets them: what is measured is the gateway's part.
type sink struct {
	p int
	n int
}

func (s *sink) profile() int             { return s.p }
func (s *sink) send(*wsconn.Frame) error { s.n++; return nil }
func (s *sink) ack(ackID, []byte) error  { return nil }
func (s *sink) queued() int              { return 0 }
func (s *sink) close(proto.CloseCode)    {}
func (s *sink) watch() time.Duration     { return 0 }
func (s *sink) probe(time.Duration)      {}
func (m *mesh) sinks(chat string, n int) []*sink {
	var all []*sink
	for i := range n {
		k := &sink{p: i % profiles}
		s, err := m.svc.newSession(k, "s"+strconv.Itoa(i), auth.Identity{User: "u" + strconv.Itoa(i)})
		require.NoError(m.t, err)
		s.phase = open
		require.NoError(m.t, m.svc.hub.withChat(token(m.t, chat), chat, func(t *topic) { t.joinLocked(s, 0) }))
		m.t.Cleanup(s.gone)
		all = append(all, k)
	}
	return all
}

func messageEntry(position uint64) *entry {
	return &entry{
		subject: "live.chat.c1.msg", event: "message:new", position: position, previous: position - 1, seq: position,
		socket: "s0", body: []byte(`{"message":{"id":"m","chatId":"c1","encryptedContent":"hello"},"sender":{"id":"u"}}`),
	}
}

// TestDeliveryAllocatesNothing: a message is encoded once per profile, however
// many sockets it goes to.
func TestDeliveryAllocatesNothing(t *testing.T) { //nolint:paralleltest // measures allocations
	m := runMesh(t)
	position := uint64(0)
	allocs := func(n int) float64 {
		m.sinks("c1", n)
		return testing.AllocsPerRun(100, func() {
			position++
			m.svc.live(messageEntry(position))
		})
	}
	few := allocs(4)
	require.InDelta(t, few, allocs(200), 1)
	require.Less(t, few, 15.0)
}

func BenchmarkFanOut(b *testing.B) {
	for _, n := range []int{2, 10, 100} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			m := runMesh(b)
			sinks := m.sinks("c1", n)
			b.ReportAllocs()
			position := uint64(0)
			for b.Loop() {
				position++
				m.svc.live(messageEntry(position))
			}
			require.Positive(b, sinks[1].n)
		})
	}
}
