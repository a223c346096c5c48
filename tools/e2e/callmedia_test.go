package e2e

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/tools/e2e/mesh"
	"supmesh.dev/tools/sup/embedded"
)

const turnSecret = "end-to-end-turn-secret"

// relay is a TURN server of the test's own; stop ends it with its allocations.
type relay struct {
	urls []string
	port int
	stop func()
}

func startRelay(t *testing.T, port int) *relay {
	t.Helper()
	server, err := embedded.ListenTURN(t.Context(), port, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, turnSecret) }()
	r := &relay{urls: server.URLs(), port: server.Port()}
	r.stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	t.Cleanup(r.stop)
	return r
}

// side is one end of a call: a signaling client and the media behind it. It acts in the test's own goroutine, by step.
type side struct {
	c     mesh.Client
	call  string
	pc    *webrtc.PeerConnection
	track *webrtc.TrackLocalStaticRTP
	data  *webrtc.DataChannel

	mu    sync.Mutex
	mine  []json.RawMessage // candidates to send; null ends them
	early []webrtc.ICECandidateInit
	said  []string // what came over the data channel
	open  atomic.Bool
	state atomic.Int32
	media atomic.Int64 // RTP packets that came
	seen  int          // events that were handled
	seq   uint16
}

func newSide(t *testing.T, c mesh.Client) *side {
	t.Helper()
	var engine webrtc.SettingEngine
	engine.SetIncludeLoopbackCandidate(true)
	engine.SetRelayAcceptanceMinWait(0)
	engine.SetICETimeouts(seconds, 3*seconds, 300*time.Millisecond)
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(engine)).NewPeerConnection(webrtc.Configuration{ICETransportPolicy: webrtc.ICETransportPolicyRelay})
	require.NoError(t, err)
	s := &side{c: c, pc: pc}
	t.Cleanup(func() { _ = pc.GracefulClose() })
	s.track, err = webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}, "audio", "talk")
	require.NoError(t, err)
	_, err = pc.AddTrack(s.track)
	require.NoError(t, err)
	pc.OnICECandidate(func(candidate *webrtc.ICECandidate) {
		raw := json.RawMessage("null")
		if candidate != nil {
			raw, _ = json.Marshal(candidate.ToJSON()) // a struct of strings and numbers
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.mine = append(s.mine, raw)
	})
	pc.OnICEConnectionStateChange(func(state webrtc.ICEConnectionState) { s.state.Store(int32(state)) })
	pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for {
			if _, _, err := track.ReadRTP(); err != nil {
				return
			}
			s.media.Add(1)
		}
	})
	pc.OnDataChannel(s.take)
	return s
}

func (s *side) take(data *webrtc.DataChannel) {
	s.mu.Lock()
	s.data = data
	s.mu.Unlock()
	data.OnOpen(func() { s.open.Store(true) })
	data.OnMessage(func(m webrtc.DataChannelMessage) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.said = append(s.said, string(m.Data))
	})
}

func (s *side) heard(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.said) > 0 && s.said[len(s.said)-1] == text
}

func (s *side) servers(t *testing.T, servers []proto.IceServer) {
	t.Helper()
	config := webrtc.Configuration{ICETransportPolicy: webrtc.ICETransportPolicyRelay}
	for _, server := range servers {
		config.ICEServers = append(config.ICEServers, webrtc.ICEServer{URLs: server.URLs, Username: server.Username, Credential: server.Credential})
	}
	require.NoError(t, s.pc.SetConfiguration(config))
}

func (s *side) remote(t *testing.T, kind webrtc.SDPType, sdp string) {
	t.Helper()
	require.NoError(t, s.pc.SetRemoteDescription(webrtc.SessionDescription{Type: kind, SDP: sdp}))
	for _, candidate := range s.early {
		require.NoError(t, s.pc.AddICECandidate(candidate))
	}
	s.early = nil
}

// answer makes this side's answer to what was offered.
func (s *side) answer(t *testing.T) map[string]any {
	t.Helper()
	answer, err := s.pc.CreateAnswer(nil)
	require.NoError(t, err)
	require.NoError(t, s.pc.SetLocalDescription(answer))
	return map[string]any{"type": "answer", "sdp": answer.SDP}
}

// step does what has come meanwhile, sends the candidates made meanwhile, and a packet of sound.
func (s *side) step(t *testing.T) {
	t.Helper()
	events := s.c.Events("")
	for _, e := range events[s.seen:] {
		s.seen++
		var about struct{ CallID string }
		if e.Decode(t, &about); about.CallID == s.call && s.call != "" {
			s.handle(t, e)
		}
	}
	s.mu.Lock()
	mine := s.mine
	s.mine = nil
	s.mu.Unlock()
	for _, raw := range mine {
		s.c.EmitAsync(t, "call:ice-candidate", map[string]any{"callId": s.call, "candidate": raw})
	}
	s.seq++
	_ = s.track.WriteRTP(&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: s.seq, Timestamp: uint32(s.seq) * 960}, Payload: []byte("sound")}) // lost, while there is no way
}

