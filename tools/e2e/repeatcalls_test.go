package e2e

import (
	"time"

	"supmesh.dev/proto"
)

func (r *repeats) presenceCases() map[string][]repeat {
	get := func(user string) probe {
		return probe{proto.GetPresence.Row, backendActor, proto.PresenceOf{UserID: user}}
	}
	update := func(user string, status proto.Status) {
		must(r, proto.UpdatePresence, userActor(user), proto.UpdatePresenceReq{Status: status})
	}
	text := "brb"
	put := func(contacts bool, ids ...string) {
		e := proto.PutBlocks
		if contacts {
			e = proto.PutContacts
		}
		must(r, e, backendActor, proto.PutRelationsReq{UserID: "q1", UserIDs: ids})
	}
	list := func(ids ...string) func() any {
		return func() any { return proto.PutRelationsReq{UserID: "q1", UserIDs: ids} }
	}
	return map[string][]repeat{
		proto.UpdatePresence.Subject: {
			{name: "busy", actor: userActor("q1"), req: func() any { return proto.UpdatePresenceReq{Status: proto.StatusBusy, CustomStatus: &text} },
				state: []probe{get("q1")}, end: func() { update("q1", proto.StatusOnline) }, masks: []string{"lastSeen"}, now: true},
			{name: "invisible", actor: userActor("q1"), req: func() any { return proto.UpdatePresenceReq{Status: proto.StatusOffline} },
				state: []probe{get("q1")}, end: func() { update("q1", proto.StatusOnline) }, masks: []string{"lastSeen"}, now: true},
		},
		proto.SubscribePresence.Subject: reads(userActor("q1"), func() any { return proto.SubscribePresenceReq{UserIDs: []string{"q1", "q2"}} }),
		proto.ListSessions.Subject:      reads(userActor("q1"), func() any { return proto.ListSessionsReq{} }),
		proto.GetPresence.Subject:       reads(backendActor, func() any { return proto.PresenceOf{UserID: "q1"} }),
		proto.GetSessions.Subject:       reads(backendActor, func() any { return proto.PresenceOf{UserID: "q1"} }),
		proto.Viewers.Subject:           reads(proto.Actor{}, func() any { return proto.ViewersReq{ChatID: "a-chat"} }),
		proto.ReachUsers.Subject:        reads(proto.Actor{}, func() any { return proto.ReachReq{UserIDs: []string{"q1"}} }),
		proto.PutContacts.Subject:       {{actor: backendActor, req: list("a", "b"), end: func() { put(true, "c") }}},
		proto.PutBlocks.Subject:         {{actor: backendActor, req: list("x"), end: func() { put(false) }}},
	}
}

// registryCases are requests of gateways on their connections.
func (r *repeats) registryCases() map[string][]repeat {
	gateway := proto.Actor{Gateway: "gw"}
	get := func(user string) []probe {
		return []probe{
			{proto.GetPresence.Row, backendActor, proto.PresenceOf{UserID: user}}, {proto.Viewers.Row, proto.Actor{}, proto.ViewersReq{ChatID: "hall-" + user}},
		}
	}
	report := func(req proto.ReportReq) proto.ReportRes {
		req.Gateway, req.Inbox = "gw.0", "gw"
		return must(r, proto.ReportSessions, gateway, req)
	}
	open := func(user, pid, returns string) uint64 {
		return must(r, proto.OpenSession, userActor(user), proto.OpenSessionReq{Gateway: "gw.0", Inbox: "gw", PID: pid, Returns: returns}).Fence
	}
	closed := func(user, pid string, fence func() uint64) func() {
		return func() {
			report(proto.ReportReq{Seq: 1000, Closed: []proto.Closed{{UserID: user, PID: pid, Fence: fence(), At: proto.At(time.Now()), Final: true}}})
		}
	}
	fence := func(user string) func() uint64 { // of what the case has opened: the same again has it
		return func() uint64 { return open(user, "pid-"+user, "") }
	}
	view := func(user string, fence uint64) []proto.View {
		return []proto.View{{ChatID: "hall-" + user, UserID: user, PID: "pid-" + user, Fence: fence}}
	}
	var viewer, late uint64
	opened := func() any {
		return proto.ReportReq{Gateway: "gw.0", Inbox: "gw", Seq: 2, Opened: []proto.Opened{{
			UserID: "s3", DeviceID: "d", PID: "pid-s3", SocketID: "s3-s", Status: proto.StatusOnline, Since: proto.At(time.Now()),
		}}}
	}
	return map[string][]repeat{
		proto.RenewLease.Subject: {{actor: gateway, req: func() any { return proto.LeaseReq{Gateway: "gw.0", Begin: true} }}},
		proto.OpenSession.Subject: {
			{name: "then left", actor: userActor("s1"), req: func() any { return proto.OpenSessionReq{Gateway: "gw.0", Inbox: "gw", PID: "pid-s1"} },
				state: get("s1"), end: closed("s1", "pid-s1", fence("s1")), now: true},
		},
		proto.ReportSessions.Subject: {
			{name: "began", actor: gateway, before: func() { viewer = open("s2", "pid-s2", "") }, req: func() any {
				return proto.ReportReq{Gateway: "gw.0", Inbox: "gw", Seq: 1, Began: view("s2", viewer)}
			}, state: get("s2"), end: func() { report(proto.ReportReq{Seq: 2, Ended: view("s2", viewer)}) }},
			{name: "opened", actor: gateway, req: opened, state: get("s3"), end: func() {
				late = open("s3", "pid-s3", "")
				closed("s3", "pid-s3", func() uint64 { return late })()
			}, now: true},
		},
	}
}

