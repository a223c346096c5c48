package state

import (
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

const (
	grace   = 30_000
	ringFor = 45_000
)

var answer = proto.Sdp{Type: "answer", SDP: "v=0"}

func dev(user, device string) Actor {
	return Actor{User: user, Device: user + "-" + device, Socket: user + "-s" + device}
}

// begin is a call that ann makes at 1000.
func begin(targets ...string) *Call {
	c := Call{ID: "c", Type: proto.CallAudio, CreatedAt: 1000, RingUntil: 1000 + ringFor, Parties: []Party{{User: "ann"}}}
	for _, id := range targets {
		c.Parties = append(c.Parties, Party{User: id, State: proto.ParticipantRinging, Offer: &proto.Sdp{Type: "offer", SDP: id}})
	}
	return Begin(c, dev("ann", "1"))
}

// act is one thing that happens to a call.
type act func(c *Call) error

func answers(user, device string) act {
	return func(c *Call) error { return c.Answer(dev(user, device), answer, 5000) }
}

func rejects(user, device string) act {
	return func(c *Call) error { return c.Reject(dev(user, device), "declined", 6000) }
}

func ends(user, device string) act {
	return func(c *Call) error { return c.End(dev(user, device), "", 9000) }
}

func loses(user, device string) act {
	return func(c *Call) error { c.Lose(user, user+"-s"+device, 7000, 7000); return nil }
}

func expires(at int64) act {
	return func(c *Call) error {
		for {
			if _, done := c.Expire(at, grace); !done {
				return nil
			}
		}
	}
}

func speaks(user, device string) act {
	return func(c *Call) error { return c.Act(dev(user, device), 8000) }
}

func TestTransitions(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		targets []string
		acts    []act
		err     error
		status  proto.CallStatus
		reason  string
		version uint64
		states  []string
	}{
		{"rings", []string{"bob"}, nil, nil, "ringing", "", 1, []string{"joined", "ringing"}},
		{"answered", []string{"bob"}, []act{answers("bob", "1")}, nil, "answered", "", 2, []string{"joined", "joined"}},
		{"answered twice by one", []string{"bob"}, []act{answers("bob", "1"), answers("bob", "1")}, nil, "answered", "", 2, []string{"joined", "joined"}},
		{"answered by two", []string{"bob"}, []act{answers("bob", "1"), answers("bob", "2")}, ErrAnswered, "answered", "", 2, []string{"joined", "joined"}},
		{"answered by who is lost, elsewhere", []string{"bob"}, []act{answers("bob", "1"), loses("bob", "1"), answers("bob", "2")}, nil, "answered", "", 4, []string{"joined", "joined"}},
		{"answered by the caller", []string{"bob"}, []act{answers("ann", "2")}, ErrAnswered, "ringing", "", 1, []string{"joined", "ringing"}},
		{"answered by a stranger", []string{"bob"}, []act{answers("eve", "1")}, ErrNotFound, "ringing", "", 1, []string{"joined", "ringing"}},
		{"rejected", []string{"bob"}, []act{rejects("bob", "1")}, nil, "rejected", "declined", 2, []string{"left", "rejected"}},
		{"rejected twice", []string{"bob"}, []act{rejects("bob", "1"), rejects("bob", "2")}, nil, "rejected", "declined", 2, []string{"left", "rejected"}},
		{"rejected, then answered", []string{"bob"}, []act{rejects("bob", "1"), answers("bob", "2")}, ErrEnded, "rejected", "declined", 2, []string{"left", "rejected"}},
		{"answered, then rejected", []string{"bob"}, []act{answers("bob", "1"), rejects("bob", "2")}, ErrAnswered, "answered", "", 2, []string{"joined", "joined"}},
		{"rejected by the caller", []string{"bob"}, []act{rejects("ann", "1")}, ErrAnswered, "ringing", "", 1, []string{"joined", "ringing"}},
		{"cancelled", []string{"bob"}, []act{ends("ann", "1")}, nil, "missed", "cancelled", 2, []string{"left", "missed"}},
		{"cancelled, then answered", []string{"bob"}, []act{ends("ann", "1"), answers("bob", "1")}, ErrEnded, "missed", "cancelled", 2, []string{"left", "missed"}},
		{"cancelled, then ended", []string{"bob"}, []act{ends("ann", "1"), ends("bob", "1"), ends("ann", "1")}, nil, "missed", "cancelled", 2, []string{"left", "missed"}},
		{"ended by whom it rings for", []string{"bob"}, []act{ends("bob", "3")}, nil, "rejected", "", 2, []string{"left", "rejected"}},
		{"cancelled by the caller's other device", []string{"bob"}, []act{ends("ann", "2")}, nil, "missed", "cancelled", 2, []string{"left", "missed"}},
		{"ended by the caller's other device", []string{"bob"}, []act{answers("bob", "1"), ends("ann", "2")}, nil, "ended", "hangup", 3, []string{"left", "left"}},
		{"ended by a device that rings no more", []string{"bob"}, []act{answers("bob", "1"), ends("bob", "2")}, nil, "answered", "", 2, []string{"joined", "joined"}},
		{"rung out", []string{"bob"}, []act{expires(1000 + ringFor)}, nil, "missed", "no_answer", 2, []string{"left", "missed"}},
		{"not yet rung out", []string{"bob"}, []act{expires(999 + ringFor)}, nil, "ringing", "", 1, []string{"joined", "ringing"}},
		{"rung out, then answered", []string{"bob"}, []act{expires(1000 + ringFor), answers("bob", "1")}, ErrEnded, "missed", "no_answer", 2, []string{"left", "missed"}},
		{"answered, then rung out", []string{"bob"}, []act{answers("bob", "1"), expires(1000 + ringFor)}, nil, "answered", "", 2, []string{"joined", "joined"}},
		{"the caller is lost", []string{"bob"}, []act{loses("ann", "1"), expires(7000 + grace)}, nil, "missed", "disconnected", 3, []string{"left", "missed"}},
		{"the caller is lost, not for long", []string{"bob"}, []act{loses("ann", "1"), expires(6999 + grace)}, nil, "ringing", "", 2, []string{"joined", "ringing"}},
		{"a side is lost", []string{"bob"}, []act{answers("bob", "1"), loses("bob", "1"), expires(7000 + grace)}, nil, "ended", "disconnected", 4, []string{"left", "left"}},
		{"a side returns", []string{"bob"}, []act{answers("bob", "1"), loses("bob", "1"), speaks("bob", "1"), expires(7000 + grace)}, nil, "answered", "", 4, []string{"joined", "joined"}},
		{"the other device speaks", []string{"bob"}, []act{answers("bob", "1"), speaks("bob", "2")}, ErrAnswered, "answered", "", 2, []string{"joined", "joined"}},
		{"it speaks while it rings", []string{"bob"}, []act{speaks("bob", "2"), speaks("bob", "1")}, nil, "ringing", "", 1, []string{"joined", "ringing"}},
		{"it speaks after the end", []string{"bob"}, []act{ends("ann", "1"), speaks("bob", "2")}, ErrEnded, "missed", "cancelled", 2, []string{"left", "missed"}},

		{"of three one joins", []string{"bob", "cat", "dan"}, []act{answers("cat", "1")}, nil, "answered", "", 2, []string{"joined", "ringing", "joined", "ringing"}},
		{"the others miss it", []string{"bob", "cat", "dan"}, []act{answers("cat", "1"), expires(1000 + ringFor)}, nil, "answered", "", 3, []string{"joined", "missed", "joined", "missed"}},
		{"one leaves, two go on", []string{"bob", "cat"}, []act{answers("cat", "1"), answers("bob", "1"), ends("ann", "1")}, nil, "answered", "", 4, []string{"left", "joined", "joined"}},
		{"then another", []string{"bob", "cat"}, []act{answers("cat", "1"), answers("bob", "1"), ends("ann", "1"), ends("cat", "1")}, nil, "ended", "hangup", 5, []string{"left", "left", "left"}},
		{"one leaves whom it rang for alone", []string{"bob", "cat"}, []act{answers("cat", "1"), ends("cat", "1")}, nil, "ended", "hangup", 3, []string{"left", "missed", "left"}},
		{"all refuse", []string{"bob", "cat"}, []act{rejects("cat", "1"), rejects("bob", "1")}, nil, "rejected", "declined", 3, []string{"left", "rejected", "rejected"}},
		{"one refuses, one is silent", []string{"bob", "cat"}, []act{rejects("cat", "1"), expires(1000 + ringFor)}, nil, "missed", "no_answer", 3, []string{"left", "missed", "rejected"}},
		{"one refuses and comes back", []string{"bob", "cat"}, []act{rejects("cat", "1"), answers("cat", "1")}, ErrEnded, "ringing", "", 2, []string{"joined", "ringing", "rejected"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := begin(row.targets...)
			var err error
			for i, a := range row.acts {
				if err = a(c); i < len(row.acts)-1 {
					require.NoError(t, err)
				}
			}
			require.Equal(t, row.err, err)
			require.Equal(t, row.status, c.Status)
			require.Equal(t, row.reason, c.Reason)
			require.Equal(t, row.version, c.Version)
			var states []string
			for _, p := range c.Participants() {
				states = append(states, p.State)
			}
			require.Equal(t, row.states, states)
		})
	}
}

