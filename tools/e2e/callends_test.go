package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/tools/e2e/mesh"
)

// Edge 47.
func iceBeforeAndAfter(t *testing.T, p *phones) {
	ann, phone, desk := p.stock(t, 0, "ice-ann", ""), p.stock(t, 1, "ice-bob", "phone"), p.plain(t, 0, "ice-bob", "desk")
	call, _ := ring(t, ann, "ice-bob")
	var want []string
	for i := range 20 { // sent at once, and in this order
		want = append(want, fmt.Sprint("a", i))
		ann.EmitNoAck(t, "call:ice-candidate", candidate(call, want[i]))
	}
	relayed(t, phone, call, want...)
	relayed(t, desk, call, want...)
	require.True(t, phone.Emit(t, "call:ice-candidate", candidate(call, "early")).Success)
	relayed(t, ann, call, "early")
	take(t, phone, call)

	require.True(t, ann.Emit(t, "call:ice-candidate", candidate(call, "late")).Success)
	require.True(t, ann.Emit(t, "call:ice-candidate", map[string]any{"callId": call, "candidate": nil}).Success)
	relayed(t, phone, call, append(want, "late", "null")...)
	require.True(t, phone.Emit(t, "call:ice-candidate", map[string]any{"callId": call, "candidate": nil}).Success)
	relayed(t, ann, call, "early", "null")
	fence(t, desk)
	relayed(t, desk, call, want...)
	require.Equal(t, "phone", ofCall[proto.CallCandidate](t, ann, "call:ice-candidate", call)[1].FromDeviceID)

	require.True(t, ann.Emit(t, "call:end", map[string]any{"callId": call}).Success)
	refusedCall(t, phone, "call:ice-candidate", candidate(call, "after"), "CALL_ENDED")
	phone.EmitNoAck(t, "call:ice-candidate", candidate(call, "after"))
	fence(t, phone)
	fence(t, ann)
	require.Empty(t, phone.Events("error"), "harmless")
	relayed(t, ann, call, "early", "null")
}

// rejected: for all devices of the user; the caller is told why.
func rejected(t *testing.T, p *phones) {
	ann, phone, desk := p.stock(t, 0, "rej-ann", ""), p.stock(t, 1, "rej-bob", "phone"), p.plain(t, 0, "rej-bob", "desk")
	call, _ := ring(t, ann, "rej-bob")
	hears[proto.IncomingCall](t, phone, "call:incoming", call, 1)
	hears[proto.IncomingCall](t, desk, "call:incoming", call, 1)
	for range 2 {
		require.Equal(t, proto.CallRejected, answer[proto.RejectCallRes](t, phone.Emit(t, "call:reject", map[string]any{"callId": call, "reason": "in a talk"})).Status)
	}
	told := hears[proto.CallReject](t, ann, "call:reject", call, 1)
	require.Equal(t, "in a talk", told.Reason)
	require.Equal(t, "rej-bob", told.UserID)
	require.Equal(t, proto.EndRejectedElsewhere, hears[proto.CallEnd](t, desk, "call:end", call, 1).Reason)
	fence(t, phone)
	require.Empty(t, phone.Events("call:end"))
	require.Empty(t, missedCalls(t, phone))
	require.Equal(t, proto.CallRejected, fence(t, ann)[0].Status)
}

// Edge 39, where nothing dies; callcrash_test.go has the rest.
func nobodyAnswers(t *testing.T, p *phones) {
	ann, phone, desk := p.stock(t, 0, "no-ann", ""), p.stock(t, 1, "no-bob", "phone"), p.plain(t, 0, "no-bob", "desk")
	call, res := ring(t, ann, "no-bob", map[string]any{"ringTimeoutSec": 10})
	for _, c := range []mesh.Client{ann, phone, desk} {
		end := hears[proto.CallEnd](t, c, "call:end", call, 1)
		require.WithinDuration(t, res.RingExpiresAt.Time, time.Now(), 15*seconds, "when the ringing is over")
		require.Equal(t, proto.CallMissed, end.Status)
		require.Equal(t, proto.EndNoAnswer, end.Reason)
	}
	wait(t, 2*seconds)
	require.Len(t, missedCalls(t, phone), 1, "exactly one")
	require.Equal(t, missedCalls(t, phone), missedCalls(t, desk), "and the same one")
	require.Empty(t, missedCalls(t, ann))
	for _, c := range []mesh.Client{ann, phone, desk} {
		require.Len(t, ofCall[proto.CallEnd](t, c, "call:end", call), 1)
	}
	state := p.state(t, call)
	require.Equal(t, proto.CallMissed, state.Status)
	require.Equal(t, proto.EndNoAnswer, state.Reason)
}

