package bench

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/services/servicestest/long"
)

// TestTrialMesh runs each scenario briefly against the real mesh, as separate
// processes: every message acked and delivered once and in order. Times are
// not looked at.
func TestTrialMesh(t *testing.T) {
	t.Parallel()
	long.Only(t)
	cache := t.TempDir()
	short := Rates{Rate: []float64{100}, For: 300 * time.Millisecond, Warm: 100 * time.Millisecond, Content: 64, Limit: maxLatency}
	for _, profile := range []string{"socketio", "ws"} {
		var out, progress bytes.Buffer
		o := Options{Target: "mesh", Profile: profile, Runs: 1, Fsync: "default", JSON: true, Cache: cache, Out: &out, Progress: &progress}
		run := func(name string, steps int, err error) {
			require.NoError(t, err, "%s %s: %s", profile, name, &progress)
			var results []result
			require.NoError(t, json.Unmarshal(out.Bytes(), &results), name)
			out.Reset()
			for _, r := range results {
				for _, p := range r.Problems {
					require.Contains(t, p, "sent late", "%s %s %s: on a busy machine the client may be late, nothing else", profile, name, r.Step)
				}
				require.NotEmpty(t, r.Figures)
			}
			require.Len(t, results, steps)
		}
		run("idle", 1, (&IdleCmd{Options: o, Connections: 20, InChats: true, For: 50 * time.Millisecond}).Run(t.Context()))
		run("fanout", 1, (&FanoutCmd{Options: o, Rates: short, Members: 20, Pace: time.Millisecond}).Run(t.Context()))
		run("pairs", 1, (&PairsCmd{Options: o, Rates: short, Chats: 10, Members: 2}).Run(t.Context()))
		run("storm", 4, (&StormCmd{
			Options: o, Members: 100, Typists: 70, Viewers: 5, Messages: 1, Content: 64, Limit: maxLatency, Pace: time.Millisecond,
		}).Run(t.Context()))
		if profile == "ws" { // once: a dead gateway is not known to be dead before its lease has run out
			run("presence", 2, (&PresenceCmd{
				Options: o, Users: 60, Group: 40, Observers: 2, For: 100 * time.Millisecond, ReturnIn: time.Second, Limit: 80 * time.Second, Pace: time.Millisecond,
			}).Run(t.Context()))
		}
	}
}