func TestOffersAndAnswersGo(t *testing.T) {
	t.Parallel()
	c := begin("bob", "cat")
	require.NoError(t, answers("bob", "1")(c))
	require.Nil(t, c.Party("bob").Offer)
	require.NotNil(t, c.Party("cat").Offer)
	require.Equal(t, "v=0", c.Party("bob").Answer.SDP)
	require.NoError(t, c.Reject(dev("cat", "1"), "", 5000+AnswerFor+1))
	require.Nil(t, c.Party("cat").Offer)
	require.Nil(t, c.Party("bob").Answer)
}

func TestBlockedAreStrangers(t *testing.T) {
	t.Parallel()
	c := begin("bob")
	c.Parties[1].Blocked = true
	require.Equal(t, ErrNotFound, answers("bob", "1")(c))
	require.Equal(t, ErrNotFound, rejects("bob", "1")(c))
	require.Equal(t, ErrNotFound, ends("bob", "1")(c))
	require.NoError(t, expires(1000+ringFor)(c))
	require.Equal(t, proto.CallMissed, c.Status)
}

func TestDevicesWithoutANameAreToldApart(t *testing.T) {
	t.Parallel()
	c := begin("bob")
	one, two := Actor{"bob", Unnamed, "s1"}, Actor{"bob", Unnamed, "s2"}
	require.NoError(t, c.Answer(one, answer, 5000))
	require.Equal(t, ErrAnswered, c.Answer(two, answer, 5001))
	require.Equal(t, ErrAnswered, c.Act(two, 5001))
	require.True(t, c.Lose("bob", "s1", 5000, 5002))
	require.NoError(t, c.Act(two, 5003))
	require.Equal(t, "s2", c.Party("bob").Socket)
	require.False(t, c.Lose("bob", "s1", 5000, 5004)) // late
	c.Return(Actor{"bob", Unnamed, "s3"}, "s2", 5005)
	require.Equal(t, "s3", c.Party("bob").Socket)
	c.Return(Actor{"bob", Unnamed, "s4"}, "s1", 5006)
	require.Equal(t, "s3", c.Party("bob").Socket)
}

