package signaling

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
	"supmesh.dev/services/servicestest/long"
	"supmesh.dev/signaling/state"
)

// fate is what becomes of one random call at the hands of devices that act at once.
type fate struct {
	town   *town
	random *rand.Rand
	pair   []*Service
	call   string
	users  []string

	mu   sync.Mutex
	wins map[string]map[string]bool // user → devices that were told they have the call
	lost bool                       // a socket has left
}

// run makes the call and lets it go its way. A call that cannot begin is none.
func (f *fate) run(t *testing.T) (begun bool) {
	caller := device(f.users[0], 1)
	offers := proto.OfferTable{}
	for _, id := range f.users[1:] {
		offers[id] = anOffer
	}
	req := proto.InitiateCallReq{CallID: f.call, TargetUserIDs: f.users[1:], CallType: proto.CallAudio, Offers: offers}
	for try := range 3 {
		_, err := f.one(try).initiate(caller.ctx(t), req)
		if err == nil {
			begun = true
			break
		}
	}
	if !begun {
		return false
	}
	for range 1 + f.random.IntN(4) {
		var acts []func()
		for range 1 + f.random.IntN(3) {
			acts = append(acts, f.act(t))
		}
		atOnce(acts...)
		_ = pause(t.Context(), time.Duration(f.random.IntN(40))*time.Millisecond)
	}
	return true
}

func (f *fate) one(n int) *Service { return f.pair[n%len(f.pair)] }

// act is one random act, which is repeated if it got no ack.
func (f *fate) act(t *testing.T) func() {
	who := device(f.users[f.random.IntN(len(f.users))], 1+f.random.IntN(2))
	what, at := f.random.IntN(10), f.random.IntN(2)
	do := func(s *Service) error {
		var err error
		switch what {
		case 0, 1, 2, 3:
			if _, err = s.answers(t, who, f.call); err == nil {
				f.mu.Lock()
				defer f.mu.Unlock()
				if f.wins[who.user] == nil {
					f.wins[who.user] = map[string]bool{}
				}
				f.wins[who.user][who.device] = true
			}
		case 4:
			_, err = s.rejects(t, who, f.call)
		case 5, 6:
			_, err = s.ends(t, who, f.call)
		case 7:
			f.mu.Lock()
			f.lost = true
			f.mu.Unlock()
			_, err = s.sockets(who.ctx(t), proto.CallSocketsReq{Left: []proto.CallSocketLeft{{UserID: who.user, SocketID: who.socket, At: proto.At(time.Now())}}})
		case 8:
			_, err = s.sockets(who.ctx(t), proto.CallSocketsReq{Returned: []proto.CallSocket{{UserID: who.user, DeviceID: who.device, SocketID: who.socket, Was: who.socket}}})
		default:
			err = s.sends(t, who, f.call, `{}`)
		}
		return err
	}
	return func() {
		if codeOf(do(f.one(at))) == proto.InternalError { // it died over it
			_ = do(f.one(at + 1))
		}
	}
}

// clumsy is an instance that now and then forgets what it was doing, at any step.
type clumsy struct {
	mu     sync.Mutex
	random *rand.Rand
	fell   int
}

func (c *clumsy) step(string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.random.IntN(60) == 0 {
		c.fell++
		return errDead
	}
	return nil
}

// TestModelOfTheService lets many calls go their way at two instances that fail at
// random steps, and checks what remains of each call.
func TestModelOfTheService(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.grace, w.look = time.Second, 2*time.Second
	one, two := &clumsy{random: rand.New(rand.NewPCG(1, 1))}, &clumsy{random: rand.New(rand.NewPCG(2, 2))}
	pair := []*Service{
		w.instance(rings(1500*time.Millisecond), func(s *Service) { s.at = one.step }),
		w.instance(rings(1500*time.Millisecond), func(s *Service) { s.at = two.step }),
	}
	const atATime = 16
	all := long.Count(t, 80, 1000)
	fates := make([]*fate, all)
	var running sync.WaitGroup
	slots := make(chan struct{}, atATime)
	begun := make([]bool, all)
	for n := range all {
		random := rand.New(rand.NewPCG(uint64(n), 99))
		f := &fate{town: w, random: random, pair: pair, call: fmt.Sprintf("r%d", n), wins: map[string]map[string]bool{}}
		for i := range 2 + random.IntN(2)*random.IntN(3) {
			f.users = append(f.users, fmt.Sprintf("u%d-%d", n, i))
		}
		fates[n] = f
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			begun[n] = f.run(t)
		})
	}
	running.Wait()
	// Who still talks hangs up; everything else ends by itself.
	for n, f := range fates {
		if !begun[n] {
			continue
		}
		for _, user := range f.users {
			for d := range 2 {
				for try := range 5 {
					if _, err := pair[try%2].ends(t, device(user, 1+d), f.call); codeOf(err) != proto.InternalError {
						break
					}
				}
			}
		}
	}
	ends := map[proto.CallStatus]int{}
	for n, f := range fates {
		if begun[n] {
			ends[f.ended(t)]++
		}
	}
	for n, f := range fates { // and so it stays
		if begun[n] {
			_, err := f.look(t)
			require.NoError(t, err, f.call)
		}
	}
	t.Logf("ended %v, stumbled %d and %d times", ends, one.fell, two.fell)
	require.Greater(t, one.fell+two.fell, all/10)
	require.Len(t, ends, 3)
}

