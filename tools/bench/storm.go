package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"time"

	"supmesh.dev/proto"
)

// stormLoad is one chat of many members, and what they all do at once.
type stormLoad struct {
	members  int
	typists  int
	viewers  int
	messages int
	content  int
	pace     time.Duration
	limit    time.Duration // p99 of a delivery
	giveUp   time.Duration // so long without anything ends a wait: longer than a request may take

	receiptsIn time.Duration // over which receipts are sent, 0 for all at once
	typingFor  time.Duration // in which each typist types typingRounds times
	ends       time.Duration // how long an indicator may live after it was last told
	quiet      time.Duration // so long nothing must come for the next part to begin
}

const (
	// typingRounds is how often each typist types: the later ones are coalesced.
	typingRounds = 3
	// stormSettle bounds the wait for the end of one part.
	stormSettle = time.Minute
)

// storm measures messages to the chat, and then, among people who have not been
// seen before, all their receipts of one message and their typing.
func (b *bench) storm(ctx context.Context, s *system, l stormLoad) ([]result, error) {
	message, err := b.step(ctx, s, load{
		scenario: "storm", chats: 1, members: l.members, rate: 1, warm: time.Second, length: time.Duration(l.messages) * time.Second,
		content: l.content, pace: l.pace, limit: l.limit, giveUp: l.giveUp, each: true,
	})
	if err != nil {
		return nil, fmt.Errorf("messages: %w", err)
	}
	message.Step = "message"
	b.said(message)
	rest, err := b.crowd(ctx, s, l)
	return append([]result{message}, rest...), err
}

// part is what was seen from outside while one burst was under way.
type part struct {
	sending

	from, acked, to usage // before, when all was acked, and when all was over
	memory          map[string]memory
	lost            error
}

// crowd connects everybody and runs the bursts one after the other.
func (b *bench) crowd(ctx context.Context, s *system, l stormLoad) ([]result, error) {
	b.steps++
	ids, list, err := b.people(ctx, s, load{scenario: "storm", chats: 1, members: l.members})
	if err != nil {
		return nil, err
	}
	k := newCrowd(b.wire, l, ids[0], list)
	cs, err := b.connected(ctx, s, list, l.pace, k)
	if err != nil {
		return nil, err
	}
	parts, err := b.bursts(ctx, s, cs, k, l)
	cs.ending.Store(true)
	cs.close()
	if err != nil {
		return nil, err
	}
	var results []result
	for i, step := range []string{"delivered", "read", "typing"} {
		r := result{Scenario: "storm", Step: step, Target: b.options.Target, Profile: b.options.Profile, Durability: b.durability()}
		if step == "typing" {
			r.fillTyping(s, k, parts[i], cs.audit())
		} else {
			r.fillReceipts(s, k, i, parts[i])
		}
		b.saidBurst(r)
		results = append(results, r)
	}
	return results, nil
}

// bursts lets the author say something, and then everybody answer.
func (b *bench) bursts(ctx context.Context, s *system, cs *clients, k *crowd, l stormLoad) (parts [3]part, err error) {
	b.sayf("%d clients connected", l.members)
	runtime.GC() // the set-up's garbage is not collected in the middle of the measurement
	if err := b.say(ctx, cs, k, l); err != nil {
		return parts, err
	}
	for i, event := range k.marks {
		payload, err := receiptOf(i, k)
		if err != nil {
			return parts, err
		}
		if parts[i], err = b.burst(ctx, s, cs, k, event, payload, l.giveUp, func() bool {
			return k.covered[i].Load() >= event.ackedNow.Load()
		}); err != nil {
			return parts, fmt.Errorf("%s: %w", event.event, err)
		}
		if err := k.quiet(ctx, l.quiet); err != nil {
			return parts, err
		}
	}
	open, err := json.Marshal(proto.JoinChatReq{ChatID: k.chat})
	if err != nil {
		return parts, fmt.Errorf("encode request: %w", err)
	}
	if _, err := b.burst(ctx, s, cs, k, k.joins, open, l.giveUp, func() bool { return true }); err != nil {
		return parts, fmt.Errorf("%s: %w", k.joins.event, err)
	}
	if err := k.quiet(ctx, l.quiet); err != nil { // each viewer hears of those who came after it
		return parts, err
	}
	types, err := json.Marshal(proto.TypingReq{ChatID: k.chat})
	if err != nil {
		return parts, fmt.Errorf("encode request: %w", err)
	}
	parts[2], err = b.burst(ctx, s, cs, k, k.typing, types, max(l.giveUp, l.ends+l.quiet), func() bool {
		return k.showing.Load() == 0 && k.typedNow.Load() >= k.typing.toldNow.Load()*int64(l.viewers)
	})
	return parts, err
}

// say sends the author's message and waits until everybody has it.
func (b *bench) say(ctx context.Context, cs *clients, k *crowd, l stormLoad) error {
	k.start = time.Now()
	m := sending{lag: newLatency()}
	if err := m.send(ctx, cs, &k.requests, b.messages(cs, k.tally)); err != nil {
		return err
	}
	if err := drain(ctx, k.tally, load{members: l.members, giveUp: l.giveUp}, m.sent-m.unsent); err != nil {
		return err
	}
	if k.ackedNow.Load() == 0 {
		return fmt.Errorf("the message that all are to have was not acked (%d answers)", k.answeredNow.Load())
	}
	return nil
}

// receiptOf is the receipt of one kind that everybody sends.
func receiptOf(kind int, k *crowd) ([]byte, error) {
	var req any = proto.DeliveredReq{ChatID: k.chat, MessageID: k.message}
	if kind == 1 {
		req = proto.ReadReq{ChatID: k.chat, MessageID: k.message}
	}
	payload, err := json.Marshal(req)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	return payload, nil
}

// burst sends one and waits for its acks, and then for what follows from it.
func (b *bench) burst(ctx context.Context, s *system, cs *clients, k *crowd, q *burst, payload []byte, giveUp time.Duration, over func() bool) (part, error) {
	m := part{sending: sending{lag: newLatency()}}
	var err error
	if m.from, err = s.measure(nil); err != nil {
		return m, err
	}
	q.start = time.Now()
	if err := m.send(ctx, cs, &q.requests, func(text []byte, i int) (*conn, []byte) {
		return cs.conns[q.from+i%q.by].Load(), b.wire.request(text, q.event, q.first+uint64(i), payload)
	}); err != nil {
		return m, err
	}
	sent := int64(m.sent - m.unsent)
	acked := func() bool { return q.answeredNow.Load() >= sent }
	if err := settled(ctx, stormSettle, giveUp, k.moved.Load, acked); err != nil {
		return m, err
	}
	if m.acked, err = s.measure(nil); err != nil {
		return m, err
	}
	if err := settled(ctx, stormSettle, giveUp, k.moved.Load, over); err != nil {
		return m, err
	}
	linger()
	if m.to, err = s.measure(nil); err != nil {
		return m, err
	}
	m.lost = cs.lostError()
	m.memory, err = s.memories()
	return m, err
}

// quiet waits until nothing comes any more, so that no part pays for the one before.
func (k *crowd) quiet(ctx context.Context, long time.Duration) error {
	return settled(ctx, stormSettle, long, k.moved.Load, func() bool { return false })
}
