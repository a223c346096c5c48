package deliver

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/notify/push"
	"supmesh.dev/proto"
)

// many is a provider whose every registration is a server of its own.
type many struct{}

func (many) Name() proto.PushProvider                { return proto.PushWebhook }
func (many) Destination(to push.Registration) string { return to.Token }
func (many) Send(context.Context, *proto.Push, push.Registration) push.Outcome {
	return push.Outcome{Status: push.Delivered}
}

// Anybody can register webhooks at any number of hosts: what is kept of them is
// bounded, and what is known of one that is down outlives the others.
func TestBreakersAreBounded(t *testing.T) {
	t.Parallel()
	b := newBreakers()
	down := push.Registration{Token: "down"}
	for range breakAfter {
		b.of(many{}, down).RecordFailure()
	}
	require.True(t, b.of(many{}, down).IsOpen())
	require.True(t, b.of(many{}, push.Registration{Token: "other"}).IsClosed(), "one server's is not another's")
	for i := range 2 * maxBreakers {
		b.of(many{}, push.Registration{Token: fmt.Sprint(i)})
		require.LessOrEqual(t, len(b.all), maxBreakers)
	}
	require.True(t, b.of(many{}, down).IsOpen())
	for i := range 2 * maxBreakers {
		b.of(many{}, push.Registration{Token: fmt.Sprint("bad", i)}).Open()
	}
	require.LessOrEqual(t, len(b.all), maxBreakers)
}

// A third of failures is no reason to stop, all of them are.
func TestABreakerIsPatient(t *testing.T) {
	t.Parallel()
	one := newBreakers().of(many{}, push.Registration{Token: "x"})
	for i := range 300 {
		if i%10 < 6 {
			one.RecordFailure()
		} else {
			one.RecordSuccess()
		}
	}
	require.True(t, one.IsClosed())
	for range 300 {
		one.RecordFailure()
	}
	require.True(t, one.IsOpen())
	require.False(t, one.TryAcquirePermit())
	require.Positive(t, one.RemainingDelay())
}
