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

// tally is what one step counted. The reader loop owns it; other goroutines
// may look at the counters it publishes, and at the rest once the loop ended.
type tally struct {
	wire    wire
	plan    schedule
	size    int // bytes of a content
	chats   []string
	start   time.Time
	warm    int     // messages before this index are not in the histograms
	answers []uint8 // per message: 0 none, 1 stored, 2 refused

	delivered, deliveredBytes   int64
	stored, refused, answered2  int64
	others, unreadable, decoded int64
	firstBad                    error // first refused ack, or delivery that is not what was sent
	ackTime, deliveryTime       latency
	scan, ackScan               scanner

	deliveredNow, answeredNow, storedNow atomic.Int64 // published once per round
}

func newTally(w wire, plan schedule, size, warm int, chats []string) *tally {
	return &tally{
		wire: w, plan: plan, size: size, warm: warm, chats: chats, answers: make([]uint8, plan.count),
		ackTime: newLatency(), deliveryTime: newLatency(),
	}
}

func (t *tally) publish() {
	t.deliveredNow.Store(t.delivered)
	t.storedNow.Store(t.stored)
	t.answeredNow.Store(t.stored + t.refused)
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
	if t.delivered%decodeEvery == 1 {
		t.decoded++
		if err := t.check(c, body, i, seq); err != nil {
			t.bad(err)
		}
	}
}

func (t *tally) ack(c *conn, p packet, now time.Time) {
	i := int(p.ackID) - firstAckID
	if i < 0 || i >= len(t.answers) {
		t.bad(fmt.Errorf("ack %d was not asked for", p.ackID))
		return
	}
	if t.answers[i] != 0 {
		t.answered2++
		return
	}
	seq, ok := t.ackScan.ack(p.body)
	if !ok {
		t.answers[i] = 2
		t.refused++
		if t.firstBad == nil {
			t.firstBad = fmt.Errorf("refused: %.300s", p.body)
		}
		return
	}
	t.answers[i] = 1
	t.stored++
	c.book.own(seq)
	if i >= t.warm {
		t.ackTime.record(now.Sub(t.start) - t.plan.due(i))
	}
}

func (t *tally) bad(err error) {
	t.unreadable++
	if t.firstBad == nil {
		t.firstBad = err
	}
}

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
