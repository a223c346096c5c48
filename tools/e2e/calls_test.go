package e2e

import (
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/tools/e2e/mesh"
)

// phones is a mesh for calls: two gateways, two instances of signaling.
type phones struct {
	m    *mesh.Mesh
	node *mesh.Node
}

func newPhones(t *testing.T, opts mesh.Options) *phones {
	t.Helper()
	env := map[string]string{"ICE_URLS": "stun:192.0.2.9:3478,turn:192.0.2.9:3478?transport=udp", "TURN_SECRET": "end-to-end-turn-secret"}
	maps.Copy(env, opts.Env)
	opts.Env = env
	return &phones{m: mesh.Start(t, opts), node: mesh.StartNode(t)}
}

// stock is a user's device with the stock client on gateway i.
func (p *phones) stock(t *testing.T, i int, user, device string) *mesh.Stock {
	t.Helper()
	return p.node.Dial(t, p.m.Gateways[i%len(p.m.Gateways)].URL, mesh.Token(t, user, device), nil)
}

// plain is a user's device with a plain websocket on gateway i.
func (p *phones) plain(t *testing.T, i int, user, device string) *mesh.Plain {
	t.Helper()
	return mesh.DialPlain(t, p.m.Gateways[i%len(p.m.Gateways)].URL, mesh.Token(t, user, device))
}

// state is what a backend is told of a call.
func (p *phones) state(t *testing.T, call string) (s proto.CallState) {
	t.Helper()
	res := p.m.AdminAt(t, 0, http.MethodGet, "/v1/calls/"+call, struct{}{}, nil)
	require.Equal(t, http.StatusOK, res.Status, res.Body)
	decode(t, []byte(res.Body), &s)
	return s
}

var callCount atomic.Int64

// newCall is an id for a call and the request that begins it.
func newCall(target string, more ...map[string]any) (call string, req map[string]any) {
	call = "call-" + strconv.FormatInt(callCount.Add(1), 10)
	req = map[string]any{"callId": call, "targetUserId": target, "callType": "audio", "offer": map[string]any{"type": "offer", "sdp": "offer of " + call}}
	for _, fields := range more {
		maps.Copy(req, fields)
	}
	return call, req
}

// ring calls a user and gives the call's id.
func ring(t *testing.T, c mesh.Client, target string, more ...map[string]any) (call string, res proto.InitiateCallRes) {
	t.Helper()
	call, req := newCall(target, more...)
	res = answer[proto.InitiateCallRes](t, c.Emit(t, "call:initiate", req))
	require.Equal(t, call, res.CallID)
	return call, res
}

func take(t *testing.T, c mesh.Client, call string) proto.AnswerCallRes {
	t.Helper()
	return answer[proto.AnswerCallRes](t, c.Emit(t, "call:answer", aboutACall(call)["call:answer"]))
}

func candidate(call, text string) map[string]any {
	return map[string]any{"callId": call, "candidate": map[string]any{"candidate": text, "sdpMid": "0"}}
}

// ofCall is every event of this name about a call, in order, decoded.
func ofCall[T any](t *testing.T, c mesh.Client, event, call string) (all []T) {
	t.Helper()
	for _, e := range c.Events(event) {
		var about struct{ CallID string }
		e.Decode(t, &about)
		if about.CallID != call {
			continue
		}
		var v T
		e.Decode(t, &v)
		all = append(all, v)
	}
	return all
}

// hears waits until a client has had n events of this name about a call, and gives the newest.
func hears[T any](t *testing.T, c mesh.Client, event, call string, n int) T {
	t.Helper()
	var all []T
	mesh.Eventually(t, 20*seconds, event+" of "+call+" arrives", func() bool {
		all = ofCall[T](t, c, event, call)
		return len(all) >= n
	})
	require.Len(t, all, n, "%s of %s", event, call)
	return all[n-1]
}

// candidates are the texts of those that a client was sent, "null" for the end of them.
func candidates(t *testing.T, raws []proto.Raw) (texts []string) {
	t.Helper()
	for _, raw := range raws {
		if string(raw) == "null" {
			texts = append(texts, "null")
			continue
		}
		var c struct{ Candidate, SdpMid string }
		decode(t, raw, &c)
		require.Equal(t, "0", c.SdpMid, "untouched")
		texts = append(texts, c.Candidate)
	}
	return texts
}

// relayed waits until the candidates that a client was sent of a call are these, in order.
func relayed(t *testing.T, c mesh.Client, call string, want ...string) {
	t.Helper()
	var got []string
	mesh.Eventually(t, 20*seconds, "candidates of "+call, func() bool {
		var raws []proto.Raw
		for _, e := range ofCall[proto.CallCandidate](t, c, "call:ice-candidate", call) {
			raws = append(raws, e.Candidate)
		}
		got = candidates(t, raws)
		return len(got) >= len(want)
	})
	require.Equal(t, want, got)
}

