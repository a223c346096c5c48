package services_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
)

func TestEmit(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	h := servicestest.NewHost(t, "test", n, nil)
	user, err := proto.EncodeID("a.b")
	require.NoError(t, err)
	nc := n.Connect()
	sub, err := nc.SubscribeSync(proto.UserLive(user))
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	for _, socket := range []string{"s1", ""} {
		require.NoError(t, services.Emit(h, proto.PongEvent, user, socket, proto.Pong{TS: proto.At(time.UnixMilli(0))}))
		m := servicestest.Next(t, sub)
		require.Equal(t, proto.UserEphemeral(user), m.Subject)
		want := nats.Header{proto.HeaderEvent: {"pong"}}
		if socket != "" {
			want.Set(proto.HeaderSocket, socket)
		}
		require.Equal(t, want, m.Header)
		require.JSONEq(t, `{"ts":"1970-01-01T00:00:00.000Z"}`, string(m.Data))
	}
	require.ErrorContains(t, services.Emit(h, proto.MessageNew, user, "", proto.NewMessage{}), "durable")

	n.Stop()
	servicestest.Eventually(t, 10*time.Second, "the link is seen to be down", func() bool { return !h.NATS().IsConnected() })
	require.Error(t, services.Emit(h, proto.PongEvent, user, "", proto.Pong{}), "nothing waits in a buffer for a link that is down")
}
