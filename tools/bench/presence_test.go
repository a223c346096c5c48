package bench

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

// watched is a watch of four users by one observer, of which 0 and 2 return.
func watched(t *testing.T) (*watch, presenceLoad, death) {
	t.Helper()
	l := presenceLoad{users: 4, group: 4, observers: 1, limit: 70 * time.Second}
	people := crew{observers: []who{{user: "o"}}}
	for _, name := range []string{"a", "b", "c", "d"} {
		people.users = append(people.users, who{user: name})
	}
	d := death{killed: time.Now().Add(-time.Minute), returned: 2}
	d.from.at, d.to.at = d.killed, d.killed.Add(time.Minute)
	return newWatch(socketIO{}, people, l.group), l, d
}

func TestDeathIsJudged(t *testing.T) {
	t.Parallel()
	online := told{user: 0, status: proto.StatusOnline}
	off := func(user, after, seenBefore int) func(time.Time) told {
		return func(killed time.Time) told {
			at := killed.Add(time.Duration(after) * time.Second)
			return told{user: user, at: at, status: proto.StatusOffline, lastSeen: killed.Add(-time.Duration(seenBefore) * time.Second).UnixMilli()}
		}
	}
	on := func(after int) func(time.Time) told {
		return func(killed time.Time) told {
			e := online
			e.at = killed.Add(time.Duration(after) * time.Second)
			return e
		}
	}
	for _, c := range []struct {
		name string
		seen []func(time.Time) told
		want string
	}{
		{"as it must be", []func(time.Time) told{on(-5), off(1, 45, 3), off(3, 46, 9)}, ""},
		{"one who returned is shown offline", []func(time.Time) told{off(0, 45, 3), off(1, 45, 3), off(3, 46, 9)}, "1 times was one shown offline who returned"},
		{"one is forgotten", []func(time.Time) told{off(1, 45, 3)}, "1 users were not shown offline"},
		{"one comes twice", []func(time.Time) told{off(1, 45, 3), off(3, 46, 9), off(3, 47, 9)}, "1 times was one shown offline again"},
		{"one flickers", []func(time.Time) told{off(1, 45, 3), off(3, 46, 9), on(3)}, "1 times was one shown as neither"},
		{"late", []func(time.Time) told{off(1, 45, 3), off(3, 71, 9)}, "the last was shown offline after 71.0 s"},
		{"seen after the death", []func(time.Time) told{off(1, 45, -30), off(3, 46, 9)}, "last seen is between 30000 ms after"},
		{"seen long before it", []func(time.Time) told{off(1, 45, 3), off(3, 46, 13)}, "13000 ms before the death"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k, l, d := watched(t)
			for _, seen := range c.seen {
				k.heard = append(k.heard, seen(d.killed))
			}
			var r result
			r.fillDeath(&system{}, l, k, d)
			if c.want == "" {
				require.Empty(t, r.Problems)
				last, ok := r.value("last offline after")
				require.True(t, ok)
				require.InDelta(t, 46, last, 0.01)
				return
			}
			require.Contains(t, strings.Join(r.Problems, "; "), c.want)
		})
	}
}

func TestStatesAreJudged(t *testing.T) {
	t.Parallel()
	k, _, _ := watched(t)
	require.Equal(t, []call{{0, []string{"a", "b", "c", "d"}}}, k.calls)
	ack := `{"success":true,"presences":[{"userId":"a","status":"online","version":1},{"userId":"b","status":"away","version":1}],"denied":["c"],"total":4}]`
	k.ack(nil, packet{kind: kindAck, ackID: k.rounds[0].first, body: []byte(ack)}, time.Now())
	k.publish()
	require.NoError(t, k.wrong)
	var r result
	r.judgeStates(k, 0, func(int) proto.Status { return proto.StatusOnline })
	require.Equal(t, []string{"1 users are away in the acks, and should not be", "1 users were denied", "the acks tell of 2 users, not of 4"}, r.Problems)
	require.EqualValues(t, 1, k.rounds[0].answeredNow.Load())
}

func TestWatchHears(t *testing.T) {
	t.Parallel()
	k, _, _ := watched(t)
	frame := func(user string) packet {
		return socketIO{}.classify([]byte(`42["presence:update",{"userId":"` + user + `","status":"offline","lastSeen":7,"version":3}]`))
	}
	c := &conn{}
	for _, user := range []string{"a", "b"} {
		k.event(c, frame(user), time.Now())
	}
	k.publish()
	require.NoError(t, k.wrong)
	require.Len(t, k.heard, 2)
	require.EqualValues(t, 7, k.heard[1].lastSeen)
	require.EqualValues(t, 1, k.offline.Load(), "of those who do not return")
	k.event(c, frame("x"), time.Now())
	require.ErrorContains(t, k.wrong, "not watched")

	p := newPIDs(1)
	p.ready(c, []byte(`{"userId":"a","pid":"abc_-1","resumed":false}]`))
	require.Equal(t, []string{"abc_-1"}, p.pid)
}

func TestCommandsAreCounted(t *testing.T) {
	t.Parallel()
	page := "# Commandstats\r\ncmdstat_evalsha:calls=12,usec=3,usec_per_call=0.3\r\ncmdstat_info:calls=2,usec=1\r\ncmdstat_client|setinfo:calls=4,usec=1\r\ncmdstat_get:calls=5,usec=1\r\n"
	got := parseCommands(page)
	require.Equal(t, map[string]int64{"evalsha": 12, "get": 5}, got)
	require.Equal(t, "evalsha 7, get 5", busiest(map[string]int64{"evalsha": 5}, got, 2))
	require.InDelta(t, 12, since(map[string]int64{"evalsha": 5}, got), 0)
}