// missedCalls are the notifications of calls that a client has had.
func missedCalls(t *testing.T, c mesh.Client) (all []proto.Notification) {
	t.Helper()
	for _, e := range c.Events("notification:new") {
		var n proto.Notification
		e.Decode(t, &n)
		if n.Type == "call_missed" {
			require.NotEmpty(t, e.Offset, "durable")
			all = append(all, n)
		}
	}
	return all
}

// fence is a round trip: what was sent to the client before it has come.
func fence(t *testing.T, c mesh.Client) []proto.CallRecord {
	t.Helper()
	return answer[proto.CallHistoryRes](t, c.Emit(t, "call:history", map[string]any{"limit": 100})).Calls
}

func refusedCall(t *testing.T, c mesh.Client, event string, req map[string]any, code string) mesh.Ack {
	t.Helper()
	ack := c.Emit(t, event, req)
	require.False(t, ack.Success, "%s: %s", event, ack.Raw)
	require.Equal(t, code, ack.Code, "%s: %s", event, ack.Raw)
	return ack
}

// Calls over two gateways and two instances of signaling, as users see them.
func TestCalls(t *testing.T) {
	t.Parallel()
	p := newPhones(t, mesh.Options{Gateways: 2, Calls: 2})
	threeDevicesRing(t, p)      // measures, so it runs alone
	var together sync.WaitGroup // they wait more than they work, so more at once than t.Parallel has
	for name, test := range map[string]func(*testing.T, *phones){
		"busy": busy, "glare": glare, "cancelled": cancelled, "offline callee": offlineCallee, "stranger": stranger, "candidates": iceBeforeAndAfter,
		"rejected": rejected, "nobody answers": nobodyAnswers, "blocked": blockedCaller, "a short loss": shortLoss, "a long loss": longLoss,
		"caller is lost": callerLost, "several": several, "servers and history": serversAndHistory,
	} {
		together.Go(func() { t.Run(name, func(t *testing.T) { test(t, p) }) })
	}
	together.Wait()
}

// Edge 38, and what every event says.
func threeDevicesRing(t *testing.T, p *phones) {
	ann := p.stock(t, 0, "ann", "phone")
	phone, desk, tab := p.stock(t, 0, "bob", "phone"), p.plain(t, 1, "bob", "desk"), p.stock(t, 1, "bob", "tab")
	bobs := map[string]mesh.Client{"phone": phone, "desk": desk, "tab": tab}
	call, res := ring(t, ann, "bob")
	require.Equal(t, proto.CallRinging, res.Status)
	require.WithinDuration(t, time.Now().Add(45*seconds), res.RingExpiresAt.Time, 5*seconds)
	for device, c := range bobs {
		in := hears[proto.IncomingCall](t, c, "call:incoming", call, 1)
		require.Equal(t, "ann", in.CallerID, device)
		require.Equal(t, "Name of ann", in.CallerName)
		require.Equal(t, proto.Sdp{Type: "offer", SDP: "offer of " + call}, in.Offer)
		require.Equal(t, proto.CallIncoming, in.Status)
		require.InDelta(t, 45_000, in.RingMs, 15_000)
		require.Len(t, in.IceServers, 2, "each has credentials of their own")
		require.NotEqual(t, res.IceServers[1].Username, in.IceServers[1].Username)
		require.NotEmpty(t, c.Events("call:incoming")[0].Offset, "durable")
	}

	acks := map[string]mesh.Ack{}
	first, second := tab.EmitAsync(t, "call:answer", aboutACall(call)["call:answer"]), desk.EmitAsync(t, "call:answer", aboutACall(call)["call:answer"])
	acks["tab"], acks["desk"] = mesh.AwaitAck(t, "call:answer", first), mesh.AwaitAck(t, "call:answer", second)
	winner, loser := "tab", "desk"
	if acks["desk"].Success {
		winner, loser = loser, winner
	}
	require.True(t, acks[winner].Success, "%s", acks[winner].Raw)
	require.Equal(t, "CALL_ALREADY_ANSWERED", acks[loser].Code, "%s", acks[loser].Raw)
	for device, c := range bobs {
		if device == winner {
			continue
		}
		end := hears[proto.CallEnd](t, c, "call:end", call, 1)
		require.Equal(t, proto.EndAnsweredElsewhere, end.Reason, device)
		require.Equal(t, proto.CallOver, end.Status, device)
	}
	told := hears[proto.CallAnswer](t, ann, "call:answer", call, 1)
	require.Equal(t, winner, told.DeviceID)
	require.Equal(t, "bob", told.AnswererID)
	require.Equal(t, proto.Sdp{Type: "answer", SDP: "a"}, told.Answer)
	require.Equal(t, told.AnsweredAt, take(t, bobs[winner], call).AnsweredAt, "the same again is the same")
	refusedCall(t, phone, "call:answer", aboutACall(call)["call:answer"], "CALL_ALREADY_ANSWERED")
	refusedCall(t, phone, "call:ice-candidate", candidate(call, "x"), "CALL_ALREADY_ANSWERED")

	again := answer[proto.InitiateCallRes](t, ann.Emit(t, "call:initiate", map[string]any{
		"callId": call, "targetUserId": "bob", "callType": "audio", "offer": map[string]any{"type": "offer", "sdp": "offer of " + call},
	}))
	require.Equal(t, proto.CallAnswered, again.Status)
	refusedCall(t, ann, "call:initiate", map[string]any{
		"callId": call, "targetUserId": "carl", "callType": "audio", "offer": map[string]any{"type": "offer", "sdp": "another"},
	}, "CONFLICT")

	over := answer[proto.EndCallRes](t, ann.Emit(t, "call:end", map[string]any{"callId": call}))
	require.Equal(t, proto.CallOver, over.Status)
	require.Positive(t, over.DurationMs)
	end := hears[proto.CallEnd](t, bobs[winner], "call:end", call, 1)
	require.Equal(t, proto.EndHangup, end.Reason)
	require.Equal(t, "ann", end.EndedBy)
	require.Equal(t, over.DurationMs, end.DurationMs)
	refusedCall(t, bobs[winner], "call:answer", aboutACall(call)["call:answer"], "CALL_ENDED")
	fence(t, ann)
	require.Empty(t, ann.Events("call:end"), "who ends has the ack")
	require.Empty(t, missedCalls(t, phone), "it was answered")
}

