package gateway

import (
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

func TestAnEndedMembershipIsNotTakenFromAnOlderAnswer(t *testing.T) {
	t.Parallel()
	var d departed
	answer := func() []proto.ChatHead {
		return []proto.ChatHead{{ChatID: "a", Version: 4}, {ChatID: "b", Version: 4}, {ChatID: "c", Version: 9}}
	}
	require.Equal(t, answer(), d.without(answer(), "ann"), "nothing is remembered")
	d.note("a", "ann", ended{version: 5})
	d.note("a", "ann", ended{version: 3}) // an older end, late
	d.note("b", "bob", ended{version: 5})
	d.note("c", "ann", ended{version: 9})
	require.Equal(t, []proto.ChatHead{{ChatID: "b", Version: 4}, {ChatID: "c", Version: 9}}, d.without(answer(), "ann"),
		"the answer about a is older than the end; that about c knows of it")
	require.True(t, d.since("a", "ann", 4))
	require.False(t, d.since("a", "ann", 5))
	require.Zero(t, d.last("a", "eve"))

	// A generation is bounded, and the one before it still counts.
	for i := range maxDeparted {
		d.note(proto.Token("x"+string(rune(i))), "eve", ended{version: 1})
	}
	require.True(t, d.since("a", "ann", 4))
	require.LessOrEqual(t, len(d.now), maxDeparted)
	for i := range 2 * maxDeparted {
		d.note(proto.Token("y"+string(rune(i%maxDeparted))+string(rune(i/maxDeparted))), "eve", ended{version: 1})
	}
	require.False(t, d.since("a", "ann", 4), "forgotten after two generations")
}
