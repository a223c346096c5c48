package viewing

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

func onBoth(t *testing.T, test func(t *testing.T, r *servicestest.Redis, s *Store)) {
	t.Helper()
	for name, run := range map[string]func(testing.TB) *servicestest.Redis{"plain": servicestest.RunRedis, "cluster": servicestest.RunRedisCluster} {
		t.Run(name, func(t *testing.T) {
			r := run(t)
			test(t, r, New(r.Client()))
		})
	}
}

// members makes users members, as the roster does.
func members(t *testing.T, r *servicestest.Redis, chat proto.Token, users ...string) {
	t.Helper()
	for _, u := range users {
		require.NoError(t, r.Client().HSet(t.Context(), proto.MembersKey(chat), u, "member 1").Err())
	}
}

func viewer(user, socket string) []Viewer {
	return []Viewer{{Chat: "c", User: proto.Token(user), Socket: proto.Token(socket)}}
}

func TestFirstAndLast(t *testing.T) {
	onBoth(t, func(t *testing.T, r *servicestest.Redis, s *Store) {
		members(t, r, "c", "ann", "bob")
		for i, step := range []struct {
			began        bool
			gateway      proto.Token
			user, socket string
			want         Outcome
			active       int
			why          string
		}{
			{true, "g1", "ann", "s1", First, 1, ""},
			{true, "g1", "ann", "s1", Same, 1, "told twice"},
			{true, "g1", "ann", "s2", Same, 1, "another socket"},
			{true, "g2", "ann", "s3", Same, 1, "on another gateway"},
			{true, "g2", "bob", "s4", First, 2, ""},
			{true, "g2", "eve", "s5", Refused, 2, "a stranger"},
			{false, "g1", "ann", "s1", Same, 2, "two are left"},
			{false, "g1", "ann", "s1", Same, 2, "told twice"},
			{false, "g1", "ann", "s3", Same, 2, "not that gateway's"},
			{false, "g2", "ann", "s3", Same, 2, ""},
			{false, "g1", "ann", "s2", Last, 1, ""},
			{false, "g1", "ann", "s2", Same, 1, "told twice"},
			{false, "g2", "eve", "s5", Same, 1, ""},
			{true, "g1", "ann", "s2", First, 2, "again"},
		} {
			change := s.Ended
			if step.began {
				change = s.Began
			}
			got, err := change(t.Context(), step.gateway, viewer(step.user, step.socket))
			require.NoError(t, err)
			require.Equal(t, []Outcome{step.want}, got, "step %d: %s", i, step.why)
			users, count, err := s.Active(t.Context(), "c", 10)
			require.NoError(t, err)
			require.Equal(t, step.active, count, "step %d", i)
			require.Len(t, users, count)
		}
		left, err := r.Client().SMembers(t.Context(), proto.ViewsKey("g2")).Result()
		require.NoError(t, err)
		require.Equal(t, []string{"c/bob/s4"}, left, "no list keeps what has ended")
	})
}

func TestActiveIsBoundedAndOfMembers(t *testing.T) {
	onBoth(t, func(t *testing.T, r *servicestest.Redis, s *Store) {
		users, count, err := s.Active(t.Context(), "c", 10)
		require.NoError(t, err)
		require.Empty(t, users)
		require.Zero(t, count)
		var all []Viewer
		for i := range 30 {
			user := fmt.Sprintf("u%02d", i)
			members(t, r, "c", user)
			all = append(all, viewer(user, "s"+user)...)
		}
		_, err = s.Began(t.Context(), "g", all)
		require.NoError(t, err)
		require.NoError(t, r.Client().HDel(t.Context(), proto.MembersKey("c"), "u03").Err(), "removed; the gateway has yet to say so")
		users, count, err = s.Active(t.Context(), "c", 5)
		require.NoError(t, err)
		require.Equal(t, []proto.Token{"u00", "u01", "u02", "u04", "u05"}, users)
		require.Equal(t, 29, count)
	})
}