// Edge 42.
func busy(t *testing.T, p *phones) {
	ann, bob, bobDesk, carl := p.stock(t, 0, "busy-ann", ""), p.stock(t, 1, "busy-bob", "phone"), p.plain(t, 0, "busy-bob", "desk"), p.stock(t, 1, "busy-carl", "")
	call, _ := ring(t, ann, "busy-bob")
	hears[proto.IncomingCall](t, bob, "call:incoming", call, 1)
	take(t, bob, call)
	other, req := newCall("busy-bob")
	refusedCall(t, carl, "call:initiate", req, "CALL_BUSY")
	_, req = newCall("busy-carl")
	refusedCall(t, bobDesk, "call:initiate", req, "CALL_BUSY") // while the user's other device talks
	for _, c := range []mesh.Client{bob, bobDesk} {
		fence(t, c)
		require.Empty(t, ofCall[proto.IncomingCall](t, c, "call:incoming", other), "it rings nowhere")
	}
	require.True(t, bob.Emit(t, "call:end", map[string]any{"callId": call}).Success)
	call, _ = ring(t, carl, "busy-bob")
	hears[proto.IncomingCall](t, bobDesk, "call:incoming", call, 1)
	require.True(t, carl.Emit(t, "call:end", map[string]any{"callId": call}).Success)
}

// Edge 41.
func glare(t *testing.T, p *phones) {
	ann, bob := p.stock(t, 0, "glare-ann", ""), p.stock(t, 1, "glare-bob", "")
	ours, req := newCall("glare-bob")
	theirs, back := newCall("glare-ann")
	first, second := ann.EmitAsync(t, "call:initiate", req), bob.EmitAsync(t, "call:initiate", back)
	a, b := mesh.AwaitAck(t, "call:initiate", first), mesh.AwaitAck(t, "call:initiate", second)
	require.NotEqual(t, a.Success, b.Success, "one survives: %s %s", a.Raw, b.Raw)
	stands, loser, lost := ours, mesh.Client(bob), b
	if b.Success {
		stands, loser, lost = theirs, ann, a
	}
	require.Equal(t, "CALL_GLARE", lost.Code)
	var failure struct{ CallID string }
	decode(t, lost.Raw, &failure)
	require.Equal(t, stands, failure.CallID)
	hears[proto.IncomingCall](t, loser, "call:incoming", stands, 1)
	take(t, loser, stands)
	require.Equal(t, proto.CallAnswered, p.state(t, stands).Status)
	require.True(t, loser.Emit(t, "call:end", map[string]any{"callId": stands}).Success)
}