func (r *repeats) callCases() map[string][]repeat {
	state := func(id *string) []probe { return []probe{{proto.GetCall.Row, backendActor, byCall{id}}} }
	var first, second, third, fourth string
	end := func(user string, id *string) func() {
		return func() { must(r, proto.EndCall, userActor(user), proto.EndCallReq{CallID: *id}) }
	}
	return map[string][]repeat{
		proto.InitiateCall.Subject: {{actor: userActor("c1"), before: func() { first = r.id("call") }, req: func() any {
			return proto.InitiateCallReq{CallID: first, TargetUserID: "c2", CallType: proto.CallAudio, Offer: &proto.Sdp{Type: "offer", SDP: "v=0"}}
		}, state: state(&first), end: end("c1", &first), now: true}},
		proto.AnswerCall.Subject: {{actor: userActor("c4"), before: func() { second = r.call("c3", "c4") }, req: func() any {
			return proto.AnswerCallReq{CallID: second, Answer: anAnswer}
		}, state: state(&second), end: end("c3", &second), now: true}},
		proto.RejectCall.Subject: {{actor: userActor("c6"), before: func() { third = r.call("c5", "c6") }, req: func() any {
			return proto.RejectCallReq{CallID: third, Reason: "declined"}
		}, state: state(&third)}},
		proto.EndCall.Subject: {{actor: userActor("c7"), before: func() { fourth = r.talk("c7", "c8") }, req: func() any {
			return proto.EndCallReq{CallID: fourth}
		}, state: state(&fourth)}},
		proto.CallHistory.Subject: reads(userActor("c7"), func() any { return proto.CallHistoryReq{} }),
		proto.GetCall.Subject:     reads(backendActor, func() any { return byCall{&fourth} }),
	}
}

// byCall names a call that a case makes.
type byCall struct{ id *string }

// MarshalJSON is a GetCallReq.
func (b byCall) MarshalJSON() ([]byte, error) { return []byte(`{"callId":"` + *b.id + `"}`), nil }

func (r *repeats) mediaCases() map[string][]repeat {
	var call, away string
	hangUp := func(user string, id *string) func() {
		return func() { must(r, proto.EndCall, userActor(user), proto.EndCallReq{CallID: *id}) }
	}
	back := proto.CallSocket{UserID: "m4", DeviceID: "m4-d", SocketID: "m4-s2", Was: "m4-s"}
	return map[string][]repeat{
		proto.SendCandidate.Subject: {{actor: userActor("m1"), before: func() { call = r.talk("m1", "m2") }, req: func() any {
			return proto.IceCandidateReq{CallID: call, Candidate: proto.Raw(`{"candidate":"1"}`)}
		}, end: hangUp("m1", &call), now: true}},
		proto.Renegotiate.Subject: {{actor: userActor("m1"), before: func() { call = r.talk("m1", "m2") }, req: func() any {
			return proto.RenegotiateReq{CallID: call, Offer: &proto.Sdp{Type: "offer", SDP: "v=1"}}
		}, end: hangUp("m1", &call), now: true}},
		proto.CallIceServers.Subject: {{actor: userActor("m1"), before: func() { call = r.talk("m1", "m2") }, req: func() any {
			return proto.IceServersReq{CallID: call}
		}, end: hangUp("m1", &call), now: true}},
		// What waited for a side is in the answer again: the first may be lost.
		proto.CallSockets.Subject: {{actor: proto.Actor{Gateway: "gw"}, before: func() {
			away = r.talk("m3", "m4")
			must(r, proto.CallSockets, proto.Actor{Gateway: "gw"}, proto.CallSocketsReq{Left: []proto.CallSocketLeft{{UserID: "m4", SocketID: "m4-s", At: proto.At(time.Now())}}})
			must(r, proto.SendCandidate, userActor("m3"), proto.IceCandidateReq{CallID: away, Candidate: proto.Raw(`{"candidate":"waits"}`)})
		}, req: func() any { return proto.CallSocketsReq{Returned: []proto.CallSocket{back}} }}},
	}
}
