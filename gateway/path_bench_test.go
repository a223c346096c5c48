package gateway

import (
	"strconv"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"supmesh.dev/gateway/auth"
	"supmesh.dev/gateway/plain"
	"supmesh.dev/gateway/wsconn"
	"supmesh.dev/proto"
)

// ackSink is a plain client that hears nothing but acks, of which it says whose they are.
type ackSink struct {
	sink
	n    int
	last *wsconn.Frame
	free chan int
}

func (s *ackSink) ack(id ackID, body []byte) error {
	s.last = plain.AckFrame(id.raw, body)
	s.free <- s.n
	return nil
}

// BenchmarkRequestPath is a client's request from the parsed event to the
// built ack, 64 sessions with one request each, against a server and a trivial
// service in the same process. The floor is what those two and nats.go cost
// without the gateway: publish, answer, receive.
func BenchmarkRequestPath(b *testing.B) {
	const sessions = 64
	m := runMesh(b, func(c *Config) { c.RateLimits = "off" })
	body := []byte(`{"success":true,"chatId":"c1","upToSeq":7,"deliveredAt":"2026-01-01T00:00:00.000Z","requestId":"0123456789abcdef0123456789abcdef"}`)
	service := m.nats.Connect(nats.InProcessServer(m.nats.Server))
	_, err := service.Subscribe(proto.MarkDelivered.Subject, func(msg *nats.Msg) { _ = service.Publish(msg.Reply, body) })
	require.NoError(b, err)
	require.NoError(b, service.Flush())
	data := []byte(`{"chatId":"c1","upToSeq":7}`)
	free := make(chan int, sessions)
	drain := func(b *testing.B) {
		b.Helper()
		for range sessions {
			<-free
		}
	}

	b.Run("request", func(b *testing.B) {
		var all []*Session
		for i := range sessions {
			s, err := m.svc.newSession(&ackSink{sink: sink{p: profilePlain}, n: i, free: free}, "s"+strconv.Itoa(i), auth.Identity{User: "u" + strconv.Itoa(i), Device: "d"})
			require.NoError(b, err)
			s.phase = open
			all = append(all, s)
			free <- i
		}
		b.ReportAllocs()
		b.ResetTimer()
		for range b.N {
			m.svc.dispatch(all[<-free], proto.MarkDelivered.Event, data, ackID{raw: "1"})
		}
		drain(b)
		b.StopTimer()
		frame, ok := all[0].peer.(*ackSink)
		require.True(b, ok)
		require.Contains(b, string(frame.last.Payload()), `"success":true`)
	})
	b.Run("floor", func(b *testing.B) {
		nc := m.nats.Connect()
		sub, err := nc.Subscribe("floor.*", func(msg *nats.Msg) { free <- 0 })
		require.NoError(b, err)
		defer func() { _ = sub.Unsubscribe() }()
		for range sessions {
			free <- 0
		}
		b.ReportAllocs()
		b.ResetTimer()
		for range b.N {
			<-free
			_ = nc.PublishRequest(proto.MarkDelivered.Subject, "floor.1", data)
		}
		drain(b)
	})
}