// Edge 40: what arrives later rings no more.
func cancelled(t *testing.T, p *phones) {
	ann, phone, desk := p.stock(t, 0, "cancel-ann", ""), p.stock(t, 1, "cancel-bob", "phone"), p.stock(t, 0, "cancel-bob", "desk")
	desk.Disconnect(t) // it comes back when all is over
	call, _ := ring(t, ann, "cancel-bob")
	hears[proto.IncomingCall](t, phone, "call:incoming", call, 1)
	require.Equal(t, proto.CallMissed, answer[proto.EndCallRes](t, ann.Emit(t, "call:end", map[string]any{"callId": call})).Status)
	end := hears[proto.CallEnd](t, phone, "call:end", call, 1)
	require.Equal(t, proto.CallMissed, end.Status)
	require.Equal(t, proto.EndCancelled, end.Reason)
	require.NotEmpty(t, last1e(t, phone.Events("call:end")).Offset, "durable")
	mesh.Eventually(t, 10*seconds, "the missed call is notified", func() bool { return len(missedCalls(t, phone)) == 1 })
	require.Equal(t, "cancel-ann", missedCalls(t, phone)[0].FromUserID)

	desk.Reconnect(t)
	own := fence(t, desk)
	require.Empty(t, ofCall[proto.IncomingCall](t, desk, "call:incoming", call), "it rings no more")
	require.Equal(t, own, fence(t, phone))
	require.Len(t, own, 1)
	require.Equal(t, proto.CallMissed, own[0].Status)
	require.Equal(t, proto.CallFrom, own[0].Direction)
	refusedCall(t, phone, "call:answer", aboutACall(call)["call:answer"], "CALL_ENDED")
}

func last1e(t *testing.T, events []mesh.Received) mesh.Received {
	t.Helper()
	require.NotEmpty(t, events)
	return events[len(events)-1]
}

// Edge 43.
func offlineCallee(t *testing.T, p *phones) {
	ann := p.stock(t, 0, "off-ann", "")
	began := time.Now()
	call, res := ring(t, ann, "off-bob")
	require.Equal(t, proto.CallUnreachable, res.Status)
	for _, text := range []string{"one", "two", "three"} {
		require.True(t, ann.Emit(t, "call:ice-candidate", candidate(call, text)).Success)
	}
	require.True(t, ann.Emit(t, "call:ice-candidate", map[string]any{"callId": call, "candidate": nil}).Success)
	wait(t, 3*seconds)
	for i, c := range []mesh.Client{p.stock(t, 1, "off-bob", "phone"), p.plain(t, 0, "off-bob", "desk")} {
		in := hears[proto.IncomingCall](t, c, "call:incoming", call, 1)
		require.InDelta(t, 45_000-time.Since(began).Milliseconds(), in.RingMs, 15_000, "what is left")
		require.Equal(t, res.RingExpiresAt, in.ExpiresAt)
		require.Equal(t, []string{"one", "two", "three", "null"}, candidates(t, in.Candidates))
		require.NotEmpty(t, in.IceServers[1].Credential, "device %d", i)
		if i == 1 {
			take(t, c, call)
		}
	}
	require.Equal(t, "desk", hears[proto.CallAnswer](t, ann, "call:answer", call, 1).DeviceID)
	require.True(t, ann.Emit(t, "call:end", map[string]any{"callId": call}).Success)
}

// Edge 46.
func stranger(t *testing.T, p *phones) {
	ann, bob, eve := p.stock(t, 0, "str-ann", ""), p.stock(t, 1, "str-bob", ""), p.stock(t, 0, "str-eve", "")
	call, _ := ring(t, ann, "str-bob")
	hears[proto.IncomingCall](t, bob, "call:incoming", call, 1)
	tries := func() {
		for event, req := range aboutACall(call) {
			known := refusedCall(t, eve, event, req, "CALL_NOT_FOUND")
			unknown := refusedCall(t, eve, event, aboutACall("no-such-call")[event], "CALL_NOT_FOUND")
			require.Equal(t, messageOf(t, known), messageOf(t, unknown), event)
		}
	}
	tries()
	require.Equal(t, proto.CallRinging, p.state(t, call).Status)
	take(t, bob, call)
	tries()
	require.Equal(t, proto.CallAnswered, p.state(t, call).Status)
	for _, c := range []mesh.Client{ann, bob} {
		fence(t, c)
		for _, event := range []string{"call:end", "call:ice-candidate", "call:reject", "call:renegotiate"} {
			require.Empty(t, c.Events(event))
		}
	}
	fence(t, eve)
	for _, e := range eve.Events("") {
		require.False(t, strings.HasPrefix(e.Event, "call:"), "%s", e.Event)
	}
	require.True(t, ann.Emit(t, "call:end", map[string]any{"callId": call}).Success)
	tries()
}
