package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

func TestShowPresence(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	later := proto.At(now.Add(time.Hour))
	for _, c := range []struct {
		name  string
		state proto.PresenceState
		want  []string
	}{
		{"invisible", proto.PresenceState{
			UserID: "ann", Status: "busy", Effective: "offline", LastSeen: now.Add(-90 * time.Second).UnixMilli(), Version: 7,
			Own:      &proto.OwnPresence{Status: "offline", StatusUntil: &later, CustomStatus: "in a call", By: "phone"},
			Sessions: []proto.Session{{ID: "s1", DeviceID: "phone", Gateway: "g-1", Status: "online", State: "connected", ConnectedAt: proto.At(now)}},
		}, []string{
			"busy; others see offline", "offline until 2026-05-04T13:00:00Z, by phone", "says       in a call", "2026-05-04T11:58:30Z, 1m30s ago", "version    7",
			"s1       phone   online  connected  g-1      2026-05-04T12:00:00Z",
		}},
		{"never seen", proto.PresenceState{UserID: "bob", Status: "offline", Effective: "offline"}, []string{"status     offline\n", "last seen  -", "sessions   none"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			require.NoError(t, showPresence(&out, c.state, now))
			for _, want := range c.want {
				require.Contains(t, out.String(), want)
			}
		})
	}
}