func (s *side) handle(t *testing.T, e mesh.Received) {
	t.Helper()
	switch e.Event {
	case "call:answer":
		var a proto.CallAnswer
		e.Decode(t, &a)
		s.remote(t, webrtc.SDPTypeAnswer, a.Answer.SDP)
	case "call:ice-candidate":
		var c proto.CallCandidate
		e.Decode(t, &c)
		var candidate webrtc.ICECandidateInit
		decode(t, c.Candidate, &candidate)
		if s.pc.RemoteDescription() == nil {
			s.early = append(s.early, candidate)
			return
		}
		require.NoError(t, s.pc.AddICECandidate(candidate))
	case "call:renegotiate":
		var r proto.CallRenegotiate
		e.Decode(t, &r)
		if r.Answer != nil {
			s.remote(t, webrtc.SDPTypeAnswer, r.Answer.SDP)
			return
		}
		fresh := answer[proto.IceServersRes](t, s.c.Emit(t, "call:ice-servers", map[string]any{"callId": s.call}))
		s.servers(t, fresh.IceServers)
		s.remote(t, webrtc.SDPTypeOffer, r.Offer.SDP)
		require.True(t, s.c.Emit(t, "call:renegotiate", map[string]any{"callId": s.call, "answer": s.answer(t)}).Success)
	}
}

// way is the two ends that the media go between.
func (s *side) way(t *testing.T) *webrtc.ICECandidatePair {
	t.Helper()
	pair, err := s.pc.SCTP().Transport().ICETransport().GetSelectedCandidatePair()
	require.NoError(t, err)
	return pair
}

// Two peers of pion, through the signaling of the mesh and a TURN server that takes its credentials: a data channel and sound go both
// ways, by the relay alone. Then the relay dies with all it has, another comes, and an ICE restart within the call finds it.
func TestMediaByTheRelay(t *testing.T) {
	t.Parallel()
	turn := startRelay(t, 0)
	p := newPhones(t, mesh.Options{Gateways: 2, Env: map[string]string{"ICE_URLS": strings.Join(turn.urls, ","), "TURN_SECRET": turnSecret}})
	ann, bob := newSide(t, p.stock(t, 0, "ann", "")), newSide(t, p.plain(t, 1, "bob", ""))
	until := func(reason string, done func() bool) {
		t.Helper()
		mesh.Eventually(t, 20*seconds, reason, func() bool {
			ann.step(t)
			bob.step(t)
			return done()
		})
	}

	data, err := ann.pc.CreateDataChannel("talk", nil)
	require.NoError(t, err)
	ann.take(data)
	offer, err := ann.pc.CreateOffer(nil)
	require.NoError(t, err)
	call, res := ring(t, ann.c, "bob", map[string]any{"offer": map[string]any{"type": "offer", "sdp": offer.SDP}})
	ann.call, bob.call = call, call
	ann.servers(t, res.IceServers)
	require.NoError(t, ann.pc.SetLocalDescription(offer))

	in := hears[proto.IncomingCall](t, bob.c, "call:incoming", call, 1)
	bob.servers(t, in.IceServers)
	bob.remote(t, webrtc.SDPTypeOffer, in.Offer.SDP)
	require.True(t, bob.c.Emit(t, "call:answer", map[string]any{"callId": call, "answer": bob.answer(t)}).Success)
	flows := func(text string) {
		t.Helper()
		a, b := ann.media.Load(), bob.media.Load()
		require.NoError(t, ann.data.SendText("ann "+text))
		require.NoError(t, bob.data.SendText("bob "+text))
		until("data and sound both ways: "+text, func() bool {
			return bob.heard("ann "+text) && ann.heard("bob "+text) && ann.media.Load() >= a+20 && bob.media.Load() >= b+20
		})
		for _, s := range []*side{ann, bob} {
			way := s.way(t)
			require.Equal(t, webrtc.ICECandidateTypeRelay, way.Local.Typ)
			require.Equal(t, webrtc.ICECandidateTypeRelay, way.Remote.Typ)
		}
	}
	until("the data channel is open", func() bool { return ann.open.Load() && bob.open.Load() })
	flows("at first")
	before := ann.way(t).Local.Port

	turn.stop()
	until("the way is lost", func() bool {
		return webrtc.ICEConnectionState(ann.state.Load()) != webrtc.ICEConnectionStateConnected && webrtc.ICEConnectionState(bob.state.Load()) != webrtc.ICEConnectionStateConnected
	})
	startRelay(t, turn.port)
	fresh := answer[proto.IceServersRes](t, ann.c.Emit(t, "call:ice-servers", map[string]any{"callId": call}))
	ann.servers(t, fresh.IceServers)
	offer, err = ann.pc.CreateOffer(&webrtc.OfferOptions{ICERestart: true})
	require.NoError(t, err)
	require.NoError(t, ann.pc.SetLocalDescription(offer))
	require.True(t, ann.c.Emit(t, "call:renegotiate", map[string]any{"callId": call, "offer": map[string]any{"type": "offer", "sdp": offer.SDP}}).Success)
	until("there is a way again", func() bool {
		return webrtc.ICEConnectionState(ann.state.Load()) == webrtc.ICEConnectionStateConnected && webrtc.ICEConnectionState(bob.state.Load()) == webrtc.ICEConnectionStateConnected
	})
	flows("and again")
	require.NotEqual(t, before, ann.way(t).Local.Port, "by another relayed address")

	require.True(t, bob.c.Emit(t, "call:end", map[string]any{"callId": call}).Success)
	require.Equal(t, proto.EndHangup, hears[proto.CallEnd](t, ann.c, "call:end", call, 1).Reason)
}
