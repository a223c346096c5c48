package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/tools/e2e/mesh"
)

// pair is a caller and a callee with two devices, and a call that rings for ten seconds, or was answered.
type pair struct {
	ann         *mesh.Stock
	phone, desk mesh.Client
	call        string
	until       time.Time // of the ringing
}

func newPair(t *testing.T, p *phones, name string) *pair {
	t.Helper()
	ann, bob := name+"-ann", name+"-bob"
	return &pair{ann: p.stock(t, 0, ann, ""), phone: p.stock(t, 1, bob, "phone"), desk: p.plain(t, 0, bob, "desk")}
}

// ring begins the pair's call; nothing of it is awaited but the ack.
func (c *pair) ring(t *testing.T, name string) {
	t.Helper()
	call, res := ring(t, c.ann, name+"-bob", map[string]any{"ringTimeoutSec": 10})
	c.call, c.until = call, res.RingExpiresAt.Time
}

// missed checks that the call ended once as a missed one, within a second of a moment.
func (c *pair) missed(t *testing.T, p *phones, from time.Time, reason string) {
	t.Helper()
	for _, client := range []mesh.Client{c.phone, c.desk} {
		end := hears[proto.CallEnd](t, client, "call:end", c.call, 1)
		require.Equal(t, proto.CallMissed, end.Status)
		require.Equal(t, reason, end.Reason)
		mesh.Eventually(t, 10*seconds, "the missed call is notified", func() bool { return len(missedCalls(t, client)) > 0 })
	}
	state := p.state(t, c.call)
	require.Equal(t, proto.CallMissed, state.Status)
	require.Equal(t, reason, state.Reason)
	require.False(t, state.EndedAt.Before(from.Add(-50*time.Millisecond)), "%v is before %v", state.EndedAt, from)
	require.WithinDuration(t, from, state.EndedAt.Time, 15*seconds)
}

// Signaling dies by kill -9 while calls ring, and comes back before they are over, or after: each ends once, within a second of its
// deadline or of the return. Edge 39.
func TestRingingEndsThoughSignalingDies(t *testing.T) {
	t.Parallel()
	p := newPhones(t, mesh.Options{Gateways: 2})
	const calls = 3
	var early, late [calls]*pair
	for i := range calls {
		early[i], late[i] = newPair(t, p, fmt.Sprint("early", i)), newPair(t, p, fmt.Sprint("late", i))
	}
	restart := func(pause time.Duration) time.Time {
		p.m.Calls[0].Kill()
		wait(t, pause)
		p.m.StartCalls(t, 0)
		return time.Now()
	}
	for i := range calls {
		early[i].ring(t, fmt.Sprint("early", i))
	}
	restart(2 * seconds)
	for _, c := range early {
		c.missed(t, p, c.until, proto.EndNoAnswer)
	}

	for i := range calls {
		late[i].ring(t, fmt.Sprint("late", i))
	}
	back := restart(time.Until(late[calls-1].until) + seconds)
	for _, c := range late {
		end := hears[proto.CallEnd](t, c.phone, "call:end", c.call, 1)
		require.Equal(t, proto.EndNoAnswer, end.Reason)
		require.WithinDuration(t, back, end.EndedAt.Time, 15*seconds, "from the return")
	}
	wait(t, 2*seconds)
	for _, c := range append(early[:], late[:]...) {
		for _, client := range []mesh.Client{c.phone, c.desk} {
			require.Len(t, ofCall[proto.CallEnd](t, client, "call:end", c.call), 1)
			require.Len(t, missedCalls(t, client), 1, "exactly one")
		}
		told := ofCall[proto.CallEnd](t, c.ann, "call:end", c.call)
		require.NotEmpty(t, told, "the caller is told")
		require.Equal(t, proto.EndNoAnswer, told[0].Reason)
		require.Empty(t, missedCalls(t, c.ann))
	}
}

// Signaling dies right after it has acked: what the ack says happens, for everybody it concerns.
func TestWhatWasAckedHappensThoughSignalingDies(t *testing.T) {
	t.Parallel()
	p := newPhones(t, mesh.Options{Gateways: 2})
	names := []string{"initiate", "answer", "reject", "cancel", "hangup"}
	pairs := map[string]*pair{}
	for _, name := range names {
		pairs[name] = newPair(t, p, name)
	}
	// Each dies in its turn; what it leaves is awaited by all together, after the last.
	for _, name := range names {
		c := pairs[name]
		var event string
		from, req := c.phone, map[string]any{}
		switch name {
		case "initiate":
			from, event = c.ann, "call:initiate"
			c.call, req = newCall(name+"-bob", map[string]any{"ringTimeoutSec": 10})
		case "cancel", "hangup":
			from, event = c.ann, "call:end"
		default:
			event = "call:" + name
		}
		if name != "initiate" {
			c.ring(t, name)
			hears[proto.IncomingCall](t, c.phone, "call:incoming", c.call, 1)
			req = aboutACall(c.call)[event]
		}
		if name == "hangup" {
			take(t, c.phone, c.call)
		}
		ack := from.EmitAsync(t, event, req)
		require.True(t, mesh.AwaitAck(t, event, ack).Success)
		p.m.Calls[0].Kill()
		p.m.StartCalls(t, 0)
	}

	c := pairs["initiate"]
	in := hears[proto.IncomingCall](t, c.phone, "call:incoming", c.call, 1)
	c.missed(t, p, in.ExpiresAt.Time, proto.EndNoAnswer)

	c = pairs["answer"]
	eventually[proto.CallAnswer](t, c.ann, "call:answer", c.call)
	require.Equal(t, proto.EndAnsweredElsewhere, eventually[proto.CallEnd](t, c.desk, "call:end", c.call).Reason)
	require.True(t, c.phone.Emit(t, "call:end", map[string]any{"callId": c.call}).Success)
	require.Equal(t, proto.EndHangup, eventually[proto.CallEnd](t, c.ann, "call:end", c.call).Reason)

	c = pairs["reject"]
	eventually[proto.CallReject](t, c.ann, "call:reject", c.call)
	require.Equal(t, proto.EndRejectedElsewhere, eventually[proto.CallEnd](t, c.desk, "call:end", c.call).Reason)

	c = pairs["cancel"]
	c.missed(t, p, p.state(t, c.call).EndedAt.Time, proto.EndCancelled)

	c = pairs["hangup"]
	require.Equal(t, proto.EndHangup, eventually[proto.CallEnd](t, c.phone, "call:end", c.call).Reason)
	require.Equal(t, proto.CallOver, p.state(t, c.call).Status)

	for _, name := range []string{"initiate", "cancel"} {
		require.Len(t, missedCalls(t, pairs[name].phone), 1, "exactly one of %s", name)
	}
	for _, name := range names { // nobody is left in a call
		c := pairs[name]
		call, _ := ring(t, c.ann, name+"-bob")
		hears[proto.IncomingCall](t, c.phone, "call:incoming", call, 1)
		require.True(t, c.ann.Emit(t, "call:end", map[string]any{"callId": call}).Success)
	}
}

// eventually waits for an event of a call that may come twice after a crash, and gives the newest.
func eventually[T any](t *testing.T, c mesh.Client, event, call string) T {
	t.Helper()
	var all []T
	mesh.Eventually(t, 20*seconds, event+" of "+call+" arrives", func() bool {
		all = ofCall[T](t, c, event, call)
		return len(all) > 0
	})
	return all[len(all)-1]
}
