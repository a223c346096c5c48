package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

func TestShowCall(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) *proto.Timestamp { at := proto.At(now.Add(-d)); return &at }
	for _, c := range []struct {
		name  string
		state proto.CallState
		want  []string
		never []string
	}{
		{"rings", proto.CallState{
			CallID: "c-1", CallerID: "ann", CallType: proto.CallVideo, ChatID: "room", Status: proto.CallRinging, Version: 1,
			CreatedAt: *ago(15 * time.Second), RingExpiresAt: *ago(-30 * time.Second),
			Participants: []proto.CallParticipant{{UserID: "ann", State: "joined", DeviceID: "phone"}, {UserID: "ein Name", State: "ringing"}},
		}, []string{
			"call         c-1\n", "type         video\n", "caller       ann\n", "chat         room\n", "status       ringing\n",
			"2026-05-04T11:59:45Z, 15s ago", "rings until  2026-05-04T12:00:30Z, 30s left", "version      1\n",
			"USER      STATE    DEVICE\n", "ann       joined   phone\n", "ein Name  ringing  -\n",
		}, []string{"answered", "ended"}},
		{"is over", proto.CallState{
			CallID: "c-2", CallerID: "ann", CallType: proto.CallAudio, Status: proto.CallOver, Reason: proto.EndHangup, EndedBy: "bob", Version: 3,
			CreatedAt: *ago(2 * time.Hour), AnsweredAt: ago(2*time.Hour - 7*time.Second), EndedAt: ago(time.Hour),
		}, []string{
			"status    ended: hangup, by bob\n", "began     2026-05-04T10:00:00Z, 2h0m0s ago\n",
			"answered  2026-05-04T10:00:07Z, 1h59m53s ago, after 7s\n", "ended     2026-05-04T11:00:00Z, 1h0m0s ago\n", "talked    59m53s\n",
		}, []string{"chat", "rings until"}},
		{"nobody answered", proto.CallState{
			CallID: "c-3", CallerID: "ann", CallType: proto.CallAudio, Status: proto.CallMissed, Reason: proto.EndNoAnswer,
			CreatedAt: *ago(time.Minute), RingExpiresAt: *ago(15 * time.Second), EndedAt: ago(15 * time.Second),
		}, []string{"status   missed: no_answer\n", "ended    2026-05-04T11:59:45Z, 15s ago"}, []string{"answered", "talked", "rings until", ", by"}},
		{"its end is late", proto.CallState{Status: proto.CallRinging, RingExpiresAt: *ago(time.Second)}, []string{", 0s left\n"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			require.NoError(t, showCall(&out, c.state, now))
			for _, want := range c.want {
				require.Contains(t, out.String(), want)
			}
			for _, never := range c.never {
				require.NotContains(t, out.String(), never)
			}
		})
	}
}