func TestRecords(t *testing.T) {
	t.Parallel()
	c := begin("bob", "cat", "dan")
	c.Parties[3].State = proto.ParticipantBusy
	c = Begin(*c, dev("ann", "1"))
	require.NoError(t, answers("bob", "1")(c))
	require.NoError(t, expires(1000+ringFor)(c))
	require.NoError(t, c.End(dev("bob", "1"), proto.EndFailed, 60_000))
	for _, row := range []struct {
		user, direction string
		status          proto.CallStatus
		reason, by      string
		duration        int64
	}{
		{"ann", proto.CallTo, "ended", "failed", "bob", 55_000},
		{"bob", proto.CallFrom, "ended", "failed", "bob", 55_000},
		{"cat", proto.CallFrom, "missed", "no_answer", "", 0},
		{"dan", proto.CallFrom, "missed", "busy", "", 0},
	} {
		r := c.RecordFor(c.Party(row.user))
		require.Equal(t, row.direction, r.Direction, row.user)
		require.Equal(t, row.status, r.Status, row.user)
		require.Equal(t, row.reason, r.Reason, row.user)
		require.Equal(t, row.by, r.EndedBy, row.user)
		require.Equal(t, row.duration, r.DurationMs, row.user)
		require.NotNil(t, r.EndedAt, row.user)
	}
}

