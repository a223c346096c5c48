package chat

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"supmesh.dev/chat/eventlog"
	"supmesh.dev/chat/projection"
	"supmesh.dev/chat/revisions"
	"supmesh.dev/proto"
	"supmesh.dev/services/wire"
)

// target is a message with what has become of it.
type target struct {
	chat          proto.Token
	seq, position uint64
	sent          proto.NewMessage
	newest        *revision // nil: nothing has
}

// decision is what is to be stored of a target; no event: nothing.
type decision struct {
	event   string
	payload any
}

// revise stores what decide makes of a message, as the next entry of the edit
// log of its chat. Edits of a chat are serial, and each is judged by the very
// state it follows: whoever loses a race is judged anew. It returns when every
// reader sees it. The result is nil where decide wanted nothing, and what an
// earlier try with this key stored where there was one.
func (s *Service) revise(ctx context.Context, c *chatState, messageID, key, trace string, decide func(*target) (decision, error)) (*revision, error) {
	c.revising.Lock()
	defer c.revising.Unlock()
	subject := proto.ChatLog(c.token, proto.KindEdit)
	var atLeast uint64
	uncertain := false
	for wait := firstPause; ; {
		t, end, err := s.target(ctx, c.token, messageID, atLeast)
		if err != nil {
			return nil, err
		}
		if t == nil {
			return nil, errNoMessage("messageId")
		}
		d, err := decide(t)
		if err != nil || d.event == "" {
			return nil, err
		}
		body, err := wire.Marshal(d.payload)
		if err != nil {
			return nil, err
		}
		entry := eventlog.Entry{Subject: subject, Event: d.event, Body: body}
		ack, err := s.log.Append(ctx, &eventlog.Append{
			Subject: subject, After: end, Key: key, Event: d.event, Seq: t.seq, Trace: trace, Body: body,
		})
		var moved *eventlog.WrongLastError
		switch {
		case err == nil:
			entry.Position = ack.Position
			if ack.Duplicate {
				if entry, err = s.entryAt(ctx, ack.Position); err != nil {
					return nil, err
				}
			}
			return s.revised(ctx, c, t.seq, end, entry)
		case errors.As(err, &moved):
			count(s.metrics.conflicts, 1)
			if atLeast = moved.Last; ctx.Err() != nil {
				return nil, ctx.Err()
			}
		case errors.Is(err, eventlog.ErrUncertain), errors.Is(err, eventlog.ErrUnavailable):
			uncertain = uncertain || errors.Is(err, eventlog.ErrUncertain)
			if !pause(ctx, wait) {
				if uncertain {
					return nil, proto.Errorf(proto.Timeout, "the log did not answer in time; the same again is safe")
				}
				return nil, err
			}
			wait = min(2*wait, lastPause)
		default:
			return nil, err
		}
	}
}

// revised brings Redis up to an entry that is stored. Only then is it acked.
func (s *Service) revised(ctx context.Context, c *chatState, seq, after uint64, e eventlog.Entry) (*revision, error) {
	r, err := revisionOf(e)
	if err != nil {
		return nil, err
	}
	upTo, err := s.revisions.Apply(ctx, c.token, after, []revisions.Edit{editOf(seq, &e)})
	if err != nil {
		return nil, err
	}
	if upTo < e.Position {
		return r, s.healEdits(ctx, c.token, upTo)
	}
	return r, nil
}

// editOf is an entry of an edit log as Redis keeps it.
func editOf(seq uint64, e *eventlog.Entry) revisions.Edit {
	return revisions.Edit{Seq: seq, Position: e.Position, Deletes: e.Event == proto.MessageDeletedEvent.Name}
}

// target finds a message by its id, nil where it is none of the chat's, and
// where the chat's edit log ends: at atLeast or beyond.
func (s *Service) target(ctx context.Context, chat proto.Token, messageID string, atLeast uint64) (t *target, end uint64, err error) {
	_, seq, ok := parseMessageID(messageID)
	if !ok || seq == 0 {
		return nil, 0, nil
	}
	for {
		last, err := s.log.Last(ctx, proto.Events.Name, proto.ChatLog(chat, proto.KindEdit))
		if err != nil {
			return nil, 0, err
		}
		if end = last.Position; end >= atLeast {
			break
		}
		if !pause(ctx, firstPause) { // the leader is a new one
			return nil, 0, eventlog.ErrUnavailable
		}
	}
	at, err := s.positions(ctx, []projection.Span{{Chat: chat, From: seq, To: seq}})
	if err != nil || at[0][0] == 0 {
		return nil, end, err
	}
	edits, err := s.edits(ctx, []revisions.Ask{{Chat: chat, Seqs: []uint64{seq}}}, map[proto.Token]uint64{chat: end})
	if err != nil {
		return nil, 0, err
	}
	t = &target{chat: chat, seq: seq, position: at[0][0]}
	places := []uint64{t.position}
	if edits[0].Newest[0] != 0 {
		places = append(places, edits[0].Newest[0])
	}
	entries, err := s.log.Get(ctx, places)
	if err != nil {
		return nil, 0, err
	}
	if !hasMessageID(entries[0].Body, messageID) {
		return nil, end, nil
	}
	if err := wire.Restore(entries[0].Body, &t.sent); err != nil {
		return nil, 0, fmt.Errorf("read message %d: %w", t.position, err)
	}
	if len(places) > 1 {
		if entries[1].Position == 0 { // deleted from the log: what the message is now is not known
			return nil, end, nil
		}
		if t.newest, err = revisionOf(entries[1]); err != nil {
			return nil, 0, err
		}
	}
	return t, max(end, edits[0].UpTo), nil
}

// edits reads the newest edits of messages, with Redis brought up to where the
// edit logs of their chats are known to be.
func (s *Service) edits(ctx context.Context, asks []revisions.Ask, upTo map[proto.Token]uint64) ([]revisions.Edited, error) {
	for tries := 0; ; tries++ {
		out, err := s.revisions.Edits(ctx, asks)
		if err != nil {
			return nil, err
		}
		behind := false
		if tries > 1 && !pause(ctx, firstPause) { // a replica that does not have them yet
			return nil, eventlog.ErrUnavailable
		}
		for i, a := range asks {
			if out[i].UpTo < upTo[a.Chat] {
				behind = true
				if err := s.healEdits(ctx, a.Chat, out[i].UpTo); err != nil {
					return nil, err
				}
			}
		}
		if !behind {
			return out, nil
		}
	}
}

// healEdits applies a chat's edits from a position on, as the log has them.
func (s *Service) healEdits(ctx context.Context, chat proto.Token, after uint64) error {
	for {
		page, more, err := s.log.Range(ctx, proto.Events.Name, proto.ChatLog(chat, proto.KindEdit), after+1, healPage, healBytes)
		if err != nil {
			return fmt.Errorf("heal edits of chat %s: %w", chat, err)
		}
		if len(page) == 0 {
			return ctx.Err()
		}
		edits := make([]revisions.Edit, len(page))
		for i, e := range page {
			edits[i] = editOf(e.Seq, &e)
		}
		upTo, err := s.revisions.Apply(ctx, chat, after, edits)
		if err != nil {
			return err
		}
		count(s.metrics.healed, len(page))
		last := edits[len(edits)-1].Position
		if upTo < last { // flushed meanwhile
			after = upTo
			continue
		}
		if after = last; !more {
			return nil
		}
	}
}

// revisionKey is the log's idempotency key of a request that revises: a
// gateway's repeats of one request are one entry.
func revisionKey(who caller, chatID string) string {
	sum := sha256.Sum256(appendTexts(nil, "revision", who.User, chatID, who.requestID))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}
