package bench

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"supmesh.dev/proto"
)

// load is one step: a constant rate into chats of one size.
type load struct {
	scenario string
	chats    int
	members  int
	rate     float64       // messages per second, all chats together
	warm     time.Duration // not measured
	length   time.Duration // measured
	content  int           // bytes of encryptedContent
	pace     time.Duration // of the reader loop
	limit    time.Duration // p99 of a delivery over which the rate is not sustained
	each     bool          // also when the last member had each message
	giveUp   time.Duration // ends the wait for what is missing: so long without one delivery or ack
}

// settle is how long after the last message the step waits for what is still on the way.
const settle = 20 * time.Second

// step makes fresh chats and users, connects all of them, sends the load and
// counts what arrives.
func (b *bench) step(ctx context.Context, s *system, l load) (result, error) {
	b.steps++
	plan := newSchedule(l.rate, l.warm+l.length, l.chats*l.members, uint64(b.steps))
	ids, list, err := b.people(ctx, s, l)
	if err != nil {
		return result{}, err
	}
	t := newTally(b.wire, plan, l.content, plan.at(l.warm), ids)
	if l.each {
		t.lastAt = make([]time.Duration, plan.count)
	}
	cs, err := b.connected(ctx, s, list, l.pace, t)
	if err != nil {
		return result{}, err
	}
	closed := false
	shut := func() {
		if !closed {
			closed = true
			cs.close()
		}
	}
	defer shut()
	b.sayf("%d clients connected, %s msg/s for %v", len(list), short(l.rate), l.warm+l.length)
	runtime.GC() // the set-up's garbage is not collected in the middle of the measurement
	r := result{Scenario: l.scenario, Target: b.options.Target, Profile: b.options.Profile, Durability: b.durability(), Offered: l.rate}
	m, err := b.measured(ctx, s, cs, t, l)
	if err != nil {
		return result{}, err
	}
	lost := cs.lostError()
	cs.ending.Store(true)
	shut()
	r.fill(s, l, t, m, cs.audit(), lost)
	return r, nil
}

// people makes the chats of a load and their members, whom nobody has seen before.
func (b *bench) people(ctx context.Context, s *system, l load) (ids []string, list []who, err error) {
	chats, list, err := population(fmt.Sprintf("%s%d", l.scenario[:1], b.steps), l.chats, l.members)
	if err != nil {
		return nil, nil, err
	}
	for _, c := range chats {
		ids = append(ids, c.id)
	}
	return ids, list, s.createChats(ctx, chats)
}

// connected connects everybody; the caller closes.
func (b *bench) connected(ctx context.Context, s *system, list []who, pace time.Duration, count counter) (*clients, error) {
	cs, err := newClients(b.wire, len(list), pace, count)
	if err != nil {
		return nil, err
	}
	if err := cs.connect(ctx, s.addr, list); err != nil {
		cs.close()
		return nil, err
	}
	return cs, nil
}

// measurement is what was seen from outside while the load ran.
type measurement struct {
	sending

	from, to usage
	memory   map[string]memory
}

// measured sends the plan and samples the processes around the measured part.
func (b *bench) measured(ctx context.Context, s *system, cs *clients, t *tally, l load) (measurement, error) {
	m := measurement{sending: sending{lag: newLatency()}}
	t.start = time.Now().Add(50 * time.Millisecond)
	sampled := make(chan error, 1)
	go func() { // ends by itself when the measured part is over, and is waited for
		sampled <- func() (err error) {
			if err = wait(ctx, time.Until(t.start.Add(l.warm))); err != nil {
				return err
			}
			if m.from, err = s.measure(t); err != nil {
				return err
			}
			if err = wait(ctx, time.Until(t.start.Add(l.warm+l.length))); err != nil {
				return err
			}
			m.to, err = s.measure(t)
			return err
		}()
	}()
	sendErr := m.send(ctx, cs, &t.requests, b.messages(cs, t))
	if err := <-sampled; err != nil {
		return m, err
	}
	if sendErr != nil {
		return m, sendErr
	}
	if err := drain(ctx, t, l, m.sent-m.unsent); err != nil {
		return m, err
	}
	var err error
	m.memory, err = s.memories()
	return m, err
}

// messages makes the messages of a plan.
func (b *bench) messages(cs *clients, t *tally) func(text []byte, i int) (*conn, []byte) {
	var event []byte
	return func(text []byte, i int) (*conn, []byte) {
		c := cs.conns[t.plan.sender(i)].Load()
		event = appendEvent(event[:0], t.chats[c.chat], i, t.size)
		return c, b.wire.request(text, proto.SendMessage.Event, t.first+uint64(i), event)
	}
}

// drain waits for every ack and every delivery, or until nothing moves.
func drain(ctx context.Context, t *tally, l load, sent int) error {
	moved := func() int64 { return t.answeredNow.Load() + t.deliveredNow.Load() }
	err := settled(ctx, settle, l.giveUp, moved, func() bool {
		return t.answeredNow.Load() >= int64(sent) && t.deliveredNow.Load() >= t.ackedNow.Load()*int64(l.members-1)
	})
	linger()
	return err
}

// population makes chats with as many members each, and their clients.
func population(prefix string, chats, members int) ([]chat, []who, error) {
	list := make([]chat, chats)
	clients := make([]who, 0, chats*members)
	for i := range list {
		list[i].id = fmt.Sprintf("%s-c%d", prefix, i)
		for j := range members {
			user := fmt.Sprintf("%s-u%d-%d", prefix, i, j)
			t, err := token(user)
			if err != nil {
				return nil, nil, err
			}
			list[i].members = append(list[i].members, user)
			clients = append(clients, who{user: user, token: t, chat: i})
		}
	}
	return list, clients, nil
}
