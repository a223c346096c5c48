package servicestest

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// Next returns the next message of a subscription, which must come within Patience.
func Next(t testing.TB, sub *nats.Subscription) *nats.Msg {
	t.Helper()
	msg, err := sub.NextMsg(Patience)
	require.NoError(t, err, "the next message of %s", sub.Subject)
	return msg
}

const marker = "marker"

// Nothing shows that nothing more has been sent to a subscription by nc: it
// sends a marker to the subject, and takes it next. The subscription is without
// wildcards.
func Nothing(t testing.TB, nc *nats.Conn, sub *nats.Subscription, reason string) {
	t.Helper()
	require.NoError(t, nc.Publish(sub.Subject, []byte(marker)))
	require.Equal(t, marker, string(Next(t, sub).Data), reason)
}
