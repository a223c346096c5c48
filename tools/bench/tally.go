package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"supmesh.dev/proto"
)

// firstAckID keeps ack ids at one width.
const firstAckID = 1_000_000_000

// decodeEvery is how often a delivery is decoded in full and compared.
const decodeEvery = 1000

// tally is what one step counted: the acks of its messages, and deliveries at
// the receivers.
type tally struct {
	requests

	wire   wire
	size   int // bytes of a content
	chats  []string
	lastAt []time.Duration // per message: its last delivery, from the start; nil where nobody asks

	delivered, deliveredBytes int64
	decoded                   int64
	deliveryTime              latency
	scan, ackScan             scanner

	deliveredNow atomic.Int64 // published once per round
}

func newTally(w wire, plan schedule, size, warm int, chats []string) *tally {
	return &tally{
		requests: newRequests(plan, firstAckID, warm), wire: w, size: size, chats: chats, deliveryTime: newLatency(),
	}
}

func (t *tally) publish() {
	t.requests.publish()
	t.deliveredNow.Store(t.delivered)
}

func (t *tally) delivery(c *conn, body []byte, size int, now time.Time) {
	i, seq, ok := t.scan.message(body)
	if !ok || i >= t.plan.count {
		t.bad(fmt.Errorf("delivery that was not sent here: %.200q", body))
		return
	}
	t.delivered++
	t.deliveredBytes += int64(size)
	c.book.delivered(seq)
	if i >= t.warm {
		t.deliveryTime.record(now.Sub(t.start) - t.plan.due(i))
	}
	if t.lastAt != nil {
		t.lastAt[i] = now.Sub(t.start)
	}
	if t.delivered%decodeEvery == 1 {
		t.decoded++
		if err := t.check(c, body, i, seq); err != nil {
			t.bad(err)
		}
	}
}

func (t *tally) ack(c *conn, p packet, now time.Time) {
	seq, ok := t.ackScan.ack(p.body)
	if t.answer(p, ok, now) {
		c.book.own(seq)
	}
}

// event ignores what is no message.
func (t *tally) event(*conn, packet, time.Time) {}

// check decodes a delivery in full and compares it with what was sent.
func (t *tally) check(c *conn, body []byte, i int, seq uint64) error {
	raw, err := t.wire.payload(body)
	if err != nil {
		return err
	}
	var event proto.NewMessage
	if err := json.Unmarshal(raw, &event); err != nil {
		return fmt.Errorf("decode message:new: %w", err)
	}
	m := event.Message
	switch {
	case m.Seq != seq:
		return fmt.Errorf("message %s: scanned seq %d, decoded %d", m.ID, seq, m.Seq)
	case c.chat < 0 || m.ChatID != t.chats[c.chat]:
		return fmt.Errorf("message %s of chat %s reached a member of another", m.ID, m.ChatID)
	case m.SenderID == c.user || event.Sender.ID != m.SenderID:
		return fmt.Errorf("message %s: sender %q (%q) at %s", m.ID, m.SenderID, event.Sender.ID, c.user)
	case m.EncryptedContent != string(appendContent(nil, i, t.size)):
		return fmt.Errorf("message %s: content %q is not what was sent", m.ID, m.EncryptedContent)
	case !strings.HasPrefix(m.ID, "msg_") || m.CreatedAt.IsZero():
		return errors.New("message without id or time")
	}
	return nil
}

// audit compares the ledgers of a chat's members.
type audit struct{ missing, repeated, disordered uint64 }

// audit looks for deliveries that are missing, repeated or out of order. The
// connections must be quiet: only after the reader loop has ended.
func (cs *clients) audit() audit {
	tops := map[int]uint64{}
	for i := range cs.conns {
		if c := cs.conns[i].Load(); c != nil {
			tops[c.chat] = max(tops[c.chat], c.book.top)
		}
	}
	var a audit
	for i := range cs.conns {
		if c := cs.conns[i].Load(); c != nil {
			a.missing += c.book.missing(tops[c.chat])
			a.repeated += c.book.repeated
			a.disordered += c.book.disordered
		}
	}
	return a
}