// Who is blocked learns nothing, and nothing of the call reaches the other.
func blockedCaller(t *testing.T, p *phones) {
	ann, bob := p.stock(t, 0, "blk-ann", ""), p.stock(t, 1, "blk-bob", "")
	put(t, p.m, "blk-bob", "blocks", "blk-ann")
	call, res := ring(t, ann, "blk-bob", map[string]any{"ringTimeoutSec": 10})
	require.Equal(t, proto.CallUnreachable, res.Status)
	require.Equal(t, proto.EndNoAnswer, hears[proto.CallEnd](t, ann, "call:end", call, 1).Reason)
	bob.Drop(t)
	bob.AwaitNote(t, "connect", 2)
	require.Empty(t, fence(t, bob))
	for _, e := range bob.Events("") {
		require.NotContains(t, string(e.Data), call, e.Event)
	}
	require.Empty(t, missedCalls(t, bob))
	require.Equal(t, proto.CallMissed, fence(t, ann)[0].Status)
}

// Edge 44: what is sent meanwhile arrives afterwards, and the call goes on.
func shortLoss(t *testing.T, p *phones) {
	ann, bob := p.stock(t, 0, "short-ann", "phone"), p.stock(t, 1, "short-bob", "phone")
	call, _ := ring(t, ann, "short-bob")
	hears[proto.IncomingCall](t, bob, "call:incoming", call, 1)
	take(t, bob, call)
	for range 2 {
		notes, there := len(bob.Notes("connect")), p.state(t, call).Version
		bob.Drop(t)
		mesh.Eventually(t, 20*seconds, "signaling hears that a side is gone", func() bool { // what is sent sooner goes nowhere
			return p.state(t, call).Version > there
		})
		require.True(t, ann.Emit(t, "call:ice-candidate", candidate(call, "meanwhile "+strconv.Itoa(notes))).Success)
		require.True(t, ann.Emit(t, "call:renegotiate", map[string]any{"callId": call, "offer": map[string]any{"type": "offer", "sdp": "again " + strconv.Itoa(notes)}}).Success)
		bob.AwaitNote(t, "connect", notes+1)
		mesh.Eventually(t, 10*seconds, "the offer made meanwhile arrives", func() bool {
			all := ofCall[proto.CallRenegotiate](t, bob, "call:renegotiate", call)
			return len(all) == notes && all[notes-1].Offer.SDP == "again "+strconv.Itoa(notes)
		})
	}
	relayed(t, bob, call, "meanwhile 1", "meanwhile 2")

	// The caller comes back as another socket of the same device, without its session.
	desk := p.plain(t, 1, "short-carl", "desk")
	second, _ := ring(t, desk, "short-dora")
	dora := p.stock(t, 0, "short-dora", "")
	hears[proto.IncomingCall](t, dora, "call:incoming", second, 1)
	there := p.state(t, second).Version
	desk.Drop()
	mesh.Eventually(t, 20*seconds, "signaling hears that the caller is gone", func() bool { return p.state(t, second).Version > there })
	take(t, dora, second)
	desk = p.plain(t, 0, "short-carl", "desk")
	require.Equal(t, "short-dora", hears[proto.CallAnswer](t, desk, "call:answer", second, 1).AnswererID, "answered while the caller was away")
	require.True(t, dora.Emit(t, "call:ice-candidate", candidate(second, "to the new socket")).Success)
	relayed(t, desk, second, "to the new socket")

	wait(t, 8*seconds)
	for _, id := range []string{call, second} {
		require.Equal(t, proto.CallAnswered, p.state(t, id).Status)
	}
	for _, c := range []mesh.Client{ann, bob, desk, dora} {
		require.Empty(t, c.Events("call:end"), "the calls go on")
	}
	require.True(t, bob.Emit(t, "call:end", map[string]any{"callId": call}).Success)
	hears[proto.CallEnd](t, ann, "call:end", call, 1)
}

