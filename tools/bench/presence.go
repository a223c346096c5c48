package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"supmesh.dev/proto"
)

// presenceLoad is who is connected, who watches them, and what becomes of them.
type presenceLoad struct {
	users     int
	group     int // users of one chat
	observers int // of each chat: they watch all its users
	settle    time.Duration
	length    time.Duration // at rest
	returnIn  time.Duration // within which half of the users return
	limit     time.Duration // by when the others are to be offline
	quiet     time.Duration // so long nothing more is to come
	pace      time.Duration
}

// crew is one set of people: who watches, and who is watched.
type crew struct {
	users, observers []who
}

// returns says whether a user comes back after the death of the gateway.
func returns(user int) bool { return user%2 == 0 }

// presence measures everybody at rest, and then the death of their gateway.
func (b *bench) presence(ctx context.Context, s *system, l presenceLoad) ([]result, error) {
	home, away := s.edges[0], s.edges[1]
	people, err := b.crew(ctx, s, l)
	if err != nil {
		return nil, err
	}
	rest := restful{}
	if err := rest.alone(ctx, s, l); err != nil {
		return nil, err
	}
	b.sayf("Redis commands with nobody there, in %v: %s", l.length/2, rest.busiest)
	users := newPIDs(len(people.users))
	there, err := newClients(b.wire, len(people.users), l.pace, users)
	if err != nil {
		return nil, err
	}
	defer there.close()
	b.sayf("connecting %d clients", len(people.users))
	if err := there.connect(ctx, home.addr, people.users); err != nil {
		return nil, err
	}
	if err := rest.connected(ctx, s); err != nil {
		return nil, err
	}
	k := newWatch(b.wire, people, l.group)
	watching, err := newClients(b.wire, len(people.observers), l.pace, k)
	if err != nil {
		return nil, err
	}
	defer watching.close()
	if err := watching.connect(ctx, away.addr, people.observers); err != nil {
		return nil, err
	}
	runtime.GC() // the set-up's garbage is not collected in the middle of the measurement
	if err := b.ask(ctx, watching, k, 0); err != nil {
		return nil, err
	}
	if err := rest.measured(ctx, s, l); err != nil {
		return nil, err
	}
	b.sayf("Redis commands at rest, in %v: %s", l.length, rest.busiest)
	d, err := b.death(ctx, s, l, there, watching, k, returning(people.users, users.pid))
	if err != nil {
		return nil, err
	}
	lost := watching.lostError()
	watching.close() // the loop owns what it counted
	at := result{Scenario: "presence", Step: "rest", Target: b.options.Target, Profile: b.options.Profile, Durability: b.durability()}
	died := at
	died.Step = "death"
	at.fillRest(l, &rest)
	k.rounds[0].judge(&at, k.rounds[0].event, sending{sent: k.rounds[0].plan.count})
	at.judgeStates(k, 0, func(int) proto.Status { return proto.StatusOnline })
	died.fillDeath(s, l, k, d)
	k.rounds[1].judge(&died, k.rounds[1].event, sending{sent: k.rounds[1].plan.count})
	died.judgeStates(k, 1, func(user int) proto.Status {
		if returns(user) {
			return proto.StatusOnline
		}
		return proto.StatusOffline
	})
	if lost = errors.Join(lost, d.lost); lost != nil {
		died.problemf("%v", lost)
	}
	for _, r := range []*result{&at, &died} {
		b.sayf("presence %s: %s", r.Step, r.state())
	}
	return []result{at, died}, nil
}

// crew makes users and observers, and the chats that they share.
func (b *bench) crew(ctx context.Context, s *system, l presenceLoad) (crew, error) {
	b.steps++
	chats, list, err := population(fmt.Sprintf("p%d", b.steps), (l.users+l.group-1)/l.group, l.group+l.observers)
	if err != nil {
		return crew{}, err
	}
	var people crew
	for i, w := range list {
		if i%(l.group+l.observers) < l.group {
			people.users = append(people.users, w)
		} else {
			people.observers = append(people.observers, w)
		}
	}
	people.users = people.users[:l.users]
	return people, s.createChats(ctx, chats)
}

// ask has every observer subscribe everybody it watches, and waits for the answers.
func (b *bench) ask(ctx context.Context, cs *clients, k *watch, round int) error {
	q := k.rounds[round]
	payloads := make([][]byte, len(k.calls))
	for i, call := range k.calls {
		raw, err := json.Marshal(proto.SubscribePresenceReq{UserIDs: call.users})
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		payloads[i] = raw
	}
	m := sending{lag: newLatency()}
	q.start = time.Now()
	if err := m.send(ctx, cs, &q.requests, func(text []byte, i int) (*conn, []byte) {
		return cs.conns[k.calls[i].observer].Load(), b.wire.request(text, q.event, q.first+uint64(i), payloads[i])
	}); err != nil {
		return err
	}
	return settled(ctx, stormSettle, proto.RequestTimeout+3*time.Second, k.moved.Load, func() bool {
		return q.answeredNow.Load() >= int64(q.plan.count)
	})
}

