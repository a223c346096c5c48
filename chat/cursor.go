package chat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"

	"supmesh.dev/chat/eventlog"
	"supmesh.dev/proto"
)

// receiptBody is an entry of RECEIPTS for one user in one chat.
type receiptBody struct {
	Devices map[string]uint64 `json:"devices"` // device token → seq up to which it has everything
	Read    uint64            `json:"read,omitempty"`
}

// span is the messages behind one seq and up to another.
type span struct{ after, to uint64 }

func (s span) any() bool { return s.to > s.after }

// move is what a receipt changes for the user: messages that no device had
// before, and messages that were not read.
type move struct{ delivered, read span }

// moving is what a receipt up to seq makes of what is stored. Cursors only go forward,
// and what is read is delivered, to the device too unless it was read by sending. changed
// says whether anything is new.
func moving(old receiptBody, device string, seq uint64, v verb) (next receiptBody, m move, changed bool) {
	next = old
	if v != verbSent && seq > old.Devices[device] {
		next.Devices = maps.Clone(old.Devices)
		if next.Devices == nil {
			next.Devices = map[string]uint64{}
		}
		next.Devices[device] = seq
		changed = true
		had := max(old.delivered(), old.Read)
		m.delivered = span{had, max(had, seq)}
	}
	if v != verbDelivered && seq > old.Read {
		next.Read, changed = seq, true
		m.read = span{old.Read, seq}
	}
	return next, m, changed
}

// delivered is how far the furthest of the user's devices is.
func (b receiptBody) delivered() (furthest uint64) {
	for _, seq := range b.Devices {
		furthest = max(furthest, seq)
	}
	return furthest
}

func (b receiptBody) equal(o receiptBody) bool {
	return b.Read == o.Read && maps.Equal(b.Devices, o.Devices)
}

// receiptState is what this instance remembers of one entry. Like a chat's
// head it may be behind: RECEIPTS refuses what is built on an old one.
type receiptState struct {
	mu       sync.Mutex
	known    bool
	position uint64
	body     receiptBody
}

// advance stores the cursors that a receipt moves, and notes in it where they
// stand and what moved. Of several who move them at once, on any instances,
// the log lets each step be made by one: that one has the move to tell of.
func (s *Service) advance(ctx context.Context, done *received, v verb) error {
	c, who, device := done.chat, done.caller, string(done.device)
	r := s.receipts.get(string(c.token)+"/"+string(who.user), func() *receiptState { return new(receiptState) })
	r.mu.Lock()
	defer r.mu.Unlock()
	subject := proto.ReceiptLog(c.token, who.user)
	var tried *receiptBody // by an append whose outcome is not known
	var triedMove move
	fresh := false
	for wait := firstPause; ; {
		if !r.known {
			if err := s.reloadReceipt(ctx, r, subject); err != nil {
				return err
			}
			fresh = true
			if tried != nil && r.body.equal(*tried) { // it was stored after all
				done.moved = triedMove
				break
			}
		}
		next, m, changed := moving(r.body, device, done.up.seq, v)
		if !changed {
			if fresh {
				break
			}
			r.known = false // another instance may have moved it further
			continue
		}
		body, err := json.Marshal(next)
		if err != nil {
			return fmt.Errorf("encode receipt: %w", err)
		}
		ack, err := s.log.Append(ctx, &eventlog.Append{Subject: subject, After: r.position, Trace: who.trace, Body: body})
		var behind *eventlog.WrongLastError
		switch {
		case err == nil:
			count(s.metrics.receipts, 1)
			r.position, r.body = ack.Position, next
			done.moved = m
		case errors.As(err, &behind):
			r.known = false
			if ctx.Err() != nil {
				return ctx.Err()
			}
			continue
		default:
			r.known = false
			if errors.Is(err, eventlog.ErrUncertain) {
				tried, triedMove = &next, m
			}
			if errors.Is(err, eventlog.ErrFull) || errors.Is(err, eventlog.ErrTooLarge) || !pause(ctx, wait) {
				return err
			}
			wait = min(2*wait, lastPause)
			continue
		}
		break
	}
	done.stands = proto.MemberReceipt{UserID: who.User, DeliveredSeq: r.body.Devices[device], ReadSeq: r.body.Read}
	// Also where nothing moved: Redis may have missed it before. If it misses it
	// now, the device gets again what it has.
	if err := s.state.Advance(ctx, c.token, who.user, who.device, done.stands.DeliveredSeq, done.stands.ReadSeq); err != nil {
		s.host.Log().WarnContext(ctx, "cursor not in redis", "error", err)
	}
	return nil
}

func (s *Service) reloadReceipt(ctx context.Context, r *receiptState, subject string) error {
	last, err := s.log.Last(ctx, proto.Receipts.Name, subject)
	if err != nil {
		return err
	}
	r.known, r.position, r.body = true, last.Position, receiptBody{}
	if last.Position == 0 {
		return nil
	}
	if err := json.Unmarshal(last.Body, &r.body); err != nil {
		return fmt.Errorf("read receipt %s: %w", subject, err)
	}
	return nil
}
