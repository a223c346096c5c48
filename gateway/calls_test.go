package gateway

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/gateway/auth"
	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
)

const (
	initiate = `{"callId":"c1","targetUserId":"bob","callType":"audio","offer":{"type":"offer","sdp":"v=0"}}`
	answers  = `{"callId":"c1","answer":{"type":"answer","sdp":"v=0"}}`
	offers   = `{"callId":"c1","candidate":{"candidate":"x"}}`
	again    = `{"callId":"c1","offer":{"type":"offer","sdp":"v=0"}}`
)

func (c *client) succeeds(event, data string) {
	c.t.Helper()
	g := c.ask(event, data)
	require.Equal(c.t, "true", field(c.t, g.data, "success"), "%s", g.data)
}

func (m *mesh) gone(n int) {
	m.t.Helper()
	servicestest.Eventually(m.t, patience, "the connections are gone", func() bool { return len(m.svc.hub.everyone()) == n })
}

// TestEventsOfCallsKeepTheirOrder: they are one service's, and have the
// catalogue's limits.
func TestEventsOfCallsKeepTheirOrder(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	s := runSignaling(m)
	ann := m.plain("ann", "")
	for _, e := range []proto.Row{
		proto.InitiateCall.Row, proto.AnswerCall.Row, proto.RejectCall.Row, proto.EndCall.Row,
		proto.SendCandidate.Row, proto.Renegotiate.Row, proto.CallIceServers.Row, proto.CallHistory.Row,
	} {
		require.Equal(t, "signaling", m.svc.events[e.Event].service, e.Event)
		require.Equal(t, proto.LimitRow{Limit: e.Limit.N, WindowMs: e.Limit.Per.Milliseconds()}, ann.hello.Limits[e.Event], e.Event)
	}
	require.Equal(t, proto.LimitRow{Limit: 5, WindowMs: 60000}, ann.hello.Limits["call:initiate"])
	var want []string
	for range 3 {
		for event, data := range map[string]string{"call:ice-candidate": offers, "call:renegotiate": again, "call:answer": answers} {
			ann.emit(event, data)
			want = append(want, event)
		}
	}
	for range want {
		ann.next()
	}
	s.with(func() { require.Equal(t, want, s.seen) })
}

// TestSilentFailure: what a client hears of in an ack alone.
func TestSilentFailure(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	s := runSignaling(m)
	both(t, m, func(t *testing.T, connect func(string, string) *client) {
		s.with(func() {
			s.fails["call:ice-candidate"] = proto.Errorf(proto.CallEnded, "over")
			s.fails["call:renegotiate"] = proto.Errorf(proto.CallEnded, "over")
			s.fails["call:initiate"] = &proto.Error{Code: proto.CallGlare, Message: "they call you", CallID: "theirs"}
		})
		ann := connect("ann", "")
		ann.emitOnly("call:ice-candidate", offers)
		g := ann.ask("call:ice-candidate", offers)
		require.Equal(t, proto.CallEnded, g.code(t))
		ann.emitOnly("call:renegotiate", again)
		g = ann.next()
		require.Equal(t, "error", g.event)
		var e proto.ErrorEvent
		g.into(t, &e)
		require.Equal(t, proto.ErrorEvent{Message: "over", Code: proto.CallEnded, Event: "call:renegotiate", CallID: "c1", RequestID: e.RequestID}, e)
		g = ann.ask("call:initiate", initiate)
		require.Equal(t, proto.CallGlare, g.code(t))
		require.Equal(t, `"theirs"`, field(t, g.data, "callId"))
		s.with(func() { s.fails["call:ice-candidate"] = proto.Errorf(proto.CallNotFound, "no such call") })
		ann.emitOnly("call:ice-candidate", offers)
		g = ann.next()
		require.Equal(t, "error", g.event)
		ann.quiet()
		_ = ann.conn.CloseNow()
		m.gone(0)
	})
	require.Empty(t, s.left(), "no call came of it")
}

