package signaling

import (
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

// Any device of the caller ends the call, for both and for candidates; a callee's device on
// which it rings no more ends nothing, and learns how the call is.
func TestAnyDeviceOfTheCallerEndsTheCall(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	a, b := w.instance(), w.instance()

	a.mustCall(t, device("ann", 1), "c1", "bob")
	require.Equal(t, proto.CallMissed, b.mustEnd(t, device("ann", 2), "c1").Status)
	w.eventually("c1", "bob call:incoming incoming stored", "bob call:end missed cancelled stored", "bob notification:new call_missed stored", "ann call:end missed cancelled not ann-s2")

	a.mustCall(t, device("ann", 1), "c2", "bob")
	a.mustAnswer(t, device("bob", 1), "c2")
	require.Equal(t, proto.CallAnswered, b.mustEnd(t, device("bob", 2), "c2").Status, "it rings no more there")
	require.NoError(t, a.sends(t, device("ann", 1), "c2", `{"candidate":"1"}`), "it goes on")
	require.Equal(t, proto.CallOver, b.mustEnd(t, device("ann", 2), "c2").Status)
	require.Equal(t, proto.CallEnded, codeOf(a.sends(t, device("ann", 1), "c2", `{"candidate":"2"}`)))
	require.Equal(t, proto.CallEnded, codeOf(a.sends(t, device("bob", 1), "c2", `{"candidate":"2"}`)))
	for _, want := range []string{"ann call:end ended hangup not ann-s2", "bob call:end ended hangup"} {
		require.Len(t, w.events("c2", want), 1, want)
	}
	a.mustCall(t, device("cat", 1), "c3", "bob") // nobody is busy
	a.mustEnd(t, device("cat", 1), "c3")
}
