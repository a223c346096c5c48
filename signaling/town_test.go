package signaling

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
	"supmesh.dev/signaling/calls"
	"supmesh.dev/signaling/state"
)

// heard is one event as a gateway would get it.
type heard struct {
	user, event, except, to string
	stored                  bool
	body                    map[string]any
}

func (h *heard) text(field string) string { v, _ := h.body[field].(string); return v }

// String is what tests compare.
func (h *heard) String() string {
	out := h.user + " " + h.event
	for _, field := range []string{"status", "reason", "type"} {
		if v := h.text(field); v != "" {
			out += " " + v
		}
	}
	if h.stored {
		out += " stored"
	}
	if h.to != "" {
		out += " to " + h.to
	}
	if h.except != "" {
		out += " not " + h.except
	}
	return out
}

// town is a NATS and a Redis server with instances of the service, what presence and
// chat would say, and an ear for everything that users are told.
type town struct {
	t     testing.TB
	nats  *servicestest.NATS
	redis *servicestest.Redis
	cfg   Config
	grace time.Duration
	look  time.Duration

	noPresence func() error

	mu      sync.Mutex
	heard   map[string][]*heard // call id → events
	blocked map[string]bool     // "from to"
	strange map[string]bool     // who is related to nobody
	away    map[string]bool     // sockets that are gone; users that are offline
	sockets map[string][]proto.ReachSocket
	members map[string][]string
	calls   atomic.Int64
}

func newTown(t testing.TB) *town {
	t.Helper()
	w := &town{
		t: t, nats: servicestest.RunNATS(t), redis: servicestest.RunRedis(t), grace: proto.SignalingGrace, look: lookEvery,
		heard: map[string][]*heard{}, blocked: map[string]bool{}, strange: map[string]bool{}, away: map[string]bool{},
		sockets: map[string][]proto.ReachSocket{}, members: map[string][]string{},
	}
	w.cfg = Config{
		Config: servicestest.Config(w.nats, w.redis), Policy: CallAnyone, TURNTTL: 12 * time.Hour,
		ICEURLs: []string{"stun:stun.example.org", "turn:turn.example.org"}, TURNSecret: "secret",
	}
	w.listen()
	w.noPresence = w.presence()
	w.notify()
	return w
}

