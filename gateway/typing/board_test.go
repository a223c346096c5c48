package typing

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

var start = time.Date(2026, time.March, 9, 12, 0, 0, 0, time.UTC)

func at(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }

func told(user, thread string, lives int64) (Key, proto.Typing) {
	return Key{User: proto.Token(user), Thread: thread}, proto.Typing{ChatID: "c", UserID: user, ThreadID: thread, ExpiresInMs: lives}
}

func keys(shown []Shown) (out []string) {
	for _, s := range shown {
		out = append(out, string(s.User)+"/"+s.Thread)
	}
	return out
}

func TestBoard(t *testing.T) {
	t.Parallel()
	type step struct {
		at           int // ms
		do           string
		user, thread string
		lives        int64
		ended        []string
		full         bool
	}
	for name, steps := range map[string][]step{
		"expires once": {
			{at: 0, do: "start", user: "ann"},
			{at: 5999, do: "expire"},
			{at: 6000, do: "expire", ended: []string{"ann/"}},
			{at: 6001, do: "expire"},
			{at: 6001, do: "stop", user: "ann"},
		},
		"renewed": {
			{at: 0, do: "start", user: "ann"},
			{at: 4000, do: "start", user: "ann"},
			{at: 9999, do: "expire"},
			{at: 10000, do: "expire", ended: []string{"ann/"}},
		},
		"a thread is an indicator of its own": {
			{at: 0, do: "start", user: "ann"},
			{at: 1000, do: "start", user: "ann", thread: "t"},
			{at: 2000, do: "stop", user: "ann", thread: "other"},
			{at: 2000, do: "stop", user: "ann", thread: "t", ended: []string{"ann/t"}},
			{at: 6000, do: "expire", ended: []string{"ann/"}},
		},
		"a message ends all of its sender's, and nobody else's": {
			{at: 0, do: "start", user: "ann"},
			{at: 1, do: "start", user: "ann", thread: "t"},
			{at: 2, do: "start", user: "bob"},
			{at: 3, do: "stop all", user: "ann", ended: []string{"ann/", "ann/t"}},
			{at: 3, do: "stop all", user: "ann"},
			{at: 6002, do: "expire", ended: []string{"bob/"}},
		},
		"what is left of another gateway's indicator counts, and never more than the whole": {
			{at: 0, do: "start", user: "ann", lives: 1500},
			{at: 0, do: "start", user: "bob", lives: 3_600_000},
			{at: 1500, do: "expire", ended: []string{"ann/"}},
			{at: 6000, do: "expire", ended: []string{"bob/"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var b Board
			for i, s := range steps {
				key, what := told(s.user, s.thread, s.lives)
				var ended []Shown
				switch s.do {
				case "start":
					require.Equal(t, !s.full, b.Start(key, what, at(s.at)), "step %d", i)
				case "stop":
					ended = b.Stop(key, false)
				case "stop all":
					ended = b.Stop(key, true)
				case "expire":
					ended = b.Expire(at(s.at))
				}
				require.Equal(t, s.ended, keys(ended), "step %d", i)
			}
			_, more := b.Next()
			require.False(t, more)
		})
	}
}

func TestBoardIsBounded(t *testing.T) {
	t.Parallel()
	var b Board
	for i := range 2 * MaxShown {
		key, what := told(fmt.Sprint(i), "", 0)
		require.Equal(t, i < MaxShown, b.Start(key, what, at(i)))
	}
	require.Equal(t, MaxShown, b.Len())
	key, what := told("0", "", 0)
	require.True(t, b.Start(key, what, at(1000)), "who is shown is renewed")
	require.Len(t, b.Stop(key, false), 1)
	key, what = told("late", "", 0)
	require.True(t, b.Start(key, what, at(1000)), "there is room again")
}

func TestBoardTellsWhoComes(t *testing.T) {
	t.Parallel()
	var b Board
	for i, user := range []string{"ann", "bob"} {
		key, what := told(user, "", 6000)
		b.Start(key, what, at(1000*i))
	}
	now := b.Current(at(2500))
	require.Equal(t, []string{"ann/", "bob/"}, keys(now))
	require.EqualValues(t, 3500, now[0].Told.ExpiresInMs)
	require.EqualValues(t, 4500, now[1].Told.ExpiresInMs)
	require.Equal(t, []string{"bob/"}, keys(b.Current(at(6000))), "not what is due, though nobody has looked yet")
}

// TestBoardAgainstModel: whatever happens, an indicator that was shown ends
// exactly once, no later than For after its last renewal, and no more than
// MaxShown are shown.
func TestBoardAgainstModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 1))
		var b Board
		model := map[Key]time.Time{}
		now := start
		end := func(why string, ended []Shown) {
			for _, s := range ended {
				_, was := model[s.Key]
				require.True(t, was, "seed %d: %s ended %v, which is not shown", seed, why, s.Key)
				delete(model, s.Key)
			}
		}
		for range 300 {
			now = now.Add(time.Duration(r.IntN(700)) * time.Millisecond)
			end("expiry", b.Expire(now))
			for key, ends := range model {
				if !now.Before(ends) {
					t.Fatalf("seed %d: %v is overdue", seed, key)
				}
			}
			key, what := told(fmt.Sprint("u", r.IntN(70)), []string{"", "t1", "t2"}[r.IntN(3)], 6000)
			switch r.IntN(8) {
			default:
				_, renewed := model[key]
				shown := b.Start(key, what, now)
				require.Equal(t, renewed || len(model) < MaxShown, shown, "seed %d", seed)
				if shown {
					model[key] = now.Add(For)
				}
			case 0:
				end("stop", b.Stop(key, false))
				require.NotContains(t, model, key)
			case 1:
				end("message", b.Stop(key, true))
				for k := range model {
					if k.User == key.User {
						t.Fatalf("seed %d: %v is left", seed, k)
					}
				}
			}
			require.Len(t, model, b.Len(), "seed %d", seed)
			require.LessOrEqual(t, b.Len(), MaxShown)
			next, some := b.Next()
			require.Equal(t, len(model) > 0, some)
			for _, ends := range model {
				if ends.Before(next) {
					t.Fatalf("seed %d: next is later than an end", seed)
				}
			}
		}
	}
}