// TestSocketsComeAndLeave: signaling hears of every socket that is live, with the
// one that it continues, and of the end of those that took part in a call.
func TestSocketsComeAndLeave(t *testing.T) {
	t.Parallel()
	for event, data := range map[string]string{
		"call:initiate": initiate, "call:answer": answers, "call:renegotiate": again, "call:ice-candidate": offers,
	} {
		m := runMesh(t)
		s := runSignaling(m)
		ann, bob := m.plain("ann", "phone"), m.socketIO("bob", "")
		all := s.heard(ann, bob)
		require.Equal(t, proto.CallSocket{UserID: "ann", DeviceID: "phone", SocketID: ann.hello.SocketID}, all[ann.hello.SocketID])
		require.Equal(t, proto.CallSocket{UserID: "bob", DeviceID: "default", SocketID: bob.hello.SocketID}, all[bob.hello.SocketID])
		s.with(func() { s.fails["call:reject"] = proto.Errorf(proto.CallNotFound, "no such call") })
		bob.ask("call:reject", `{"callId":"c1"}`)
		ann.succeeds(event, data)
		ann.succeeds("call:end", `{"callId":"c1"}`)
		before := time.Now()
		_, _ = ann.conn.CloseNow(), bob.conn.CloseNow()
		servicestest.Eventually(t, patience, "it has left", func() bool { return len(s.left()) == 1 })
		left := s.left()[ann.hello.SocketID]
		require.Equal(t, "ann", left.UserID)
		require.WithinRange(t, left.At.Time, before.Add(-time.Second), time.Now())

		s.forget()
		back := m.returning(true, "ann", "phone", ann.hello.PID)
		require.Equal(t, ann.hello.SocketID, s.heard(back)[back.hello.SocketID].Was)
		// It is a side of the call, since it is told what is for such.
		require.NoError(t, services.EmitTo(s.host, proto.RenegotiateEvent, token(t, "ann"), back.hello.SocketID, proto.CallRenegotiate{CallID: "c1"}))
		back.told("call:renegotiate")
		_ = back.conn.CloseNow()
		servicestest.Eventually(t, patience, "it has left", func() bool { return len(s.left()) == 1 })
		require.NoError(t, m.stop())
	}
}

// TestAnsweredAfterTheEnd: a socket that closes while it is answered has left,
// and signaling hears of it behind the answer.
func TestAnsweredAfterTheEnd(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	s := runSignaling(m)
	ann := m.plain("ann", "")
	s.with(func() {
		s.acting = func(string, string) {
			_ = ann.conn.CloseNow()
			servicestest.Eventually(t, patience, "it is gone", m.svc.hub.empty)
		}
	})
	ann.emit("call:initiate", initiate)
	servicestest.Eventually(t, patience, "it has left", func() bool { return len(s.left()) == 1 })
}

// TestSignalingAway: what it is to hear waits until it is there; who has closed
// meanwhile has not come.
func TestSignalingAway(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	s := runSignaling(m)
	caller := m.plain("ann", "")
	s.heard(caller)
	caller.succeeds("call:initiate", initiate)
	s.with(func() { s.down = true })
	s.forget()
	_ = caller.conn.CloseNow()
	short, stays := m.plain("bob", "1"), m.socketIO("bob", "2")
	_ = short.conn.CloseNow()
	m.gone(1)
	servicestest.Eventually(t, patience, "those who closed are forgotten", func() bool { return m.svc.asker.waiting() == 2 })
	require.NotEqual(t, services.Down, m.host.Ready(t.Context()).State)
	stays.quiet()
	s.with(func() { s.down = false })
	s.heard(stays)
	require.Contains(t, s.left(), caller.hello.SocketID)
	require.Len(t, s.left(), 1)
	servicestest.Eventually(t, patience, "nobody waits", func() bool { return m.svc.asker.waiting() == 0 })
}

// TestAskerIsBounded: of too many ends the oldest are dropped.
func TestAskerIsBounded(t *testing.T) {
	t.Parallel()
	m := runMesh(t) // without signaling
	for i := range maxLeft + 10 {
		m.svc.asker.left(&Session{id: fmt.Sprint("s", i), actor: proto.Actor{User: "ann"}}, time.Now())
	}
	m.svc.asker.mu.Lock()
	defer m.svc.asker.mu.Unlock()
	require.LessOrEqual(t, len(m.svc.asker.leave), maxLeft)
	for _, l := range m.svc.asker.leave {
		require.NotEqual(t, "s0", l.SocketID)
	}
}

