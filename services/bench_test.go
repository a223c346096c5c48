package services_test

import (
	"context"
	"testing"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
)

// BenchmarkRequest is one request through a route and back, over an embedded
// server in the same process: caller, server and service share the cores.
func BenchmarkRequest(b *testing.B) {
	n := servicestest.RunNATS(b)
	h := servicestest.NewHost(b, "test", n, nil, services.WithInProcessNATS(n.Server))
	send := endpoint[proto.SendMessageReq, echoRes]("rpc.test.send")
	h.Serve(services.On(send, func(_ context.Context, req proto.SendMessageReq) (echoRes, error) {
		return echoRes{Key: req.ChatID, N: 1}, nil
	}, services.KeyBy(func(r *proto.SendMessageReq) string { return r.ChatID })))
	servicestest.Run(b, h, servicestest.Service{})
	body := []byte(`{"chatId":"c1","encryptedContent":"0123456789012345678901234567890123456789012345678901234567890123456789","messageType":"text","tempId":"t-123456","metadata":{"a":1}}`)
	b.SetParallelism(32)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := h.Request(context.Background(), send.Subject, actor, body, services.WithRow(send.Row)); err != nil {
				b.Error(err)
			}
		}
	})
}

// BenchmarkAllow is a limit that only the local bucket decides.
func BenchmarkAllow(b *testing.B) {
	n := servicestest.RunNATS(b)
	l := servicestest.NewHost(b, "test", n, nil).NewLimiter("u", rules)
	b.ReportAllocs()
	for b.Loop() {
		l.Allow(context.Background(), "send", "ann")
	}
}