func TestLeaseAndSweep(t *testing.T) {
	onBoth(t, func(t *testing.T, r *servicestest.Redis, s *Store) {
		known, _, err := s.Renew(t.Context(), "g1", false)
		require.NoError(t, err)
		require.False(t, known, "never begun")
		for g, lease := range map[proto.Token]time.Duration{"g1": 300 * time.Millisecond, "g2": LeaseFor} {
			known, _, err = s.WithLease(lease).Renew(t.Context(), g, true)
			require.NoError(t, err)
			require.True(t, known)
		}
		var all []Viewer
		for i := range 25 {
			user := fmt.Sprintf("u%02d", i)
			members(t, r, "c", user)
			all = append(all, viewer(user, "s"+user)...)
		}
		_, err = s.Began(t.Context(), "g1", all)
		require.NoError(t, err)
		_, err = s.Began(t.Context(), "g2", viewer("u00", "elsewhere"))
		require.NoError(t, err)

		// g2 goes on, g1 is silent.
		servicestest.Eventually(t, 10*time.Second, "g1 is dead", func() bool {
			known, swept, err := s.Renew(t.Context(), "g2", false)
			require.NoError(t, err)
			require.True(t, known)
			require.False(t, swept)
			dead, err := s.Dead(t.Context())
			require.NoError(t, err)
			require.NotContains(t, dead, proto.Token("g2"))
			return len(dead) == 1
		})
		gone := map[proto.Token]bool{}
		for more := true; more; {
			var left []Viewer
			left, more, err = s.Sweep(t.Context(), "g1", 10)
			require.NoError(t, err)
			require.LessOrEqual(t, len(left), 10)
			for _, v := range left {
				require.False(t, gone[v.User], "once")
				gone[v.User] = true
			}
		}
		require.Len(t, gone, 24, "u00 views on another gateway")
		require.False(t, gone["u00"])
		users, _, err := s.Active(t.Context(), "c", 10)
		require.NoError(t, err)
		require.Equal(t, []proto.Token{"u00"}, users)
		known, swept, err := s.Renew(t.Context(), "g1", false)
		require.NoError(t, err)
		require.False(t, known)
		require.True(t, swept, "it lived after all: clients saw its viewers leave")
		dead, err := s.Dead(t.Context())
		require.NoError(t, err)
		require.NotContains(t, dead, proto.Token("g1"), "it is done with")

		require.NoError(t, s.Release(t.Context(), "g2"))
		dead, err = s.Dead(t.Context())
		require.NoError(t, err)
		require.Equal(t, []proto.Token{"g2"}, dead, "what it left is swept at once")
	})
}

func TestOneSweeps(t *testing.T) {
	onBoth(t, func(t *testing.T, _ *servicestest.Redis, s *Store) {
		for _, step := range []struct {
			holder string
			want   bool
		}{{"a", true}, {"b", false}, {"a", true}, {"b", false}} {
			got, err := s.Lock(t.Context(), step.holder, 200*time.Millisecond)
			require.NoError(t, err)
			require.Equal(t, step.want, got)
		}
		servicestest.Eventually(t, 5*time.Second, "the lock of one that died ends", func() bool {
			got, err := s.Lock(t.Context(), "b", time.Minute)
			return err == nil && got
		})
	})
}

// TestManyGatewaysAgree: whatever several gateways tell at once, each user's
// viewing begins and ends in turn, and what is left is what they told last.
func TestManyGatewaysAgree(t *testing.T) {
	r := servicestest.RunRedis(t)
	s := New(r.Client())
	const gateways, users, steps = 4, 5, 300
	for u := range users {
		members(t, r, "c", fmt.Sprint("u", u))
	}
	var mu sync.Mutex
	balance := map[proto.Token]int{} // first − last
	open := map[Viewer]bool{}
	var wg sync.WaitGroup
	for g := range gateways {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(g), 7))
			mine := map[Viewer]bool{}
			for range steps {
				v := viewer(fmt.Sprint("u", rnd.IntN(users)), fmt.Sprintf("s%d-%d", g, rnd.IntN(2)))[0]
				change := s.Began
				if mine[v] {
					change = s.Ended
				}
				got, err := change(t.Context(), proto.Token(fmt.Sprint("g", g)), []Viewer{v})
				if err != nil || got[0] == Refused {
					t.Errorf("%v: %v %v", v, got, err)
					return
				}
				mine[v] = !mine[v]
				mu.Lock()
				switch got[0] {
				case First:
					balance[v.User]++
				case Last:
					balance[v.User]--
				case Same, Refused:
				}
				mu.Unlock()
			}
			mu.Lock()
			defer mu.Unlock()
			maps.Copy(open, mine)
		})
	}
	wg.Wait()
	want := map[proto.Token]bool{}
	for v, is := range open {
		if is {
			want[v.User] = true
		}
	}
	active, _, err := s.Active(t.Context(), "c", users)
	require.NoError(t, err)
	require.Len(t, active, len(want))
	for u := range users {
		user := proto.Token(fmt.Sprint("u", u))
		require.Equal(t, map[bool]int{true: 1, false: 0}[want[user]], balance[user], "%s: first and last alternate", user)
	}
}
