package chat

import (
	"context"
	"time"

	"supmesh.dev/chat/eventlog"
	"supmesh.dev/proto"
)

// A receipt says how far a device, or its user, is in a chat, as a whole prefix:
// who has a message is taken to have those before it. It is stored before it is
// acked; whom it concerns is told after that, once, and live only.

// receipt is message:delivered or message:read.
type receipt struct {
	verb   verb
	chatID string
	ids    []string
	upTo   uint64
	at     *proto.Timestamp
}

type verb uint8

const (
	verbDelivered verb = iota
	verbRead
	verbSent // read by sending: the device need not have what came before
)

func (v verb) String() string { return [...]string{"delivered", "read", "sent"}[v] }

// received is a receipt that is stored.
type received struct {
	caller
	chat   *chatState
	up     said                // the message it reaches up to; zero in an empty chat
	last   eventlog.Entry      // of the chat; not known for a delivered one that needed none
	at     proto.Timestamp     // the client's clock, clamped
	stands proto.MemberReceipt // of this device, and of the user
	moved  move
}

// delivered moves a device's cursor forward.
func (s *Service) delivered(ctx context.Context, req proto.DeliveredReq) (proto.DeliveredRes, error) {
	done, err := s.receive(ctx, &receipt{
		verb: verbDelivered, chatID: req.ChatID, ids: namedIDs(req.MessageID, req.MessageIDs), upTo: req.UpToSeq, at: req.DeliveredAt,
	})
	if err != nil {
		return proto.DeliveredRes{}, unavailable(err)
	}
	return proto.DeliveredRes{ChatID: req.ChatID, UpToSeq: done.stands.DeliveredSeq, DeliveredAt: done.at}, nil
}

// read moves a user's cursor forward, and this device's with it. The user's
// other sockets are told what is left unread.
func (s *Service) read(ctx context.Context, req proto.ReadReq) (proto.ReadRes, error) {
	done, err := s.receive(ctx, &receipt{
		verb: verbRead, chatID: req.ChatID, ids: namedIDs(req.MessageID, req.MessageIDs), upTo: req.UpToSeq, at: req.ReadAt,
	})
	if err != nil {
		return proto.ReadRes{}, unavailable(err)
	}
	res := proto.ReadRes{ChatID: req.ChatID, UpToSeq: done.stands.ReadSeq, ReadAt: done.at}
	if done.stands.ReadSeq < done.last.Seq {
		// What the user said since counts as read too, and that Redis knows.
		at, err := s.unreadIn(ctx, done.caller, done.chat)
		if err != nil {
			return proto.ReadRes{}, unavailable(err)
		}
		res.UpToSeq, res.UnreadCount = max(res.UpToSeq, at.readSeq), at.unread
	}
	if done.moved.read.any() {
		s.tellReader(done, res.UnreadCount)
	}
	return res, nil
}

// unreadIn is where a user stands in one chat by now.
func (s *Service) unreadIn(ctx context.Context, who caller, c *chatState) (standing, error) {
	end, err := s.ends(ctx, []proto.Token{c.token})
	if err != nil {
		return standing{}, err
	}
	at, err := s.unread(ctx, who, []standingOf{{c.token, end[c.token]}})
	if err != nil {
		return standing{}, err
	}
	return at[0], nil
}

func namedIDs(one string, more []string) []string {
	if one == "" {
		return more
	}
	return append([]string{one}, more...)
}

// receive stores a receipt and tells the authors.
func (s *Service) receive(ctx context.Context, r *receipt) (*received, error) {
	who, err := callerOf(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.gate.wait(ctx); err != nil {
		return nil, err
	}
	c, err := s.chatOf(r.chatID)
	if err != nil {
		return nil, err
	}
	m, err := s.member(ctx, c, who)
	if err != nil {
		return nil, err
	}
	done := &received{caller: who, chat: c}
	if done.up, done.last, err = s.reach(ctx, c, r); err != nil {
		return nil, err
	}
	done.at = s.clamp(r.at, done.up.time())
	if err := s.advance(ctx, done, r.verb); err != nil {
		return nil, err
	}
	s.tellAuthors(ctx, done, m)
	return done, nil
}

// reach finds the message that a receipt reaches up to, and the chat's last
// one where it had to be asked for. Ids must be of this chat; a seq past the
// last message means the last message.
func (s *Service) reach(ctx context.Context, c *chatState, r *receipt) (up said, last eventlog.Entry, err error) {
	gone := &proto.Error{Code: proto.MessageNotFound, Message: "message not found in this chat"}
	seqs := make([]uint64, len(r.ids))
	known := true
	for i, id := range r.ids {
		var ok bool
		if _, seqs[i], ok = parseMessageID(id); !ok || seqs[i] == 0 {
			return said{}, last, gone
		}
		m, ok := s.said.get(c.token, seqs[i])
		known = known && ok && m.id == id
	}
	if !known || r.upTo > 0 || r.verb == verbRead {
		if last, err = s.log.Last(ctx, proto.Events.Name, proto.ChatLog(c.token, proto.KindMessage)); err != nil {
			return said{}, last, err
		}
		for _, seq := range seqs {
			if seq > last.Seq {
				return said{}, last, gone
			}
		}
	}
	named, err := s.messagesAt(ctx, c.token, seqs)
	if err != nil {
		return said{}, last, err
	}
	for i, m := range named {
		if m.id != r.ids[i] {
			return said{}, last, gone
		}
		if m.seq > up.seq {
			up = m
		}
	}
	if upTo := min(r.upTo, last.Seq); upTo > up.seq {
		at, err := s.messagesAt(ctx, c.token, []uint64{upTo})
		if err != nil {
			return said{}, last, err
		}
		up = at[0]
		up.seq = upTo // also where the log has let go of the message itself
	}
	return up, last, nil
}

// clamp holds a client's clock between the message and now; no clock is now.
func (s *Service) clamp(hint *proto.Timestamp, message time.Time) proto.Timestamp {
	return clamped(hint, message, s.host.Now())
}

func clamped(hint *proto.Timestamp, message, now time.Time) proto.Timestamp {
	end := proto.At(now)
	if hint == nil || hint.After(end.Time) {
		return end
	}
	if hint.Before(message) {
		return proto.At(message)
	}
	return *hint
}