// returning is those who come back, with what their sessions are named.
func returning(users []who, pid []string) []who {
	var list []who
	for i, w := range users {
		if returns(i) {
			w.pid = pid[i]
			list = append(list, w)
		}
	}
	return list
}

// death is what was seen of the end of a gateway.
type death struct {
	killed   time.Time
	back     time.Duration // until the last of those who return was there
	from, to usage
	commands float64 // of Redis
	lost     error   // of those who returned
	took     time.Duration
	returned int
}

// death kills the gateway that everybody is on, lets half of them return through
// the other, and waits until the others are shown offline.
func (b *bench) death(ctx context.Context, s *system, l presenceLoad, there, watching *clients, k *watch, list []who) (d death, err error) {
	before, err := s.redisCommands(ctx)
	if err != nil {
		return d, err
	}
	there.ending.Store(true)
	d.killed = time.Now()
	if err := s.kill(s.edges[0].name); err != nil {
		return d, err
	}
	b.sayf("killed %s; %d return within %v", s.edges[0].name, len(list), l.returnIn)
	there.close() // their descriptors are needed
	if d.from, err = s.measure(nil); err != nil {
		return d, err
	}
	back, err := newClients(b.wire, len(list), l.pace, newPIDs(len(list)))
	if err != nil {
		return d, err
	}
	defer back.close()
	back.every = l.returnIn / time.Duration(max(1, len(list)))
	if err := back.connect(ctx, s.edges[1].addr, list); err != nil {
		return d, fmt.Errorf("return: %w", err)
	}
	d.back, d.returned = time.Since(d.killed), len(list)
	gone := int64((l.users - len(list)) * l.observers)
	rest := l.limit - time.Since(d.killed)
	if err := settled(ctx, rest, rest, k.moved.Load, func() bool { return k.offline.Load() >= gone }); err != nil {
		return d, err
	}
	if d.to, err = s.measure(nil); err != nil {
		return d, err
	}
	after, err := s.redisCommands(ctx)
	if err != nil {
		return d, err
	}
	d.commands, d.took = since(before, after), time.Since(d.killed)
	if err := settled(ctx, l.limit, l.quiet, k.moved.Load, func() bool { return false }); err != nil {
		return d, err
	}
	k.over.Store(true)
	if err := b.ask(ctx, watching, k, 1); err != nil { // while those who have returned are there
		return d, err
	}
	d.lost = back.lostError()
	return d, nil
}

// restful is what was seen around the time in which nothing happened.
type restful struct {
	minute           float64 // Redis commands with nobody there
	before, opened   map[string]int64
	took             time.Duration // of connecting
	began            time.Time
	from, to         usage
	calm             map[string]int64 // at rest
	memory           map[string]memory
	perConnect, rest float64
	names            []string
	busiest          string // Redis commands in the last measurement
}

// alone counts what the mesh asks of Redis with nobody there.
func (r *restful) alone(ctx context.Context, s *system, l presenceLoad) error {
	before, err := s.calm(ctx, l.settle)
	if err != nil {
		return err
	}
	start := time.Now()
	if err := wait(ctx, l.length/2); err != nil {
		return err
	}
	if r.before, err = s.redisCommands(ctx); err != nil {
		return err
	}
	r.busiest = busiest(before, r.before, 6)
	r.minute, r.began = since(before, r.before)/time.Since(start).Minutes(), time.Now()
	return nil
}

// connected is called once everybody is there.
func (r *restful) connected(ctx context.Context, s *system) (err error) {
	r.took = time.Since(r.began)
	if r.opened, err = s.redisCommands(ctx); err != nil {
		return err
	}
	r.perConnect = since(r.before, r.opened)
	return nil
}

// measured lets time pass.
func (r *restful) measured(ctx context.Context, s *system, l presenceLoad) (err error) {
	if err := wait(ctx, l.settle); err != nil {
		return err
	}
	if r.calm, err = s.redisCommands(ctx); err != nil {
		return err
	}
	if r.from, err = s.measure(nil); err != nil {
		return err
	}
	if err := wait(ctx, l.length); err != nil {
		return err
	}
	if r.to, err = s.measure(nil); err != nil {
		return err
	}
	after, err := s.redisCommands(ctx)
	if err != nil {
		return err
	}
	r.rest, r.busiest = since(r.calm, after), busiest(r.calm, after, 6)
	r.names = slices.Clone(s.names())
	r.memory, err = s.memories()
	return err
}
