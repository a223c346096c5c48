package gateway

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
	"supmesh.dev/services/wire"
)

// signalService answers what the gateway asks of signaling, on a real NATS, and
// lets a test decide what calls there are.
type signalService struct {
	t    testing.TB
	host *services.Host

	mu     sync.Mutex
	down   bool
	refuse string // no report on this user is taken
	reqs   []proto.CallSocketsReq
	events []proto.SocketEvent            // for the sockets that have come
	sides  map[string]proto.CallSide      // user → the call that each of their sockets is a side of
	most   int                            // sockets of one answer; 0: any
	fails  map[string]*proto.Error        // by client event
	acting func(event string, req string) // not nil: called before an event is answered
	seen   []string                       // events, as they came
}

func runSignaling(m *mesh) *signalService {
	m.t.Helper()
	s := &signalService{t: m.t, fails: map[string]*proto.Error{}}
	s.host = servicestest.NewHost(m.t, "signaling", m.nats, m.redis)
	call := func(event, id string) (proto.CallRes, error) { return proto.CallRes{CallID: id}, s.act(event, id) }
	s.host.Serve(
		services.On(proto.InitiateCall, func(_ context.Context, r proto.InitiateCallReq) (proto.InitiateCallRes, error) {
			return proto.InitiateCallRes{CallID: r.CallID, Status: proto.CallRinging, IceServers: []proto.IceServer{}}, s.act("call:initiate", r.CallID)
		}),
		services.On(proto.AnswerCall, func(_ context.Context, r proto.AnswerCallReq) (proto.AnswerCallRes, error) {
			return proto.AnswerCallRes{CallID: r.CallID, Status: proto.CallAnswered}, s.act("call:answer", r.CallID)
		}),
		services.On(proto.RejectCall, func(_ context.Context, r proto.RejectCallReq) (proto.RejectCallRes, error) {
			return proto.RejectCallRes{CallID: r.CallID, Status: proto.CallRejected}, s.act("call:reject", r.CallID)
		}),
		services.On(proto.EndCall, func(_ context.Context, r proto.EndCallReq) (proto.EndCallRes, error) {
			return proto.EndCallRes{CallID: r.CallID, Status: proto.CallOver}, s.act("call:end", r.CallID)
		}),
		services.On(proto.SendCandidate, func(_ context.Context, r proto.IceCandidateReq) (proto.CallRes, error) {
			return call("call:ice-candidate", r.CallID)
		}),
		services.On(proto.Renegotiate, func(_ context.Context, r proto.RenegotiateReq) (proto.CallRes, error) {
			return call("call:renegotiate", r.CallID)
		}),
		services.On(proto.CallSockets, s.sockets),
	)
	servicestest.Run(m.t, s.host, servicestest.Service{})
	return s
}

func (s *signalService) act(event, call string) error {
	s.mu.Lock()
	s.seen = append(s.seen, event)
	err, acting := s.fails[event], s.acting
	s.mu.Unlock()
	if acting != nil {
		acting(event, call)
	}
	if err != nil {
		return err
	}
	return nil
}

func (s *signalService) sockets(_ context.Context, req proto.CallSocketsReq) (proto.CallSocketsRes, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return proto.CallSocketsRes{}, errDown
	}
	res := proto.CallSocketsRes{Events: []proto.SocketEvent{}}
	for i, r := range req.Returned {
		if r.UserID == s.refuse {
			return res, proto.Errorf(proto.InvalidPayload, "that one")
		}
		if s.most != 0 && i == s.most {
			res.Rest = len(req.Returned) - i
			req.Returned = req.Returned[:i]
			break
		}
		if side, ok := s.sides[r.UserID]; ok {
			side.SocketID = r.SocketID
			res.Sides = append(res.Sides, side)
		}
		for _, ev := range s.events {
			if ev.SocketID == "" || ev.SocketID == r.SocketID {
				ev.SocketID = r.SocketID
				res.Events = append(res.Events, ev)
			}
		}
	}
	s.reqs = append(s.reqs, req)
	return res, nil
}