func (w *town) listen() {
	nc := w.nats.Connect()
	_, err := nc.Subscribe("live.user.>", func(m *nats.Msg) {
		event := m.Header.Get(proto.HeaderEvent)
		if event == "" {
			return
		}
		token, kind, err := proto.ParseUserSubject(m.Subject)
		if err != nil {
			return
		}
		user, _ := token.ID()
		h := &heard{user: user, event: event, except: m.Header.Get(proto.HeaderSocket), to: m.Header.Get(proto.HeaderTo), stored: kind != proto.KindEphemeral}
		_ = json.Unmarshal(m.Data, &h.body)
		call := h.text("callId")
		if data, ok := h.body["data"].(map[string]any); ok && call == "" {
			call, _ = data["callId"].(string)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.heard[call] = append(w.heard[call], h)
	})
	require.NoError(w.t, err)
	require.NoError(w.t, nc.Flush())
}

// notify does with what it is asked for what the notify service does: it stores one
// notification for each key and user. Here it stands beside what rings.
func (w *town) notify() {
	host := servicestest.NewHost(w.t, "notify", w.nats, nil)
	host.Work(proto.NotifyRequests, func(ctx context.Context, body []byte) error {
		var req proto.NotifyReq
		if err := json.Unmarshal(body, &req); err != nil {
			return err
		}
		if err := req.Validate(); err != nil {
			w.t.Errorf("request of a notification: %v", err)
			return services.ErrMalformed
		}
		for _, id := range req.UserIDs {
			user, err := proto.EncodeID(id)
			if err != nil {
				return err
			}
			note, err := json.Marshal(map[string]any{"type": req.Type, "data": req.Data})
			if err != nil {
				return err
			}
			msg := &nats.Msg{Subject: proto.UserRing(user), Header: nats.Header{proto.HeaderEvent: {proto.NotificationEvent.Name}}, Data: note}
			if _, err := host.JetStream().PublishMsg(ctx, msg, jetstream.WithMsgID(req.Key+" "+id)); err != nil {
				return err
			}
		}
		return nil
	})
	servicestest.Run(w.t, host, servicestest.Service{})
}

// presence and chat answer as the test wants.
func (w *town) presence() (stop func() error) {
	host := servicestest.NewHost(w.t, "presence", w.nats, nil)
	host.Serve(services.On(proto.ReachUsers, func(_ context.Context, req proto.ReachReq) (res proto.ReachRes, err error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, id := range req.UserIDs {
			r := proto.Reach{UserID: id, Reachable: !w.away[id], Blocked: w.blocked[req.From+" "+id], Related: !w.strange[id], Sockets: []proto.ReachSocket{}}
			if all, known := w.sockets[id]; known {
				r.Sockets = all
			} else {
				for _, n := range []string{"1", "2", "3"} {
					r.Sockets = append(r.Sockets, proto.ReachSocket{SocketID: id + "-s" + n, DeviceID: id + "-d" + n, State: proto.SessionConnected})
				}
			}
			res.Users = append(res.Users, r)
		}
		return res, nil
	}, services.Unordered()), services.On(proto.MembersAmong, func(_ context.Context, req proto.AmongReq) (res proto.AmongRes, err error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		return proto.AmongRes{Members: w.members[req.ChatID]}, nil
	}))
	return servicestest.Run(w.t, host, servicestest.Service{})
}

// tell changes what presence and chat say.
func (w *town) tell(fn func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fn()
}

func (w *town) instance(change ...func(*Service)) *Service {
	w.t.Helper()
	s, _ := w.stoppable(change...)
	return s
}

func (w *town) stoppable(change ...func(*Service)) (*Service, func() error) {
	w.t.Helper()
	return w.hosted(services.WithoutListener(), change...)
}

// hosted is an instance on a host with an option.
func (w *town) hosted(opt services.Option, change ...func(*Service)) (*Service, func() error) {
	w.t.Helper()
	host := servicestest.NewHostWith(w.t, "signaling", w.cfg.Config, services.WithLogger(quiet(w.t)), opt)
	s, err := New(w.cfg, host)
	require.NoError(w.t, err)
	s.grace, s.lookEvery = w.grace, w.look
	for _, fn := range change {
		fn(s)
	}
	stop := servicestest.Run(w.t, host, s)
	servicestest.Eventually(w.t, 10*time.Second, "the timers are there", func() bool {
		stream, err := host.JetStream().Stream(context.Background(), proto.Work.Name)
		if err != nil {
			return false
		}
		_, err = stream.Consumer(context.Background(), proto.CallTimers.Name)
		return err == nil
	})
	return s, stop
}

// rings makes calls ring for so long.
func rings(d time.Duration) func(*Service) { return func(s *Service) { s.maxRing = d } }

// newCall is the id of a call that nobody has made.
func (w *town) newCall() string { return fmt.Sprintf("call-%d", w.calls.Add(1)) }

// told is everything that was told of a call, in order.
func (w *town) told(call string) (out []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, h := range w.heard[call] {
		out = append(out, h.String())
	}
	return out
}

// events are those of one kind.
func (w *town) events(call, prefix string) (out []*heard) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, h := range w.heard[call] {
		if strings.HasPrefix(h.String(), prefix) {
			out = append(out, h)
		}
	}
	return out
}

// eventually waits until exactly these events of a call were published. An event that is not
// stored may come again: an instance that is slow to note it publishes it once more.
func (w *town) eventually(call string, want ...string) {
	w.t.Helper()
	published := func() []string {
		seen := map[string]bool{}
		return slices.DeleteFunc(w.told(call), func(event string) bool {
			again := seen[event] && !strings.HasSuffix(event, " stored")
			seen[event] = true
			return again
		})
	}
	deadline := time.Now().Add(30 * time.Second)
	for len(published()) < len(want) && time.Now().Before(deadline) {
		_ = pause(context.Background(), 5*time.Millisecond)
	}
	require.ElementsMatch(w.t, want, published())
}

// forget drops what was told of a call.
func (w *town) forget(call string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.heard, call)
}

// log is every entry of a call, oldest first.
func (w *town) log(s *Service, call string) (out []proto.CallStatus) {
	w.t.Helper()
	token, err := proto.EncodeID(call)
	require.NoError(w.t, err)
	for _, m := range w.entries(s, proto.CallLog(token)) {
		var rec struct {
			Status proto.CallStatus `json:"status"`
		}
		require.NoError(w.t, json.Unmarshal(m.Data, &rec))
		out = append(out, rec.Status)
	}
	return out
}