// Edge 44: half a minute without one side ends it.
func longLoss(t *testing.T, p *phones) {
	ann, bob := p.stock(t, 0, "long-ann", ""), p.plain(t, 1, "long-bob", "phone")
	call, _ := ring(t, ann, "long-bob")
	hears[proto.IncomingCall](t, bob, "call:incoming", call, 1)
	take(t, bob, call)
	bob.Drop()
	lost := time.Now()
	mesh.Eventually(t, 45*seconds, "the call ends", func() bool { return len(ofCall[proto.CallEnd](t, ann, "call:end", call)) > 0 })
	require.Greater(t, time.Since(lost), 27*seconds)
	require.Equal(t, proto.EndDisconnected, hears[proto.CallEnd](t, ann, "call:end", call, 1).Reason)
	require.Equal(t, proto.EndDisconnected, fence(t, ann)[0].Reason)
}

// A caller who is gone for half a minute rings no more.
func callerLost(t *testing.T, p *phones) {
	ann, bob := p.plain(t, 0, "gone-ann", ""), p.stock(t, 1, "gone-bob", "")
	call, _ := ring(t, ann, "gone-bob", map[string]any{"ringTimeoutSec": 90})
	hears[proto.IncomingCall](t, bob, "call:incoming", call, 1)
	ann.Drop()
	mesh.Eventually(t, 45*seconds, "the ringing ends", func() bool { return len(ofCall[proto.CallEnd](t, bob, "call:end", call)) > 0 })
	end := hears[proto.CallEnd](t, bob, "call:end", call, 1)
	require.Equal(t, proto.CallMissed, end.Status)
	require.Equal(t, proto.EndDisconnected, end.Reason)
	mesh.Eventually(t, 10*seconds, "it is notified", func() bool { return len(missedCalls(t, bob)) == 1 })
}

// Three who talk to each other: offers of their own, who joins and leaves is told, the last two end it.
func several(t *testing.T, p *phones) {
	ann, bob, carl := p.stock(t, 0, "sev-ann", ""), p.stock(t, 1, "sev-bob", ""), p.plain(t, 0, "sev-carl", "")
	call := "call-several"
	res := answer[proto.InitiateCallRes](t, ann.Emit(t, "call:initiate", map[string]any{
		"callId": call, "targetUserIds": []string{"sev-bob", "sev-carl"}, "callType": "video",
		"offers": map[string]any{"sev-bob": map[string]any{"type": "offer", "sdp": "to bob"}, "sev-carl": map[string]any{"type": "offer", "sdp": "to carl"}},
	}))
	require.Len(t, res.Participants, 3)
	require.Equal(t, "to bob", hears[proto.IncomingCall](t, bob, "call:incoming", call, 1).Offer.SDP)
	require.Equal(t, "to carl", hears[proto.IncomingCall](t, carl, "call:incoming", call, 1).Offer.SDP)
	require.Len(t, take(t, bob, call).Participants, 3)
	require.Len(t, take(t, carl, call).Participants, 3)
	joined := func(c mesh.Client, users ...string) {
		t.Helper()
		mesh.Eventually(t, 10*seconds, "who is in the call", func() bool {
			all := ofCall[proto.CallParticipants](t, c, "call:participants", call)
			var in []string
			for _, p := range append([]proto.CallParticipants{{}}, all...)[len(all)].Participants {
				if p.State == proto.ParticipantJoined {
					in = append(in, p.UserID)
				}
			}
			return len(in) == len(users) && strings.Join(in, " ") == strings.Join(users, " ")
		})
	}
	for _, c := range []mesh.Client{ann, bob} {
		joined(c, "sev-ann", "sev-bob", "sev-carl")
	}
	require.True(t, carl.Emit(t, "call:renegotiate", map[string]any{"callId": call, "offer": map[string]any{"type": "offer", "sdp": "carl to bob"}, "targetUserId": "sev-bob"}).Success)
	offered := hears[proto.CallRenegotiate](t, bob, "call:renegotiate", call, 1)
	require.Equal(t, "sev-carl", offered.FromUserID)
	fence(t, ann)
	require.Empty(t, ann.Events("call:renegotiate"), "for bob alone")

	require.True(t, ann.Emit(t, "call:end", map[string]any{"callId": call}).Success)
	joined(carl, "sev-bob", "sev-carl")
	require.Equal(t, proto.CallAnswered, p.state(t, call).Status, "two are left")
	require.True(t, bob.Emit(t, "call:end", map[string]any{"callId": call}).Success)
	require.Equal(t, proto.EndHangup, hears[proto.CallEnd](t, carl, "call:end", call, 1).Reason)
	require.Equal(t, proto.CallOver, p.state(t, call).Status)
}

