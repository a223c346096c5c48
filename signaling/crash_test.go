package signaling

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

var errDead = errors.New("this instance is dead")

// mortal is an instance that dies before a step of its next move: from then on it
// does nothing more.
type mortal struct {
	mu   sync.Mutex
	at   string
	dead bool
	died chan struct{}
}

func newMortal() *mortal { return &mortal{died: make(chan struct{})} }

func (m *mortal) step(step string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return errDead
	}
	if step == m.at {
		m.dead = true
		close(m.died)
		return errDead
	}
	return nil
}

// arm says where it dies.
func (m *mortal) arm(step string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at = step
}

// scene is one move that an instance dies over.
type scene struct {
	name string
	// before is what has happened by then, act the move, again what a client repeats
	// where it has got no ack.
	before func(t *testing.T, s *Service, call string)
	act    func(t *testing.T, s *Service, call string) error
	// ring and grace are for moves that the clock makes.
	ring, grace time.Duration
	clock       bool
	told        []string // once each that is stored, once or twice that is not
	status      proto.CallStatus
	free        []string // who is in no call then
	busy        []string
}

func scenes() []scene {
	ann, bob := device("ann", 1), device("bob", 1)
	call := func(t *testing.T, s *Service, call string) { s.mustCall(t, ann, call, "bob") }
	answered := func(t *testing.T, s *Service, id string) { call(t, s, id); s.mustAnswer(t, bob, id) }
	missed := []string{"bob call:incoming incoming stored", "bob notification:new call_missed stored"}
	return []scene{
		{
			name: "initiate", before: func(*testing.T, *Service, string) {},
			act: func(t *testing.T, s *Service, call string) error {
				_, err := s.callsOne(t, ann, call, "bob")
				return err
			},
			told: []string{"bob call:incoming incoming stored"}, status: proto.CallRinging, busy: []string{"ann", "bob"},
		},
		{
			name: "answer", before: call,
			act:    func(t *testing.T, s *Service, call string) error { _, err := s.answers(t, bob, call); return err },
			told:   []string{"bob call:incoming incoming stored", "ann call:answer answered to ann-s1", "bob call:end ended answered_elsewhere not bob-s1"},
			status: proto.CallAnswered, busy: []string{"ann", "bob"},
		},
		{
			name: "reject", before: call,
			act:    func(t *testing.T, s *Service, call string) error { _, err := s.rejects(t, bob, call); return err },
			told:   []string{"bob call:incoming incoming stored", "ann call:reject rejected declined", "bob call:end ended rejected_elsewhere not bob-s1"},
			status: proto.CallRejected, free: []string{"ann", "bob"},
		},
		{
			name: "cancel", before: call,
			act:    func(t *testing.T, s *Service, call string) error { _, err := s.ends(t, ann, call); return err },
			told:   append(slices.Clone(missed), "bob call:end missed cancelled stored", "ann call:end missed cancelled not ann-s1"),
			status: proto.CallMissed, free: []string{"ann", "bob"},
		},
		{
			name: "hang up", before: answered,
			act: func(t *testing.T, s *Service, call string) error { _, err := s.ends(t, bob, call); return err },
			told: []string{
				"bob call:incoming incoming stored", "ann call:answer answered to ann-s1", "bob call:end ended answered_elsewhere not bob-s1",
				"ann call:end ended hangup", "bob call:end ended hangup not bob-s1",
			},
			status: proto.CallOver, free: []string{"ann", "bob"},
		},
		{
			name: "ring end", before: call, clock: true, ring: 300 * time.Millisecond,
			told:   append(slices.Clone(missed), "bob call:end missed no_answer stored", "ann call:end missed no_answer"),
			status: proto.CallMissed, free: []string{"ann", "bob"},
		},
		{
			name: "grace end", clock: true, grace: 300 * time.Millisecond,
			before: func(t *testing.T, s *Service, id string) {
				call(t, s, id)
				_, err := s.sockets(context.Background(), proto.CallSocketsReq{Left: []proto.CallSocketLeft{{UserID: "ann", SocketID: "ann-s1", At: proto.At(time.Now())}}})
				require.NoError(t, err)
			},
			told:   append(slices.Clone(missed), "bob call:end missed disconnected stored", "ann call:end missed disconnected"),
			status: proto.CallMissed, free: []string{"ann", "bob"},
		},
	}
}

func TestInstancesDieAtEachStep(t *testing.T) {
	t.Parallel()
	for _, sc := range scenes() {
		for _, step := range steps {
			t.Run(sc.name+" before "+step, func(t *testing.T) { t.Parallel(); dies(t, &sc, step) })
		}
	}
}

func dies(t *testing.T, sc *scene, step string) {
	w := newTown(t)
	if sc.grace != 0 {
		w.grace = sc.grace
		w.tell(func() { w.sockets["ann"] = []proto.ReachSocket{} })
	}
	ring := 30 * time.Second
	if sc.ring != 0 {
		ring = sc.ring
	}
	m := newMortal()
	first, stop := w.stoppable(rings(ring), func(s *Service) { s.at = m.step })
	var second *Service
	if !sc.clock {
		second = w.instance(rings(ring))
	}
	sc.before(t, first, "c1")
	m.arm(step)
	if sc.clock {
		select {
		case <-m.died:
		case <-time.After(30 * time.Second):
			t.Fatal("it has not died")
		}
	} else {
		require.ErrorIs(t, sc.act(t, first, "c1"), errDead)
	}
	require.NoError(t, stop())
	if sc.clock {
		second = w.instance(rings(ring))
	} else if step == stepTimer || step == stepAppend { // nothing is so: the client asks again
		require.NoError(t, sc.act(t, second, "c1"))
	}
	servicestest.Eventually(t, 30*time.Second, "all is told", func() bool {
		told := w.told("c1")
		return !slices.ContainsFunc(sc.told, func(want string) bool { return !slices.Contains(told, want) })
	})
	if !sc.clock { // a client that has got no ack asks again, and gets it
		require.NoError(t, sc.act(t, second, "c1"))
	}
	servicestest.Eventually(t, 30*time.Second, "slots are as they should be", func() bool {
		for _, user := range append(slices.Clone(sc.free), sc.busy...) {
			token, err := proto.EncodeID(user)
			require.NoError(t, err)
			slots, err := second.calls.Slots(t.Context(), token)
			if err != nil || (slots[0].CallID == "c1") != slices.Contains(sc.busy, user) {
				return false
			}
		}
		return true
	})
	require.NoError(t, pause(t.Context(), secondLook+200*time.Millisecond)) // for looks that should find nothing to do
	require.Equal(t, sc.status, second.state(t, "c1").Status)
	counts := map[string]int{}
	for _, what := range w.told("c1") {
		counts[what]++
	}
	for what, n := range counts {
		require.Contains(t, sc.told, what)
		stored := slices.ContainsFunc(w.events("c1", what), func(h *heard) bool { return h.stored })
		if stored {
			require.Equal(t, 1, n, what)
		}
		// A busy machine repeats the effects until they are marked as done.
		require.LessOrEqual(t, n, 10, what)
	}
	final := 0
	for _, status := range w.log(second, "c1") {
		if status != proto.CallRinging && status != proto.CallAnswered {
			final++
		}
	}
	require.LessOrEqual(t, final, 1)
}
