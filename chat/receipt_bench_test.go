package chat

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
)

// BenchmarkReceipt is the whole of a receipt but the request's way through NATS
// and the ack; every one moves its cursor by one message. NATS and Redis run
// beside it on the same cores. delivered and read: 128 chats of two, the author
// told at once; what is read is never the last message, so that the rest must be
// counted. crowd: one chat of 2,000, where everybody has a message before
// anybody has the next. It reports per receipt the CPU time of chat and of NATS.
func BenchmarkReceipt(b *testing.B) {
	b.Run("delivered", func(b *testing.B) {
		benchmarkReceipts(b, 128, 1, func(n int) (chat, user, seq int, read bool) { return n % 128, 0, n/128 + 1, false })
	})
	b.Run("read", func(b *testing.B) {
		benchmarkReceipts(b, 128, 1, func(n int) (chat, user, seq int, read bool) { return n % 128, 0, n/128 + 1, true })
	})
	b.Run("crowd", func(b *testing.B) {
		benchmarkReceipts(b, 1, 2000, func(n int) (chat, user, seq int, read bool) { return 0, n % 2000, n/2000 + 1, false })
	})
}

func benchmarkReceipts(b *testing.B, chats, users int, pick func(n int) (chat, user, seq int, read bool)) {
	url, pid := natsProcess(b)
	cfg := Config{ChatPolicy: PolicyMembers, CachedChats: 10000, SendWorkers: 512}
	cfg.Config = servicestest.Config(&servicestest.NATS{URL: url}, servicestest.RunRedis(b))
	cfg.StreamMaxBytes = 8 << 30
	host := servicestest.NewHostWith(b, "chat", cfg.Config)
	s, err := New(cfg, host)
	require.NoError(b, err)
	i := &instance{Service: s, stop: servicestest.Run(b, host, s)}
	ctx := func(user string) *services.Call {
		return &services.Call{Actor: proto.Actor{User: user, Device: "phone", Socket: "socket"}, RequestID: "0123456789abcdef0123456789abcdef"}
	}
	_, _, last, _ := pick(b.N)
	for c := range chats {
		chat := fmt.Sprintf("chat-%d", c)
		i.crowd(b, chat, users)
		for n := range last {
			_, err := s.send(services.WithCall(b.Context(), ctx("ann")), proto.SendMessageReq{ChatID: chat, EncryptedContent: "x", TempID: fmt.Sprint(n)})
			require.NoError(b, err)
		}
	}
	receipt := func(n int) {
		chat, user, seq, read := pick(n)
		who := services.WithCall(b.Context(), ctx(name(user)))
		id := fmt.Sprintf("chat-%d", chat)
		var stands uint64
		if read {
			res, err := s.read(who, proto.ReadReq{ChatID: id, UpToSeq: uint64(seq)})
			require.NoError(b, err)
			stands = res.UpToSeq
		} else {
			res, err := s.delivered(who, proto.DeliveredReq{ChatID: id, UpToSeq: uint64(seq)})
			require.NoError(b, err)
			stands = res.UpToSeq
		}
		if stands < uint64(seq) {
			b.Errorf("stands at %d, not %d", stands, seq)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	own, nats := cpu(b, 0), cpu(b, pid)
	var n atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for i := n.Add(1) - 1; i < int64(b.N) && !b.Failed(); i = n.Add(1) - 1 {
				receipt(int(i))
			}
		})
	}
	wg.Wait()
	own, nats = cpu(b, 0)-own, cpu(b, pid)-nats
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "receipts/s")
	b.ReportMetric(float64(own.Microseconds())/float64(b.N), "chat-µs/receipt")
	b.ReportMetric(float64(nats.Microseconds())/float64(b.N), "nats-µs/receipt")
}
