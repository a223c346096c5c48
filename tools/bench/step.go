package bench

import (
	"context"
	"fmt"
	"runtime"
	"time"
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
	giveUp   time.Duration // ends the wait for what is missing: so long without one delivery or ack
}

// settle is how long after the last message the step waits for what is still on the way.
const settle = 20 * time.Second

// step makes fresh chats and users, connects all of them, sends the load and
// counts what arrives.
func (b *bench) step(ctx context.Context, s *system, l load) (result, error) {
	b.steps++
	plan := newSchedule(l.rate, l.warm+l.length, l.chats*l.members, uint64(b.steps))
	chats, list, err := population(fmt.Sprintf("%s%d", l.scenario[:1], b.steps), l.chats, l.members)
	if err != nil {
		return result{}, err
	}
	if err := s.createChats(ctx, chats); err != nil {
		return result{}, err
	}
	ids := make([]string, len(chats))
	for i, c := range chats {
		ids[i] = c.id
	}
	t := newTally(b.wire, plan, l.content, plan.at(l.warm), ids)
	cs, err := newClients(b.wire, len(list), l.pace, t)
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
	if err := cs.connect(ctx, s.addr, list); err != nil {
		return result{}, err
	}
	b.sayf("%d clients connected, %s msg/s for %v", len(list), short(l.rate), l.warm+l.length)
	runtime.GC() // the set-up's garbage is not collected in the middle of the measurement
	r := result{Scenario: l.scenario, Target: b.options.Target, Profile: b.options.Profile, Durability: b.durability(), Offered: l.rate}
	m, err := b.measured(ctx, s, cs, l)
	if err != nil {
		return result{}, err
	}
	lost := cs.lostError()
	cs.ending.Store(true)
	shut()
	r.fill(s, l, t, m, cs.audit(), lost)
	return r, nil
}

// measurement is what was seen from outside while the load ran.
type measurement struct {
	from, to usage
	sent     int
	unsent   int // not taken by the connection
	lag      latency
	memory   map[string]memory
}

// measured sends the plan and samples the processes around the measured part.
func (b *bench) measured(ctx context.Context, s *system, cs *clients, l load) (measurement, error) {
	m := measurement{lag: newLatency()}
	t := cs.tally
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
	sendErr := b.send(ctx, cs, &m)
	if err := <-sampled; err != nil {
		return m, err
	}
	if sendErr != nil {
		return m, sendErr
	}
	if err := drain(ctx, cs, l, m.sent-m.unsent); err != nil {
		return m, err
	}
	var err error
	m.memory, err = s.memories()
	return m, err
}

// send is the open loop.
func (b *bench) send(ctx context.Context, cs *clients, m *measurement) error {
	t := cs.tally
	var event, text, data []byte
	for i := 0; i < t.plan.count; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		sleepUntil(t.start, max(t.plan.due(i), time.Since(t.start)+pause))
		for ; i < t.plan.count; i++ {
			lag := time.Since(t.start) - t.plan.due(i)
			if lag < 0 {
				break
			}
			c := cs.conns[t.plan.sender(i)].Load()
			event = appendEvent(event[:0], t.chats[c.chat], i, t.size)
			text = b.wire.message(text[:0], uint64(firstAckID+i), event)
			data = appendFrame(data[:0], opText, text)
			m.sent++
			if err := c.write(cs.ep, data); err != nil {
				m.unsent++
			}
			if i >= t.warm {
				m.lag.record(lag)
			}
		}
	}
	return nil
}

// drain waits for every ack and every delivery, or until nothing moves.
func drain(ctx context.Context, cs *clients, l load, sent int) error {
	t := cs.tally
	var last int64
	moved := time.Now()
	for end := moved.Add(settle); time.Now().Before(end); {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		answered, delivered := t.answeredNow.Load(), t.deliveredNow.Load()
		if answered >= int64(sent) && delivered >= t.storedNow.Load()*int64(l.members-1) {
			break
		}
		if now := answered + delivered; now != last {
			last, moved = now, time.Now()
		} else if time.Since(moved) > l.giveUp {
			break
		}
		sleepUntil(time.Now(), 5*time.Millisecond)
	}
	// What comes twice comes late: leave it a moment.
	sleepUntil(time.Now(), 100*time.Millisecond)
	return nil
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
