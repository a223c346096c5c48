package typing

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

func TestTypists(t *testing.T) {
	t.Parallel()
	key := func(user, thread string) Key { return Key{User: proto.Token(user), Thread: thread} }
	var ts Typists
	require.True(t, ts.Start(key("ann", ""), "s1", proto.Typing{}, at(0)))
	require.False(t, ts.Start(key("ann", ""), "s1", proto.Typing{}, at(1999)), "coalesced")
	require.True(t, ts.Start(key("ann", "t"), "s1", proto.Typing{}, at(1999)), "another thread is another indicator")
	require.True(t, ts.Start(key("ann", ""), "s1", proto.Typing{}, at(2000)), "renewed")
	require.False(t, ts.Start(key("ann", ""), "s2", proto.Typing{}, at(2500)), "the user's other socket renews the same")

	require.Equal(t, []Key{key("ann", "t")}, ts.Quit("s1", at(3000)), "what the other socket goes on with stays")
	require.Equal(t, []Key{key("ann", "")}, ts.Quit("s2", at(3000)))
	require.Empty(t, ts.Quit("s2", at(3000)))

	require.True(t, ts.Start(key("ann", ""), "s1", proto.Typing{}, at(4000)))
	require.Empty(t, ts.Stop(key("ann", "t"), false, at(4100)))
	require.Equal(t, []Key{key("ann", "")}, ts.Stop(key("ann", ""), true, at(4100)))
	require.Empty(t, ts.Stop(key("ann", ""), true, at(4100)), "stopped twice is told once")
	require.True(t, ts.Start(key("ann", ""), "s1", proto.Typing{}, at(4200)), "who types again after a stop is told at once")

	require.Empty(t, ts.Quit("s1", at(10200)), "the others have forgotten it by themselves")
	require.Zero(t, ts.Len())
}

func TestTypistsAreBounded(t *testing.T) {
	t.Parallel()
	var ts Typists
	told := map[string]int{}
	// 2,000 people type every second for a minute.
	for ms := 0; ms < 60_000; ms += 1000 {
		for u := range 2000 {
			user := fmt.Sprint("u", u)
			if ts.Start(Key{User: proto.Token(user)}, user, proto.Typing{}, at(ms+u/4)) {
				told[user]++
			}
			if ts.Len() > MaxShown { // not require: 120,000 times
				t.Fatalf("%d are kept", ts.Len())
			}
		}
	}
	n := 0
	for _, times := range told {
		n += times
	}
	require.Len(t, told, MaxShown, "who is shown stays, so that indicators do not flicker")
	require.Equal(t, MaxShown*60/2, n, "each every 2 s: 25 a second in all")

	current := ts.Current(at(60_000))
	require.Len(t, current, MaxShown)
	for _, s := range current {
		require.Positive(t, s.Told.ExpiresInMs)
		require.LessOrEqual(t, s.Told.ExpiresInMs, For.Milliseconds())
	}
	require.Empty(t, ts.Current(at(70_000)))
	require.True(t, ts.Start(Key{User: "late"}, "late", proto.Typing{}, at(70_000)))
}
