package state

import (
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

// When the user was seen is stored where that moves it by a minute: there, gone, hidden.
func TestNote(t *testing.T) {
	t.Parallel()
	var r Record
	_, write := r.Note(t0)
	require.False(t, write, "never seen")
	fence := r.Open(Conn{PID: "p", Socket: "s", Status: proto.StatusOnline, Since: t0}, t0)
	n, write := r.Note(t0)
	require.True(t, write)
	require.Equal(t, Noted{At: t0, On: true}, n)
	_, write = r.Note(t0 + 10*noteEvery)
	require.False(t, write, "still there")

	r.Close("p", fence, t0+5, true, t0+5, 0)
	n, write = r.Note(t0 + 5)
	require.True(t, write, "gone")
	require.Equal(t, Noted{At: t0 + 5}, n)

	r.Settle(t0 + 6)
	fence = r.Open(Conn{PID: "q", Socket: "s2", Status: proto.StatusOnline, Since: t0 + 10}, t0+10)
	_, write = r.Note(t0 + 10)
	require.False(t, write, "back within a minute")
	require.True(t, r.Publish(t0+10))
	require.Equal(t, t0+5+noteEvery, r.Due(t0+10))
	r.Close("q", fence, t0+20, true, t0+20, 0)
	_, write = r.Note(t0 + 20)
	require.False(t, write, "gone again")
	r.Settle(t0 + 21)

	r.Open(Conn{PID: "r", Socket: "s3", Status: proto.StatusOnline, Since: t0 + 30}, t0+30)
	_, write = r.Note(t0 + 5 + noteEvery)
	require.True(t, write, "there for a while")
	require.NoError(t, r.Update(&proto.UpdatePresenceReq{Status: proto.StatusOffline}, &Asked{Device: "d", Socket: "s3"}, t0+2*noteEvery))
	n, write = r.Note(t0 + 2*noteEvery)
	require.True(t, write)
	require.Equal(t, Noted{At: t0 + 2*noteEvery}, n, "hidden is gone")
}