func (s *signalService) with(fn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fn()
}

// returned and left are what has been told so far, by socket.
func (s *signalService) returned() map[string]proto.CallSocket {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]proto.CallSocket{}
	for _, r := range s.reqs {
		for _, c := range r.Returned {
			all[c.SocketID] = c
		}
	}
	return all
}

func (s *signalService) left() map[string]proto.CallSocketLeft {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]proto.CallSocketLeft{}
	for _, r := range s.reqs {
		for _, c := range r.Left {
			all[c.SocketID] = c
		}
	}
	return all
}

// heard waits until it has been told of these sockets, and of no others since
// the last look.
func (s *signalService) heard(clients ...*client) map[string]proto.CallSocket {
	s.t.Helper()
	servicestest.Eventually(s.t, patience, "signaling has heard of the sockets", func() bool { return len(s.returned()) == len(clients) })
	all := s.returned()
	for _, c := range clients {
		require.Contains(s.t, all, c.hello.SocketID)
	}
	return all
}

func (s *signalService) forget() { s.with(func() { s.reqs = nil }) }

// rings is a call:incoming.
func rings(call string, expires time.Time, candidates ...string) proto.IncomingCall {
	in := proto.IncomingCall{
		CallID: call, CallerID: "bob", CallerName: "Bob", CallType: proto.CallAudio, Offer: proto.Sdp{Type: "offer", SDP: "v=0"},
		Status: proto.CallIncoming, CreatedAt: proto.At(time.Now()), ExpiresAt: proto.At(expires), IceServers: []proto.IceServer{},
	}
	for _, c := range candidates {
		in.Candidates = append(in.Candidates, proto.Raw(c))
	}
	return in
}

func (s *signalService) body(v any) []byte {
	s.t.Helper()
	body, err := wire.Marshal(v)
	require.NoError(s.t, err)
	return body
}

// says is an event for whoever comes, or for one socket.
func (s *signalService) says(socket, event, call string, payload any) {
	s.t.Helper()
	body := s.body(payload)
	s.with(func() {
		s.events = append(s.events, proto.SocketEvent{SocketID: socket, CallID: call, Event: event, Data: body})
	})
}

// ring stores a call:incoming.
func (m *mesh) ring(user, call string, expires time.Time) uint64 {
	m.t.Helper()
	body, err := wire.Marshal(rings(call, expires))
	require.NoError(m.t, err)
	return m.chat.publish(proto.UserRing(token(m.t, user)), proto.IncomingCallEvent.Name, 0, "", body)
}

// missed stores a call:end.
func (m *mesh) missedCall(user, call string) uint64 {
	m.t.Helper()
	body, err := wire.Marshal(proto.CallEnd{CallID: call, CallerID: "bob", CallType: proto.CallAudio, Status: proto.CallMissed, Reason: proto.EndNoAnswer, EndedAt: proto.At(time.Now())})
	require.NoError(m.t, err)
	return m.chat.publish(proto.UserRing(token(m.t, user)), proto.CallEndEvent.Name, 0, "", body)
}

// stored is the next frame, an event with an offset; it gives its call or id.
func (c *client) stored(event string) string {
	c.t.Helper()
	g := c.next()
	require.Equal(c.t, event, g.event, "%s", g.data)
	require.Len(c.t, g.offset, 22)
	name := "callId"
	if !isCall(event) {
		name = "id"
	}
	return field(c.t, g.data, name)
}

// told is the next frame, an event without an offset.
func (c *client) told(event string) got {
	c.t.Helper()
	g := c.next()
	require.Equal(c.t, event, g.event, "%s", g.data)
	require.Empty(c.t, g.offset)
	return g
}

func isCall(event string) bool { return len(event) > 5 && event[:5] == "call:" }