// Edge 45: credentials are made when they are asked for. And the history, page by page.
func serversAndHistory(t *testing.T, p *phones) {
	ann, bob := p.stock(t, 0, "ice-servers-ann", ""), p.stock(t, 1, "ice-servers-bob", "")
	expiry := func(servers []proto.IceServer) int64 {
		t.Helper()
		require.Len(t, servers, 2)
		require.Empty(t, servers[0].Username, "STUN needs none")
		require.NotEmpty(t, servers[1].Credential)
		at, _, _ := strings.Cut(servers[1].Username, ":")
		n, err := strconv.ParseInt(at, 10, 64)
		require.NoError(t, err)
		require.Equal(t, n, servers[1].ExpiresAt.Unix())
		return n
	}
	call, res := ring(t, ann, "ice-servers-bob")
	hears[proto.IncomingCall](t, bob, "call:incoming", call, 1)
	take(t, bob, call)
	first := expiry(res.IceServers)
	require.Greater(t, first, time.Now().Add(time.Hour).Unix())
	wait(t, 1100*time.Millisecond)
	for _, c := range []mesh.Client{ann, bob} {
		fresh := answer[proto.IceServersRes](t, c.Emit(t, "call:ice-servers", map[string]any{"callId": call}))
		require.Greater(t, expiry(fresh.IceServers), first)
	}
	require.True(t, bob.Emit(t, "call:end", map[string]any{"callId": call, "reason": "failed"}).Success)
	refusedCall(t, ann, "call:ice-servers", map[string]any{"callId": call}, "CALL_ENDED")

	second, _ := ring(t, bob, "ice-servers-ann")
	require.True(t, bob.Emit(t, "call:end", map[string]any{"callId": second}).Success)
	third, _ := ring(t, ann, "ice-servers-bob")
	require.True(t, bob.Emit(t, "call:reject", map[string]any{"callId": third}).Success)
	var pages []proto.CallRecord
	for cursor := ""; ; {
		req := map[string]any{"limit": 1}
		if cursor != "" {
			req["cursor"] = cursor
		}
		page := answer[proto.CallHistoryRes](t, ann.Emit(t, "call:history", req))
		require.LessOrEqual(t, len(page.Calls), 1)
		pages = append(pages, page.Calls...)
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	require.Len(t, pages, 3, "newest first")
	for i, want := range []struct {
		id, direction, reason string
		status                proto.CallStatus
	}{
		{third, proto.CallTo, "", proto.CallRejected},
		{second, proto.CallFrom, proto.EndCancelled, proto.CallMissed},
		{call, proto.CallTo, proto.EndFailed, proto.CallOver},
	} {
		got := pages[i]
		require.Equal(t, want.id, got.CallID)
		require.Equal(t, want.direction, got.Direction)
		require.Equal(t, want.status, got.Status)
		require.Equal(t, want.reason, got.Reason)
	}
	require.Positive(t, pages[2].DurationMs)
	require.Equal(t, "ice-servers-bob", pages[2].EndedBy)
	require.Equal(t, pages, fence(t, ann))
}
