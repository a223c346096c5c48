package chat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"supmesh.dev/chat/eventlog"
	"supmesh.dev/chat/projection"
	"supmesh.dev/proto"
)

// receiptBody is an entry of RECEIPTS for one user in one chat.
type receiptBody struct {
	Devices map[string]uint64 `json:"devices"` // device token → seq up to which it has everything
	Read    uint64            `json:"read,omitempty"`
}

// receiptState is what this instance remembers of one such entry. Like a chat's
// head it may be behind: RECEIPTS refuses what is built on an old one.
type receiptState struct {
	mu       sync.Mutex
	known    bool
	position uint64
	body     receiptBody
}

// delivered moves a device's cursor forward, as a whole prefix: who has a
// message is taken to have those before it. It is stored before it is acked.
func (s *Service) delivered(ctx context.Context, req proto.DeliveredReq) (proto.DeliveredRes, error) {
	who, err := callerOf(ctx)
	if err != nil {
		return proto.DeliveredRes{}, err
	}
	if err := s.gate.wait(ctx); err != nil {
		return proto.DeliveredRes{}, err
	}
	c, err := s.chatOf(req.ChatID)
	if err != nil {
		return proto.DeliveredRes{}, err
	}
	if _, err := s.member(ctx, c, who); err != nil {
		return proto.DeliveredRes{}, unavailable(err)
	}
	seq, at, err := s.deliveredUpTo(ctx, c, &req)
	if err != nil {
		return proto.DeliveredRes{}, unavailable(err)
	}
	stands, err := s.advance(ctx, c, who, seq)
	if err != nil {
		return proto.DeliveredRes{}, unavailable(err)
	}
	return proto.DeliveredRes{ChatID: req.ChatID, UpToSeq: stands, DeliveredAt: s.clamp(req.DeliveredAt, at)}, nil
}

// clamp holds a client's clock between the message and now; no clock is now.
func (s *Service) clamp(hint *proto.Timestamp, message time.Time) proto.Timestamp {
	now := proto.At(s.host.Now())
	if hint == nil || hint.After(now.Time) {
		return now
	}
	if hint.Before(message) {
		return proto.At(message)
	}
	return *hint
}

// deliveredUpTo finds the seq a request names and the time of its message. Ids
// must be of this chat; a seq past the last message means the last message.
func (s *Service) deliveredUpTo(ctx context.Context, c *chatState, req *proto.DeliveredReq) (uint64, time.Time, error) {
	last, err := s.log.Last(ctx, proto.Events.Name, proto.ChatLog(c.token, proto.KindMessage))
	if err != nil {
		return 0, time.Time{}, err
	}
	ids := req.MessageIDs
	if req.MessageID != "" {
		ids = append([]string{req.MessageID}, ids...)
	}
	if len(ids) == 0 {
		seq := min(req.UpToSeq, last.Seq)
		if seq == 0 {
			return 0, time.Time{}, nil
		}
		at, err := s.positions(ctx, []projection.Span{{Chat: c.token, From: seq, To: seq}})
		if err != nil || at[0][0] == 0 {
			return seq, time.Time{}, err
		}
		entries, err := s.log.Get(ctx, at[0])
		if err != nil {
			return 0, time.Time{}, err
		}
		return seq, entries[0].Time, nil
	}
	return s.newestOf(ctx, c, ids, last.Seq)
}

func (s *Service) newestOf(ctx context.Context, c *chatState, ids []string, last uint64) (newest uint64, at time.Time, err error) {
	gone := &proto.Error{Code: proto.MessageNotFound, Message: "message not found in this chat"}
	spans := make([]projection.Span, len(ids))
	for i, id := range ids {
		sent, seq, ok := parseMessageID(id)
		if !ok || seq == 0 || seq > last {
			return 0, time.Time{}, gone
		}
		spans[i] = projection.Span{Chat: c.token, From: seq, To: seq}
		if seq > newest {
			newest, at = seq, sent
		}
	}
	index, err := s.positions(ctx, spans)
	if err != nil {
		return 0, time.Time{}, err
	}
	places := make([]uint64, len(ids))
	for i := range index {
		if places[i] = index[i][0]; places[i] == 0 {
			return 0, time.Time{}, gone
		}
	}
	entries, err := s.log.Get(ctx, places)
	if err != nil {
		return 0, time.Time{}, err
	}
	for i, e := range entries {
		if !hasMessageID(e.Body, ids[i]) {
			return 0, time.Time{}, gone
		}
	}
	return newest, at, nil
}

// advance stores a device's cursor if it moves, and returns where it stands.
func (s *Service) advance(ctx context.Context, c *chatState, who caller, seq uint64) (uint64, error) {
	r := s.receipts.get(string(c.token)+"/"+string(who.user), func() *receiptState { return new(receiptState) })
	r.mu.Lock()
	defer r.mu.Unlock()
	subject := proto.ReceiptLog(c.token, who.user)
	device := string(who.device)
	fresh := false
	for wait := firstPause; ; {
		if !r.known {
			if err := s.reloadReceipt(ctx, r, subject); err != nil {
				return 0, err
			}
			fresh = true
		}
		if seq <= r.body.Devices[device] {
			if fresh {
				break
			}
			r.known = false // another instance may have moved it further
			continue
		}
		next := receiptBody{Devices: maps.Clone(r.body.Devices), Read: r.body.Read}
		if next.Devices == nil {
			next.Devices = map[string]uint64{}
		}
		next.Devices[device] = seq
		body, err := json.Marshal(next)
		if err != nil {
			return 0, fmt.Errorf("encode receipt: %w", err)
		}
		ack, err := s.log.Append(ctx, &eventlog.Append{Subject: subject, After: r.position, Trace: who.trace, Body: body})
		var moved *eventlog.WrongLastError
		switch {
		case err == nil:
			r.position, r.body, fresh = ack.Position, next, true
		case errors.As(err, &moved):
			r.known = false
			if ctx.Err() != nil {
				return 0, ctx.Err()
			}
		default:
			r.known = false
			if errors.Is(err, eventlog.ErrFull) || !pause(ctx, wait) {
				return 0, err
			}
			wait = min(2*wait, lastPause)
		}
	}
	stands := r.body.Devices[device]
	// Also where nothing moved: Redis may have missed it before. If it misses it
	// now, the device gets again what it has.
	if err := s.state.Advance(ctx, c.token, who.user, who.device, stands); err != nil {
		s.host.Log().WarnContext(ctx, "cursor not in redis", "error", err)
	}
	return stands, nil
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
