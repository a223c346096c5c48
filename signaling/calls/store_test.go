package calls

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

func TestMain(m *testing.M) { servicestest.Leak(m) }

// TestWaiting: what waits for a device keeps its order, and of more than there is
// room for the oldest candidates go, never a description.
func TestWaiting(t *testing.T) {
	t.Parallel()
	for name, redis := range map[string]func(testing.TB) *servicestest.Redis{"plain": servicestest.RunRedis, "cluster": servicestest.RunRedisCluster} {
		t.Run(name, func(t *testing.T) {
			client := redis(t).Client()
			t.Cleanup(func() { _ = client.Close() })
			s := New(client, nil, nil)
			wait := func(event string, n int) {
				t.Helper()
				require.NoError(t, s.Wait(t.Context(), "c", "bob", Waiting{Event: event, Data: fmt.Appendf(nil, `{"n":%d}`, n)}))
			}
			wait(proto.CallCandidateEvent.Name, 0)
			wait(proto.RenegotiateEvent.Name, 1)
			const more = proto.MaxBufferedICE + 10
			for i := range more {
				wait(proto.CallCandidateEvent.Name, 2+i)
			}
			for range 2 {
				all, err := s.Waits(t.Context(), "c", "bob")
				require.NoError(t, err)
				require.Len(t, all, proto.MaxBufferedICE)
				require.Equal(t, proto.RenegotiateEvent.Name, all[0].Event)
				require.JSONEq(t, fmt.Sprintf(`{"n":%d}`, 2+more-(proto.MaxBufferedICE-1)), string(all[1].Data))
				require.JSONEq(t, fmt.Sprintf(`{"n":%d}`, 1+more), string(all[len(all)-1].Data))
			}
			_, _, err := s.Take(t.Context(), "c", "bob", "", 1<<20, 0)
			require.NoError(t, err)
			all, err := s.Waits(t.Context(), "c", "bob")
			require.NoError(t, err)
			require.Empty(t, all)
		})
	}
}

// TestWaitingIsOneMessage: however large what waits is, it comes in one; candidates
// go first, and of descriptions the newest stay.
func TestWaitingIsOneMessage(t *testing.T) {
	t.Parallel()
	client := servicestest.RunRedis(t).Client()
	t.Cleanup(func() { _ = client.Close() })
	s := New(client, nil, nil)
	wait := func(event string, n, size int) {
		t.Helper()
		require.NoError(t, s.Wait(t.Context(), "c", "bob", Waiting{Event: event, Data: fmt.Appendf(nil, `{"n":%d,"sdp":%q}`, n, strings.Repeat("x", size))}))
	}
	left := func() (out []string) {
		all, err := s.Waits(t.Context(), "c", "bob")
		require.NoError(t, err)
		size := 0
		for _, w := range all {
			size += len(w.Data)
			out = append(out, fmt.Sprint(w.Event[len("call:"):len("call:")+3], string(w.Data[5:6])))
		}
		require.Less(t, size, waitingBytes)
		return out
	}
	wait(proto.CallCandidateEvent.Name, 0, 100)
	for n := 1; n < 4; n++ {
		wait(proto.RenegotiateEvent.Name, n, 30<<10)
	}
	wait(proto.CallCandidateEvent.Name, 4, 100)
	require.Equal(t, []string{"ice0", "ren1", "ren2", "ren3", "ice4"}, left())
	wait(proto.CallCandidateEvent.Name, 5, 6<<10)
	require.Equal(t, []string{"ren2", "ren3", "ice5"}, left())
	wait(proto.RenegotiateEvent.Name, 6, proto.MaxSDP)
	require.Equal(t, []string{"ren3", "ren6"}, left())
	wait(proto.RenegotiateEvent.Name, 7, 20<<10)
	require.Equal(t, []string{"ren6", "ren7"}, left())

	_, fits, err := s.Take(t.Context(), "c", "bob", "", 84<<10, 0)
	require.NoError(t, err)
	require.False(t, fits)
	require.Len(t, left(), 2, "nothing was taken")
	taken, fits, err := s.Take(t.Context(), "c", "bob", "", 86<<10, 0)
	require.NoError(t, err)
	require.True(t, fits)
	require.Len(t, taken, 2)
	taken, fits, err = s.Take(t.Context(), "c", "bob", "", 0, 0)
	require.NoError(t, err)
	require.True(t, fits)
	require.Empty(t, taken)
}
