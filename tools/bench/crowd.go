package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"supmesh.dev/proto"
)

var userBytes = []byte(`"userId":"`)

// crowd counts what the members of one chat get. Connection 0 is the author of
// the message, those after it have the chat open, the last ones type.
type crowd struct {
	*tally

	chat          string
	marks         [2]*burst // message:delivered, message:read
	joins, typing *burst
	bursts        []*burst // all of them, in the order of their ack ids
	users         map[string]int
	message       string // id of the author's message, once it is acked

	author  [2]heard // of marks
	viewers []viewer // of connections 1 and on
	joined  int64    // told to viewers: who else has opened the chat
	typed   span
	stopped span
	late    int64         // indicators that lived longer than ends
	longest time.Duration // that an indicator lived after it was last told
	ends    time.Duration
	stray   map[string]int64 // events at members whom they do not concern
	user    scanner

	moved, showing atomic.Int64 // published once per round
	typedNow       atomic.Int64
	covered        [2]atomic.Int64
	frames         int64
}

// viewer is what one viewer was shown.
type viewer struct {
	typing, stops int64
	most          int               // at once
	shown         map[int]time.Time // who, and when that was last told
}

// newCrowd plans the bursts of a chat: everybody but the author has and reads
// the message, the viewers join, the typists type.
func newCrowd(w wire, l stormLoad, chat string, list []who) *crowd {
	k := &crowd{
		tally: newTally(w, schedule{rate: 1, count: 1, senders: 1}, l.content, 0, []string{chat}),
		chat:  chat, users: make(map[string]int, len(list)), viewers: make([]viewer, l.viewers), stray: map[string]int64{}, ends: l.ends,
	}
	for i, c := range list {
		k.users[c.user] = i
	}
	for i := range k.viewers {
		k.viewers[i].shown = map[int]time.Time{}
	}
	others := l.members - 1
	k.marks[0] = k.add(proto.MarkDelivered.Event, 1, others, spread(others, l.receiptsIn))
	k.marks[1] = k.add(proto.MarkRead.Event, 1, others, spread(others, l.receiptsIn))
	k.joins = k.add(proto.JoinChat.Event, 1, l.viewers, spread(l.viewers, 0))
	k.typing = k.add(proto.StartTyping.Event, l.members-l.typists, l.typists, spread(typingRounds*l.typists, l.typingFor))
	return k
}

func (k *crowd) add(event string, from, by int, plan schedule) *burst {
	q := &burst{requests: newRequests(plan, firstAckID+uint64(1+len(k.bursts))*burstIDs, 0), event: event, from: from, by: by}
	k.bursts = append(k.bursts, q)
	return q
}

func (k *crowd) publish() {
	k.tally.publish()
	moved := k.tally.acked + k.tally.delivered + k.frames
	for _, q := range k.bursts {
		q.publish()
		moved += q.acked + q.refused
	}
	for i := range k.author {
		k.covered[i].Store(k.author[i].total())
	}
	k.typedNow.Store(k.typed.n)
	k.moved.Store(moved)
}

func (k *crowd) ack(c *conn, p packet, now time.Time) {
	if at := (p.ackID - firstAckID) / burstIDs; at >= 1 && at <= uint64(len(k.bursts)) {
		k.bursts[at-1].ack(p, now)
		return
	}
	k.tally.ack(c, p, now)
	if k.message == "" && k.tally.acked > 0 {
		k.message = k.idIn(p.body)
	}
}

// idIn is the message's id in its ack.
func (k *crowd) idIn(body []byte) string {
	raw, err := k.wire.payload(body)
	var res proto.SendMessageRes
	if err == nil {
		err = json.Unmarshal(raw, &res)
	}
	if err != nil || res.Message.ID == "" {
		k.bad(fmt.Errorf("ack without a message: %.200q", body))
	}
	return res.Message.ID
}