// entries reads what the log has under a subject.
func (w *town) entries(s *Service, subject string) (out []*jetstream.RawStreamMsg) {
	w.t.Helper()
	stream, err := s.host.JetStream().Stream(w.t.Context(), proto.Events.Name)
	require.NoError(w.t, err)
	for seq := uint64(1); ; {
		m, err := stream.GetMsg(w.t.Context(), seq, jetstream.WithGetMsgSubject(subject))
		if err != nil {
			return out
		}
		out = append(out, m)
		seq = m.Sequence + 1
	}
}

func (w *town) flush() {
	w.t.Helper()
	require.NoError(w.t, w.redis.Client().FlushAll(context.Background()).Err())
}

// phone is one device of a user.
type phone struct {
	user, device, socket string
}

// device is the nth device of a user, on its first socket.
func device(user string, n int) phone {
	return phone{user, fmt.Sprintf("%s-d%d", user, n), fmt.Sprintf("%s-s%d", user, n)}
}

func (p phone) actor() state.Actor {
	return state.Actor{User: p.user, Device: p.device, Socket: p.socket}
}

func (p phone) ctx(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), proto.RequestTimeout)
	t.Cleanup(cancel)
	return services.WithCall(ctx, &services.Call{Actor: p.caller(), RequestID: services.NewRequestID()})
}

func (p phone) caller() proto.Actor {
	return proto.Actor{User: p.user, Device: p.device, Socket: p.socket, Name: strings.ToUpper(p.user), Gateway: "g1"}
}

var (
	anOffer  = proto.Sdp{Type: "offer", SDP: "v=0 offer"}
	anAnswer = proto.Sdp{Type: "answer", SDP: "v=0 answer"}
)

func (s *Service) callsOne(t testing.TB, p phone, call, target string) (proto.InitiateCallRes, error) {
	return s.initiate(p.ctx(t), initiating(call, target))
}

func initiating(call string, targets ...string) proto.InitiateCallReq {
	req := proto.InitiateCallReq{CallID: call, CallType: proto.CallVideo}
	if len(targets) == 1 {
		req.TargetUserID, req.Offer = targets[0], new(anOffer)
		return req
	}
	req.TargetUserIDs, req.Offers = targets, proto.OfferTable{}
	for _, id := range targets {
		req.Offers[id] = anOffer
	}
	return req
}

func (s *Service) mustCall(t testing.TB, p phone, call string, targets ...string) proto.InitiateCallRes {
	t.Helper()
	req := initiating(call, targets...)
	require.NoError(t, req.Validate())
	res, err := servicestest.Call(s.initiate, p.caller(), req)
	require.NoError(t, err)
	return res
}

func (s *Service) answers(t testing.TB, p phone, call string) (proto.AnswerCallRes, error) {
	return s.answer(p.ctx(t), proto.AnswerCallReq{CallID: call, Answer: anAnswer})
}

func (s *Service) mustAnswer(t testing.TB, p phone, call string) proto.AnswerCallRes {
	t.Helper()
	res, err := servicestest.Call(s.answer, p.caller(), proto.AnswerCallReq{CallID: call, Answer: anAnswer})
	require.NoError(t, err)
	return res
}

func (s *Service) rejects(t testing.TB, p phone, call string) (proto.RejectCallRes, error) {
	return s.reject(p.ctx(t), proto.RejectCallReq{CallID: call, Reason: "declined"})
}

func (s *Service) ends(t testing.TB, p phone, call string) (proto.EndCallRes, error) {
	return s.end(p.ctx(t), proto.EndCallReq{CallID: call})
}

func (s *Service) mustEnd(t testing.TB, p phone, call string) proto.EndCallRes {
	t.Helper()
	res, err := servicestest.Call(s.end, p.caller(), proto.EndCallReq{CallID: call})
	require.NoError(t, err)
	return res
}

func (s *Service) sends(t testing.TB, p phone, call, candidate string) error {
	_, err := s.candidate(p.ctx(t), proto.IceCandidateReq{CallID: call, Candidate: proto.Raw(candidate)})
	return err
}

// state is the call as backends see it.
func (s *Service) state(t testing.TB, call string) proto.CallState {
	t.Helper()
	res, err := servicestest.Call(s.get, proto.Actor{Backend: true}, proto.GetCallReq{CallID: call})
	require.NoError(t, err)
	return res
}

func requireFailure(t testing.TB, code proto.Code, err error) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, code, proto.AsError(err).Code, "%v", err)
}

func slotAt(call string, since int64) calls.Slot {
	return calls.Slot{CallID: call, Since: since, From: "ghost", To: []string{"bob"}}
}