// TestRefusedSocket: what is wrong with one keeps no other from being told.
func TestRefusedSocket(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	s := runSignaling(m)
	s.with(func() { s.refuse, s.down = "bad", true })
	clients := []*client{m.plain("ann", ""), m.plain("bad", "1"), m.plain("bob", ""), m.plain("bad", "2"), m.plain("cat", "")}
	s.with(func() { s.down = false })
	s.heard(clients[0], clients[2], clients[4])
	servicestest.Eventually(t, patience, "nothing waits", func() bool { return m.svc.asker.waiting() == 0 })
	s.forget()
	s.heard(m.plain("dan", ""))
}

// TestManyInOneReport: and none twice.
func TestManyInOneReport(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	s := runSignaling(m)
	s.with(func() { s.down = true })
	var clients []*client
	for i := range 40 {
		clients = append(clients, m.plain(fmt.Sprint("u", i), ""))
		clients[i].succeeds("call:initiate", initiate)
	}
	s.with(func() { s.down = false })
	s.heard(clients...)
	s.with(func() {
		require.Less(t, len(s.reqs), 20)
		n := 0
		for _, r := range s.reqs {
			n += len(r.Returned)
		}
		require.Equal(t, 40, n)
	})
	require.NoError(t, m.stop())
	require.Len(t, s.left(), 40, "all of them before the gateway has ended")
}

// TestRingsOnArrival: a device that connects while it rings is told, without an
// offset; one that has had it by the log is not told twice, whichever comes first.
func TestRingsOnArrival(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	s := runSignaling(m)
	later := time.Now().Add(time.Hour)
	both(t, m, func(t *testing.T, connect func(string, string) *client) {
		s.with(func() { s.events = nil })
		s.says("", "call:incoming", "c1", rings("c1", later, `{"candidate":"a"}`))
		s.says("", "call:ice-candidate", "c1", proto.CallCandidate{CallID: "c1", Candidate: proto.Raw(`null`)})
		ann := connect("ann", "")
		require.Equal(t, `"c1"`, field(t, ann.told("call:incoming").data, "callId"))
		require.JSONEq(t, `{"candidate":"a"}`, field(t, ann.told("call:ice-candidate").data, "candidate"))
		require.Equal(t, "null", field(t, ann.told("call:ice-candidate").data, "candidate"))
		m.ring("ann", "c1", later)
		m.ring("ann", "c2", later)
		require.Equal(t, `"c2"`, ann.stored("call:incoming"), "c1 rings already")

		// Asked again, it has had both.
		s.says("", "call:incoming", "c2", rings("c2", later))
		s.says("", "call:end", "c3", proto.CallEnd{CallID: "c3"})
		m.svc.asker.returned(m.svc.hub.sessions("ann")[0], "")
		ann.told("call:end")

		// The end of a call is the end of that.
		m.missedCall("ann", "c2")
		ann.stored("call:end")
		m.svc.asker.returned(m.svc.hub.sessions("ann")[0], "")
		require.Equal(t, `"c2"`, field(t, ann.told("call:incoming").data, "callId"))
		ann.told("call:end")
		ann.quiet()
		_ = ann.conn.CloseNow()
		m.gone(0)
	})
}

// A device that connects while it rings gets the candidates so far behind call:incoming, in
// order, and each once, whatever comes live meanwhile.
func TestCandidatesOfWhatRingsOnArrival(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	s := runSignaling(m)
	candidate := func(n int) proto.CallCandidate {
		return proto.CallCandidate{CallID: "c1", Candidate: proto.Raw(fmt.Sprintf(`{"candidate":"%d"}`, n)), FromUserID: "bob", FromDeviceID: "desk"}
	}
	live := func(n int) {
		require.NoError(t, services.Emit(m.chat.host, proto.CallCandidateEvent, token(t, "ann"), "", candidate(n)))
	}
	both(t, m, func(t *testing.T, connect func(string, string) *client) {
		s.with(func() { s.down, s.events = true, nil })
		ann := connect("ann", "")
		live(2)
		live(3)
		require.NoError(t, services.Emit(m.chat.host, proto.CallRejectEvent, token(t, "ann"), "", proto.CallReject{CallID: "other"}))
		ann.told("call:reject") // behind them: they wait
		s.says("", "call:incoming", "c1", rings("c1", time.Now().Add(time.Hour), `{"candidate":"1"}`, `{"candidate":"2"}`))
		s.with(func() { s.down = false })
		require.Equal(t, `"c1"`, field(t, ann.told("call:incoming").data, "callId"))
		for n := 1; n <= 3; n++ {
			require.JSONEq(t, fmt.Sprintf(`{"candidate":"%d"}`, n), field(t, ann.told("call:ice-candidate").data, "candidate"))
		}
		live(3) // told again by an instance that does not know that it has been
		live(4)
		require.JSONEq(t, `{"candidate":"4"}`, field(t, ann.told("call:ice-candidate").data, "candidate"))
		ann.quiet()
		_ = ann.conn.CloseNow()
		m.gone(0)
	})
}

