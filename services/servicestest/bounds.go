package servicestest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/wire"
)

// LongID is the n-th of the ids that take most bytes: 128 characters, nearly all of four
// bytes. n is less than a million.
func LongID(n int) string {
	const digits = 6
	return strings.Repeat("😀", proto.MaxIDRunes-digits) + fmt.Sprintf("%0*d", digits, n)
}

// LongText is a text of n bytes whose JSON is as long as any text of that length that is
// accepted: each byte takes two.
func LongText(n int) string { return strings.Repeat(`"`, n) }

// LongName is the longest name or avatar that a token has room for, about.
func LongName() string { return strings.Repeat("é", 1500) }

// AtBounds makes a request whose answer has a list, over NATS, and returns the answer: it
// must not be refused, and must fit one message. It repeats the request as Persist does.
// tools/archtest looks for calls of it: each row of the catalogue whose answer may have
// many items has one at its bounds, on a server with the smallest max_payload.
func AtBounds[Req, Res any](t testing.TB, h *services.Host, ep proto.Endpoint[Req, Res], actor proto.Actor, req Req) (res Res) {
	t.Helper()
	require.EqualValues(t, services.MinPayload, h.NATS().MaxPayload(), "the server of the test")
	body, err := wire.Marshal(req)
	require.NoError(t, err)
	row := ep.Row
	row.Timeout = proto.SendTimeout // of one try
	id := services.WithRequestID(services.NewRequestID())
	reply, err := Persist(func() (services.Reply, error) {
		reply, err := h.Request(t.Context(), ep.Subject, actor, body, services.WithRow(row), id)
		if err == nil && reply.Err != nil {
			err = reply.Err
		}
		return reply, err
	})
	require.NoError(t, err)
	require.LessOrEqual(t, len(reply.Body), services.MinPayload)
	require.NoError(t, wire.Restore(reply.Body, &res))
	return res
}
