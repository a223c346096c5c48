package registry

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

func TestMain(m *testing.M) { servicestest.Leak(m) }

// TestTheOldestRegistrationGoes: of more than a user may have, the one that was
// registered longest ago; registering again counts.
func TestTheOldestRegistrationGoes(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	one := func(name string, at time.Duration) *Registration {
		return &Registration{DeviceID: name, Provider: proto.PushWebhook, Token: name, At: proto.At(noon.Add(at))}
	}
	var s State
	names := func() (out []string) {
		for _, d := range s.Devices {
			out = append(out, d.DeviceID)
		}
		return out
	}
	for n := range proto.MaxPushDevices {
		require.True(t, s.Register(one(strconv.Itoa(n), time.Duration(n)*time.Minute)))
	}
	require.False(t, s.Register(one("0", time.Hour)), "an equal one changes nothing for a day")
	require.True(t, s.Register(one("0", 25*time.Hour)), "and is renewed then")
	require.True(t, s.Register(one("new phone", 26*time.Hour)))
	require.Len(t, s.Devices, proto.MaxPushDevices)
	require.NotContains(t, names(), "1", "the oldest has gone")
	require.Contains(t, names(), "0")
	require.Contains(t, names(), "new phone")
	require.True(t, s.Register(one("another", 27*time.Hour)))
	require.NotContains(t, names(), "2")
	moved := one("a third", 28*time.Hour)
	moved.Token = "new phone"
	require.True(t, s.Register(moved), "the token is another device's now")
	require.Len(t, s.Devices, proto.MaxPushDevices)
	require.Contains(t, names(), "3", "none else has to go")
}
