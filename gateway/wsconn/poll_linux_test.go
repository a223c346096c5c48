package wsconn

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A polled connection must go back to the poller after a ping: no goroutine may wait inside the library for its next message.
// This is also the test of what read relies on: the library stays usable after errIdle.
func TestPingsHoldNoGoroutine(t *testing.T) { //nolint:paralleltest // counts the goroutines of the process
	e := startEdge(t, Config{Poller: true}, false, always(discardEnd{}))
	const clients = 200
	var all []*raw
	for range clients {
		all = append(all, e.dialRaw())
	}
	before := runtime.NumGoroutine()
	for round := range 3 {
		for _, c := range all {
			c.write(clientFrame(finBit|opPing, []byte{byte(round)}))
		}
		for _, c := range all {
			opcode, payload, err := c.frame()
			require.NoError(t, err)
			require.Equal(t, byte(opPong), opcode)
			require.Equal(t, []byte{byte(round)}, payload)
		}
	}
	const others = 10 // the test's own
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+idleWorkers+others }, wait, time.Millisecond,
		"%d goroutines before", before)

	for _, c := range all {
		c.write(clientFrame(finBit|opText, []byte("m")))
		_, payload, err := c.frame()
		require.NoError(t, err)
		require.Equal(t, "m", string(payload))
	}
}