// moved is a call that bob has answered on device 1, changed by acts.
func moved(t *testing.T, acts ...act) *Call {
	t.Helper()
	c := begin("bob")
	for _, a := range append([]act{answers("bob", "1")}, acts...) {
		require.NoError(t, a(c))
	}
	return c
}

func TestReturn(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		call    *Call
		who     Actor
		was     string
		socket  string // of bob, afterwards
		changed bool
	}{
		{"as another socket", moved(t), Actor{"bob", "bob-1", "new"}, "bob-s1", "new", true},
		{"as another device of its session", moved(t), Actor{"bob", "bob-2", "new"}, "bob-s1", "new", true},
		{"the socket it was is not the call's", moved(t), Actor{"bob", "bob-2", "new"}, "other", "bob-s1", false},
		{"the same device beside its socket", moved(t), Actor{"bob", "bob-1", "new"}, "", "bob-s1", false},
		{"the same device, whose socket is lost", moved(t, loses("bob", "1")), Actor{"bob", "bob-1", "new"}, "", "new", true},
		{"another device, where the socket is lost", moved(t, loses("bob", "1")), Actor{"bob", "bob-2", "new"}, "", "bob-s1", false},
		{"as it was, and not lost", moved(t), Actor{"bob", "bob-1", "bob-s1"}, "bob-s1", "bob-s1", false},
		{"as it was, and lost", moved(t, loses("bob", "1")), Actor{"bob", "bob-1", "bob-s1"}, "bob-s1", "bob-s1", true},
		{"while it rings", begin("bob"), dev("bob", "1"), "", "", false},
		{"after the end", moved(t, ends("ann", "1")), Actor{"bob", "bob-1", "new"}, "bob-s1", "bob-s1", false},
		{"a stranger", moved(t), dev("eve", "1"), "bob-s1", "bob-s1", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			before := row.call.Version
			row.call.Return(row.who, row.was, 9000)
			bob := row.call.Party("bob")
			require.Equal(t, row.socket, bob.Socket)
			require.Equal(t, row.changed, row.call.Version > before)
			if row.changed {
				require.Equal(t, row.who.Device, bob.Device)
				require.Zero(t, bob.LostAt)
			}
		})
	}
}

func TestFound(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, user, socket string
		call               *Call
		found              bool
	}{
		{"lost and found", "bob", "bob-s1", moved(t, loses("bob", "1")), true},
		{"not lost", "bob", "bob-s1", moved(t), false},
		{"another socket", "bob", "bob-s2", moved(t, loses("bob", "1")), false},
		{"another user", "ann", "bob-s1", moved(t, loses("bob", "1")), false},
		{"after the end", "bob", "bob-s1", moved(t, loses("bob", "1"), ends("ann", "1")), false},
	} {
		t.Run(row.name, func(t *testing.T) {
			before, lost := row.call.Version, row.call.Party("bob").LostAt
			row.call.Found(row.user, row.socket, 9000)
			require.Equal(t, row.found, row.call.Version > before)
			if row.found {
				lost = 0
			}
			require.Equal(t, lost, row.call.Party("bob").LostAt)
			require.Equal(t, "bob-1", row.call.Party("bob").Device)
		})
	}
}

func TestLose(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, user, socket string
		call               *Call
		at, lost           int64
	}{
		{"a party's socket", "bob", "bob-s1", moved(t), 7000, 7000},
		{"before the answer", "bob", "bob-s1", moved(t), 10, 5000},
		{"in the future", "bob", "bob-s1", moved(t), 9999, 8000},
		{"another socket", "bob", "bob-s2", moved(t), 7000, 0},
		{"again", "bob", "bob-s1", moved(t, loses("bob", "1")), 7500, 7000},
		{"while it rings", "bob", "bob-s1", begin("bob"), 7000, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			before := row.call.Party("bob").LostAt
			news := row.call.Lose(row.user, row.socket, row.at, 8000)
			require.Equal(t, row.lost, row.call.Party("bob").LostAt)
			require.Equal(t, row.lost != before, news)
		})
	}
	over := moved(t, ends("ann", "1"))
	require.False(t, over.Lose("bob", "bob-s1", 7000, 8000), "after the end")
}