// TestAskedAgain: after a reconnect or an overflow signaling is asked about those
// who have to do with calls, and who rings gets the candidates that may be missing.
func TestAskedAgain(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	s := runSignaling(m)
	later := time.Now().Add(time.Hour)
	caller, callee, idle := m.plain("ann", ""), m.socketIO("bob", ""), m.plain("cat", "")
	s.heard(caller, callee, idle)
	m.opened()
	caller.succeeds("call:initiate", initiate)
	m.ring("bob", "c1", later)
	callee.stored("call:incoming")
	s.says(callee.hello.SocketID, "call:incoming", "c1", rings("c1", later, `{"candidate":"a"}`, `null`))
	s.says(caller.hello.SocketID, "call:answer", "c1", proto.CallAnswer{CallID: "c1"})
	s.forget()
	m.svc.recheckOn(nil)
	all := s.heard(caller, callee)
	require.Equal(t, caller.hello.SocketID, all[caller.hello.SocketID].Was)
	caller.told("call:answer")
	g := callee.told("call:ice-candidate")
	require.JSONEq(t, `{"callId":"c1","candidate":{"candidate":"a"},"fromUserId":"bob","fromDeviceId":""}`, string(g.data))
	require.Equal(t, "null", field(t, callee.told("call:ice-candidate").data, "candidate"))
	for _, c := range []*client{caller, callee, idle} {
		c.quiet()
	}

	id, err := m.host.NATS().GetClientID()
	require.NoError(t, err)
	s.forget()
	require.NoError(t, m.nats.Server.DisconnectClientByID(id))
	s.heard(caller, callee)
}

// TestRingsLate: what rings by a read of the log may lack candidates: signaling is
// asked for them.
func TestRingsLate(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	s := runSignaling(m)
	later := time.Now().Add(time.Hour)
	ann := m.plain("ann", "")
	s.heard(ann)
	m.opened()
	s.forget()
	hear := m.deafenUser("ann")
	m.ring("ann", "c1", later)
	s.says("", "call:incoming", "c1", rings("c1", later, `{"candidate":"a"}`))
	hear()
	m.ring("ann", "c2", later)
	require.Equal(t, `"c1"`, ann.stored("call:incoming"))
	require.Equal(t, `"c2"`, ann.stored("call:incoming"))
	require.Equal(t, `"c1"`, field(t, ann.told("call:ice-candidate").data, "callId"))
	require.Equal(t, ann.hello.SocketID, s.heard(ann)[ann.hello.SocketID].Was)
	ann.quiet()
}

// TestWasIsKept: the socket that a session continues is told, whatever is asked
// about it before.
func TestWasIsKept(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	s := runSignaling(m)
	s.with(func() { s.down = true })
	ann := m.plain("ann", "")
	m.opened()
	session := m.svc.hub.sessions("ann")[0]
	for _, was := range []string{session.id, "old", session.id, ""} {
		m.svc.asker.returned(session, was)
	}
	s.with(func() { s.down = false })
	servicestest.Eventually(t, patience, "it is told", func() bool { return m.svc.asker.waiting() == 0 && len(s.returned()) == 1 })
	s.with(func() {
		found := false
		for _, r := range s.reqs {
			for _, c := range r.Returned {
				found = found || c.Was == "old"
			}
		}
		require.True(t, found)
	})
	ann.quiet()
}