// event counts what is no message, by whom it concerns.
func (k *crowd) event(c *conn, p packet, now time.Time) {
	k.frames++
	views := c.index >= 1 && c.index <= len(k.viewers)
	switch name := string(p.event); {
	case name == proto.DeliveredEvent.Name && c.index == 0:
		k.receipt(0, p, now)
	case name == proto.ReadEvent.Name && c.index == 0:
		k.receipt(1, p, now)
	case name == proto.TypingEvent.Name && views:
		k.show(&k.viewers[c.index-1], p, now)
	case name == proto.StopTypingEvent.Name && views:
		k.end(&k.viewers[c.index-1], p, now)
	case name == proto.MemberJoinedEvent.Name && views:
		k.joined++
	default:
		k.stray[name]++
	}
}

// receipt reads an event to the author. proto.MessageRead has the same fields.
func (k *crowd) receipt(kind int, p packet, now time.Time) {
	q := k.marks[kind]
	raw, err := k.wire.payload(p.body)
	var event proto.MessageDelivered
	if err == nil {
		err = json.Unmarshal(raw, &event)
	}
	switch {
	case err != nil:
		q.bad(err)
	case event.MessageID != k.message || event.ChatID != k.chat:
		q.bad(fmt.Errorf("%s of message %s, not of %s", p.event, event.MessageID, k.message))
	case len(event.UserIDs) > proto.MaxReceiptUsers:
		q.bad(fmt.Errorf("%s names %d users", p.event, len(event.UserIDs)))
	}
	k.author[kind].add(now, max(event.Count, 1))
}

func (k *crowd) show(v *viewer, p packet, now time.Time) {
	who, ok := k.member(p.body)
	if !ok {
		return
	}
	k.typed.add(now)
	v.typing++
	if _, renewed := v.shown[who]; !renewed {
		k.showing.Add(1)
	}
	v.shown[who] = now
	v.most = max(v.most, len(v.shown))
	if k.typed.n%decodeEvery == 1 {
		k.decoded++
		if err := k.checkTyping(p, who); err != nil {
			k.typing.bad(err)
		}
	}
}

func (k *crowd) end(v *viewer, p packet, now time.Time) {
	who, ok := k.member(p.body)
	if !ok {
		return
	}
	k.stopped.add(now)
	v.stops++
	told, shown := v.shown[who]
	if !shown {
		return
	}
	delete(v.shown, who)
	k.showing.Add(-1)
	lived := now.Sub(told)
	k.longest = max(k.longest, lived)
	if lived > k.ends {
		k.late++
	}
}

// member is the index of the user that an indicator is about.
func (k *crowd) member(body []byte) (index int, ok bool) {
	if at := find(body, userBytes, &k.user.mark); at >= 0 {
		name := body[at+len(userBytes):]
		for n, c := range name {
			if c == '"' {
				index, ok = k.users[string(name[:n])]
				break
			}
		}
	}
	if !ok || index < k.typing.from {
		k.typing.bad(fmt.Errorf("typing of nobody who types: %.200q", body))
		return 0, false
	}
	return index, true
}

// checkTyping decodes an event in full.
func (k *crowd) checkTyping(p packet, who int) error {
	raw, err := k.wire.payload(p.body)
	if err != nil {
		return err
	}
	var event proto.Typing
	if err := json.Unmarshal(raw, &event); err != nil {
		return fmt.Errorf("decode message:typing: %w", err)
	}
	switch {
	case event.ChatID != k.chat:
		return fmt.Errorf("typing in chat %s reached a viewer of another", event.ChatID)
	case k.users[event.UserID] != who:
		return fmt.Errorf("typing of %s: scanned member %d", event.UserID, who)
	case event.ExpiresInMs <= 0 || event.ExpiresInMs > proto.TypingFor.Milliseconds():
		return fmt.Errorf("typing expires in %d ms", event.ExpiresInMs)
	case event.UserName == "":
		return errors.New("typing without a name")
	}
	return nil
}
