package state

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest/long"
)

// order says how far a status is: a call only goes on.
var order = map[proto.CallStatus]int{proto.CallRinging: 0, proto.CallAnswered: 1, proto.CallRejected: 2, proto.CallMissed: 2, proto.CallOver: 2}

// watch is what is remembered of a call to see that it keeps its promises.
type watch struct {
	wrong   error // what the last step did that it must not
	final   string
	rank    int
	version uint64
	now     int64
}

// step makes one random thing happen; pick chooses below n.
func (w *watch) step(c *Call, pick func(n int) int) {
	user := []string{"ann", "bob", "cat", "dan", "eve"}[pick(5)]
	who := dev(user, fmt.Sprint(1+pick(3)))
	w.now += int64(pick(4) * pick(4000))
	var before Party
	if p := c.Party(user); p != nil {
		before = *p
	}
	version, over := c.Version, c.IsOver()
	what := pick(9)
	var err error
	defer func() { w.wrong = w.judge(c, what, who, &before, over, c.Version != version, err) }()
	switch what {
	case 0, 1:
		err = c.Answer(who, answer, w.now)
	case 2:
		err = c.Reject(who, "declined", w.now)
	case 3:
		err = c.End(who, []string{"", "failed", "hangup", "nonsense"}[pick(4)], w.now)
	case 4:
		_ = c.Act(who, w.now)
	case 5:
		c.Lose(user, who.Socket, w.now-int64(pick(3000)), w.now)
	case 6:
		c.Return(who, dev(user, fmt.Sprint(1+pick(3))).Socket, w.now)
	case 7:
		c.Found(user, who.Socket, w.now)
	case 8:
		for done := true; done; {
			_, done = c.Expire(w.now, grace)
		}
	}
}

// judge returns what a step did that it must not: a call is its device's that answered
// first, until that is lost; who answers later is refused, and the end of a device on which
// it rings no more ends nothing. A caller's device ends it always.
func (w *watch) judge(c *Call, what int, who Actor, before *Party, over, moved bool, err error) error {
	const returns = 6 // of a socket that continues another, whatever its device is called
	if before.User == "" || over {
		return nil
	}
	p := c.Party(who.User)
	caller := before.User == c.Caller().User
	held := before.Active() && !before.Same(who) && before.LostAt == 0
	switch {
	case what <= 1 && before.Rings() && (err != nil || p.Device != who.Device || !p.Active()):
		return fmt.Errorf("%s has it, not %s that answered: %w", p.Device, who.Device, err)
	case what <= 1 && held && (moved || err == nil):
		return fmt.Errorf("%s answered what %s has: %w", who.Device, before.Device, err)
	case what == 3 && held && !caller && moved:
		return fmt.Errorf("%s ended what %s has", who.Device, before.Device)
	case what == 3 && caller && before.Over == 0 && p.Over == 0:
		return fmt.Errorf("the caller's %s did not end it", who.Device)
	case what != returns && before.Active() && before.LostAt == 0 && p.Active() && p.Device != before.Device:
		return fmt.Errorf("it went from %s to %s", before.Device, p.Device)
	}
	return nil
}

// check says what is wrong with a call after a step.
func (w *watch) check(c *Call) error {
	rank := order[c.Status]
	switch {
	case w.wrong != nil:
		return w.wrong
	case rank < w.rank:
		return fmt.Errorf("%s after %d", c.Status, w.rank)
	case c.IsOver() != (rank == 2):
		return fmt.Errorf("over is %v, status %s", c.IsOver(), c.Status)
	case c.Version < w.version:
		return fmt.Errorf("version %d after %d", c.Version, w.version)
	case c.Status == proto.CallAnswered && c.count(proto.ParticipantJoined) < 2:
		return fmt.Errorf("nobody talks: %+v", c.Parties)
	case c.Status == proto.CallRinging && c.count(proto.ParticipantJoined) != 1:
		return fmt.Errorf("somebody talks while it rings: %+v", c.Parties)
	case c.Status == proto.CallRinging && c.count(proto.ParticipantRinging) == 0:
		return fmt.Errorf("it rings for nobody: %+v", c.Parties)
	case c.IsOver() && c.count(proto.ParticipantJoined)+c.count(proto.ParticipantRinging) != 0:
		return fmt.Errorf("somebody is in a call that is over: %+v", c.Parties)
	case c.IsOver() && c.Due(grace) != 0, !c.IsOver() && c.Status == proto.CallRinging && c.Due(grace) == 0:
		return fmt.Errorf("due %d of %s", c.Due(grace), c.Status)
	case (c.AnsweredAt != 0) != (c.Status == proto.CallAnswered || c.Status == proto.CallOver):
		return fmt.Errorf("answered at %d, status %s", c.AnsweredAt, c.Status)
	}
	final := fmt.Sprint(c.Status, c.Reason, c.EndedAt, c.Parties)
	if w.final != "" && (w.final != final || c.Version != w.version) {
		return fmt.Errorf("%s after %s", final, w.final)
	}
	if c.IsOver() {
		w.final = final
	}
	w.rank, w.version = rank, c.Version
	return nil
}

func newWatch() *watch { return &watch{now: 1000} }

// TestModelOfCalls lets random calls run their course.
func TestModelOfCalls(t *testing.T) {
	t.Parallel()
	ends := map[proto.CallStatus]int{}
	for seed := range uint64(long.Count(t, 1000, 10_000)) {
		random := rand.New(rand.NewPCG(seed, 7))
		c := begin([]string{"bob", "cat", "dan"}[:1+random.IntN(3)]...)
		w := newWatch()
		for n := range 40 {
			w.step(c, random.IntN)
			require.NoError(t, w.check(c), "seed %d, step %d", seed, n)
		}
		for done := true; done; { // whatever is left rings out, or is lost
			w.now += ringFor + grace
			_, done = c.Expire(w.now, grace)
			require.NoError(t, w.check(c), "seed %d, at its end", seed)
			for i := range c.Parties {
				done = c.Lose(c.Parties[i].User, c.Parties[i].Socket, w.now, w.now) || done
			}
		}
		require.True(t, c.IsOver(), "seed %d: %+v", seed, c)
		ends[c.Status]++
	}
	require.Len(t, ends, 3)
	for status, n := range ends {
		require.Greater(t, n, 10, status)
	}
}

// TestAnyCall is the same with rapid, which finds the shortest way to a failure.
func TestAnyCall(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		pick := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "pick") }
		c := begin([]string{"bob", "cat", "dan"}[:1+pick(3)]...)
		w := newWatch()
		for range pick(60) {
			w.step(c, pick)
			if err := w.check(c); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestACloneIsItsOwn changes a copy and looks at what it was made of.
func TestACloneIsItsOwn(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		pick := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "pick") }
		c := begin("bob", "cat")
		w := newWatch()
		for range pick(20) {
			w.step(c, pick)
		}
		before := fmt.Sprintf("%+v", *c)
		w.step(c.Clone(), pick)
		if after := fmt.Sprintf("%+v", *c); after != before {
			t.Fatalf("%s became %s", before, after)
		}
	})
}
