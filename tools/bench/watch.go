package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"supmesh.dev/proto"
)

// pids keeps what the sessions of connections are named; all else they get is
// not looked at.
type pids struct{ pid []string }

func newPIDs(n int) *pids { return &pids{make([]string, n)} }

func (*pids) delivery(*conn, []byte, int, time.Time) {}
func (*pids) ack(*conn, packet, time.Time)           {}
func (*pids) event(*conn, packet, time.Time)         {}
func (*pids) publish()                               {}

var pidBytes = []byte(`"pid":"`)

func (k *pids) ready(c *conn, body []byte) {
	var mark int
	if at := find(body, pidBytes, &mark); at >= 0 {
		rest := body[at+len(pidBytes):]
		for n, b := range rest {
			if b == '"' {
				k.pid[c.index] = string(rest[:n])
				return
			}
		}
	}
}

// call is one presence:subscribe.
type call struct {
	observer int
	users    []string
}

// told is one presence:update at an observer.
type told struct {
	observer, user int
	at             time.Time
	status         proto.Status
	lastSeen       int64
	version        uint64
}

// watch keeps what observers hear of the users they watch. The reader loop owns
// all but the counters it publishes.
type watch struct {
	wire   wire
	users  map[string]int
	calls  []call
	rounds [2]*burst
	states [2][]proto.Presence // by round: what the acks said
	denied [2]int
	heard  []told
	gone   int64 // offline among heard, of those who do not return
	frames int64
	wrong  error // the first event that is not as it must be

	moved, offline atomic.Int64
	over           atomic.Bool // what comes now is the answer to the last question
}

func newWatch(w wire, people crew, group int) *watch {
	k := &watch{wire: w, users: make(map[string]int, len(people.users))}
	names := make([]string, len(people.users))
	for i, u := range people.users {
		names[i], k.users[u.user] = u.user, i
	}
	for i, o := range people.observers {
		theirs := names[o.chat*group : min((o.chat+1)*group, len(names))]
		for len(theirs) > 0 {
			n := min(proto.MaxSubscribe, len(theirs))
			k.calls = append(k.calls, call{i, theirs[:n]})
			theirs = theirs[n:]
		}
	}
	for i := range k.rounds {
		plan := spread(len(k.calls), 0)
		k.rounds[i] = &burst{requests: newRequests(plan, firstAckID+uint64(1+i)*burstIDs, 0), event: proto.SubscribePresence.Event}
	}
	return k
}

func (k *watch) publish() {
	moved := k.frames
	for _, q := range k.rounds {
		q.publish()
		moved += q.acked + q.refused
	}
	k.offline.Store(k.gone)
	k.moved.Store(moved)
}

// delivery is of no observer: nobody says anything.
func (k *watch) delivery(_ *conn, body []byte, _ int, _ time.Time) {
	k.bad(fmt.Errorf("a message that nobody sent: %.200q", body))
}

func (k *watch) ack(_ *conn, p packet, now time.Time) {
	round := (p.ackID-firstAckID)/burstIDs - 1
	if p.ackID < firstAckID+burstIDs || round >= uint64(len(k.rounds)) {
		k.bad(fmt.Errorf("ack %d was not asked for", p.ackID))
		return
	}
	k.rounds[round].ack(p, now)
	raw, err := k.wire.payload(p.body)
	var res proto.SubscribePresenceRes
	if err == nil {
		err = json.Unmarshal(raw, &res)
	}
	if err != nil {
		k.bad(err)
		return
	}
	k.states[round] = append(k.states[round], res.Presences...)
	k.denied[round] += len(res.Denied)
}

func (k *watch) event(c *conn, p packet, now time.Time) {
	k.frames++
	if k.over.Load() {
		return
	}
	if string(p.event) != proto.PresenceEvent.Name {
		k.bad(fmt.Errorf("%s at an observer", p.event))
		return
	}
	raw, err := k.wire.payload(p.body)
	var e proto.Presence
	if err == nil {
		err = json.Unmarshal(raw, &e)
	}
	user, known := k.users[e.UserID]
	if err == nil && !known {
		err = errors.New("presence of one who is not watched: " + e.UserID)
	}
	if err != nil {
		k.bad(err)
		return
	}
	k.heard = append(k.heard, told{c.index, user, now, e.Status, e.LastSeen, e.Version})
	if e.Status == proto.StatusOffline && !returns(user) {
		k.gone++
	}
}

func (k *watch) bad(err error) {
	if k.wrong == nil {
		k.wrong = err
	}
}