// TestNotIdleInACall: who talks is not idle, and who talks no more is.
func TestNotIdleInACall(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	runSignaling(m)
	idles := func(c *client) *Session {
		s := m.svc.hub.sessions(token(t, c.hello.UserID))[0]
		s.active.Store(time.Now().Add(-time.Hour).UnixMilli())
		s.Expire()
		return s
	}
	caller, callee := m.plain("ann", ""), m.socketIO("bob", "")
	m.opened()
	caller.succeeds("call:initiate", initiate)
	callee.succeeds("call:answer", answers)
	end := func(c *client) {
		t.Helper()
		require.NoError(t, m.chat.host.PublishEphemeral(proto.UserEphemeral(token(t, c.hello.UserID)), "call:end", services.Except{}, []byte(`{"callId":"c1"}`)))
		c.told("call:end")
	}
	require.NoError(t, services.EmitTo(m.chat.host, proto.CallAnswerEvent, "ann", caller.hello.SocketID, proto.CallAnswer{CallID: "c1"}))
	caller.told("call:answer")
	for _, c := range []*client{caller, callee} {
		s := idles(c)
		require.False(t, s.left())
		require.WithinDuration(t, time.Now(), time.UnixMilli(s.active.Load()), time.Minute, "a call is activity")
		s.mu.Lock()
		s.calls.since = time.Now().Add(-2 * longestCall)
		s.mu.Unlock()
		require.False(t, s.talks(time.Now()), "not for ever")
		s.mu.Lock()
		s.calls.since = time.Now()
		s.mu.Unlock()
	}
	callee.succeeds("call:end", `{"callId":"c1"}`)
	end(caller)
	for _, c := range []*client{caller, callee} {
		require.True(t, idles(c).left())
		require.Equal(t, proto.IdleTimeout, func() proto.Code { g := c.next(); return g.code(t) }())
	}
	// To be told of a call is activity.
	cat := m.plain("cat", "")
	m.opened()
	s := m.svc.hub.sessions("cat")[0]
	s.active.Store(0)
	m.ring("cat", "c2", time.Now().Add(time.Hour))
	cat.stored("call:incoming")
	require.NotZero(t, s.active.Load())
}

// TestASideReturns: a socket that continues a side of a call is one, though nothing
// is sent to it: it is not idle, and its end is reported.
func TestASideReturns(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	s := runSignaling(m)
	s.with(func() { s.sides = map[string]proto.CallSide{"ann": {CallID: "c1", Talks: true}, "bob": {CallID: "c2"}} })
	ann, bob := m.plain("ann", ""), m.socketIO("bob", "")
	s.heard(ann, bob)
	for user, talks := range map[string]bool{"ann": true, "bob": false} {
		session := m.svc.hub.sessions(token(t, user))[0]
		servicestest.Eventually(t, patience, "it is noted", session.mayHaveMissed)
		require.Equal(t, talks, session.talks(time.Now()), user)
	}
	_, _ = ann.conn.CloseNow(), bob.conn.CloseNow()
	servicestest.Eventually(t, patience, "both have left", func() bool { return len(s.left()) == 2 })
}

// TestTheRestOfAReport: who was not dealt with since an answer was full is told of again.
func TestTheRestOfAReport(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	s := runSignaling(m)
	s.with(func() { s.down, s.most = true, 3 })
	s.says("", "call:incoming", "c1", rings("c1", time.Now().Add(time.Hour)))
	var clients []*client
	for i := range 10 {
		clients = append(clients, m.plain(fmt.Sprint("u", i), ""))
	}
	s.with(func() { s.down = false })
	s.heard(clients...)
	for _, c := range clients {
		c.told("call:incoming")
	}
	for _, c := range clients {
		c.quiet()
	}
	servicestest.Eventually(t, patience, "nobody waits", func() bool { return m.svc.asker.waiting() == 0 })
}

// TestRangIsBounded: a session remembers few calls.
func TestRangIsBounded(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	s, err := m.svc.newSession(&sink{}, "s", auth.Identity{User: "ann"})
	require.NoError(t, err)
	for i := range 100 {
		require.True(t, s.hears(&callWord{event: "call:incoming", call: fmt.Sprint(i)}))
	}
	require.Len(t, s.calls.rang, maxRang)
	require.False(t, s.hears(&callWord{event: "call:incoming", call: "99"}))
	require.Nil(t, callWordOf(&entry{event: "message:new"}, false))
	require.Empty(t, callWordOf(&entry{event: "call:end", body: []byte(strings.Repeat("[", 3))}, true).call)
}