// ended waits until the call is over, and all of it told.
func (f *fate) ended(t *testing.T) proto.CallStatus {
	var status proto.CallStatus
	var wrong error
	servicestest.Eventually(t, time.Minute, f.call+" is over and told", func() bool {
		before := wrong
		if status, wrong = f.look(t); wrong != nil && (before == nil || wrong.Error() != before.Error()) {
			t.Logf("%s: %v", f.call, wrong)
		}
		return wrong == nil
	})
	f.entries(t)
	return status
}

// look says how the call ended, and what is wrong with what its users have of it.
func (f *fate) look(t *testing.T) (proto.CallStatus, error) {
	w, s := f.town, f.pair[0]
	e, err := s.calls.Newest(t.Context(), proto.Token(f.call))
	if err != nil || e.Call == nil || !e.IsOver() {
		return "", fmt.Errorf("it is not over: %w", err)
	}
	for i := range e.Parties {
		p := &e.Parties[i]
		user := proto.Token(p.User)
		events := map[string]int{}
		for _, m := range w.entries(s, proto.UserRing(user)) {
			events[m.Header.Get(proto.HeaderEvent)]++
		}
		missed := 0
		if p.State == proto.ParticipantMissed {
			missed = 1
		}
		if events[proto.NotificationEvent.Name] != missed || events[proto.CallEndEvent.Name] != missed || events[proto.IncomingCallEvent.Name] > 1 {
			return "", fmt.Errorf("%s, %s, has %v", p.User, p.State, events)
		}
		slots, err := s.calls.Slots(t.Context(), user)
		if err != nil || slots[0].CallID != "" {
			return "", fmt.Errorf("%s is in %+v: %w", p.User, slots, err)
		}
		page, _, err := s.history.Page(t.Context(), user, 10, "")
		if err != nil || len(page) != 1 || page[0].Status != e.StatusFor(p) {
			return "", fmt.Errorf("%s, %s, has been in %+v: %w", p.User, p.State, page, err)
		}
	}
	return e.Status, nil
}

// entries looks at a call's log: it only goes on, ends once, and a user has it on one
// device, which another takes over only where it was lost.
func (f *fate) entries(t *testing.T) {
	rank := map[proto.CallStatus]int{proto.CallRinging: 0, proto.CallAnswered: 1}
	final := 0
	var before state.Call
	for _, m := range f.town.entries(f.pair[0], proto.CallLog(proto.Token(f.call))) {
		var c state.Call
		require.NoError(t, json.Unmarshal(m.Data, &c))
		if _, goes := rank[c.Status]; !goes {
			final++
		} else {
			require.GreaterOrEqual(t, rank[c.Status], rank[before.Status])
			require.Zero(t, final)
		}
		require.Equal(t, before.Version+1, c.Version)
		for i := range before.Parties {
			was, is := &before.Parties[i], &c.Parties[i]
			if was.Active() && was.Device != is.Device {
				require.NotZero(t, was.LostAt, "%s of %s", is.User, f.call)
			}
		}
		before = c
	}
	require.Equal(t, 1, final, f.call)
	for user, devices := range f.wins {
		if p := before.Party(user); p.Device != "" && !f.lost {
			require.Equal(t, map[string]bool{p.Device: true}, devices, "%s of %s", user, f.call)
		}
	}
}
