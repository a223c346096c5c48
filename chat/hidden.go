package chat

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"supmesh.dev/chat/revisions"
	"supmesh.dev/proto"
	"supmesh.dev/services/wire"
)

// hidden says when a user has hidden messages, 0 where not. What Redis does not
// know of this user is read from the user's log first.
func (s *Service) hidden(ctx context.Context, user proto.Token, asks []revisions.Ask) ([][]uint64, error) {
	for {
		when, mark, err := s.revisions.Hidden(ctx, user, asks)
		if err != nil || mark.Whole() {
			return when, err
		}
		if err := s.readHidden(ctx, user); err != nil {
			return nil, err
		}
	}
}

// readHidden reads the next page of a user's log. Whoever comes next goes on
// where the page ends, also when this request's time is over.
func (s *Service) readHidden(ctx context.Context, user proto.Token) error {
	mark, err := s.revisions.Begin(ctx, user, rand.Text())
	if err != nil || mark.Whole() {
		return err
	}
	page, more, err := s.log.Range(ctx, proto.Events.Name, proto.UserLog(user), mark.Position+1, healPage, healBytes)
	if err != nil {
		return fmt.Errorf("read what %s has hidden: %w", user, err)
	}
	var found []revisions.Hiding
	at := mark.Position
	for _, e := range page {
		at = e.Position
		if e.Event != proto.MessageDeletedEvent.Name {
			continue
		}
		var event proto.MessageDeleted
		chat := proto.Token("")
		err := wire.Restore(e.Body, &event)
		if err == nil {
			chat, err = proto.EncodeID(event.ChatID)
		}
		if err != nil { // nobody can read it: it must not stand in the way
			s.host.Log().ErrorContext(ctx, "entry of a user cannot be read", "position", e.Position, "error", err)
			continue
		}
		found = append(found, hidingOf(chat, &event))
	}
	return s.revisions.Found(ctx, user, found, mark, mark.Moved(at, !more))
}

func hidingOf(chat proto.Token, event *proto.MessageDeleted) revisions.Hiding {
	return revisions.Hiding{Chat: chat, Seq: event.Seq, When: uint64(event.DeletedAt.UnixMilli())}
}

func atMillis(ms uint64) proto.Timestamp { return proto.At(time.UnixMilli(int64(ms))) }

// visible is items without those that a user has hidden.
func (s *Service) visible(ctx context.Context, user proto.Token, items []item) ([]item, error) {
	if len(items) == 0 {
		return items, nil
	}
	asks, place := byChat(items)
	when, err := s.hidden(ctx, user, asks)
	if err != nil {
		return nil, err
	}
	out := items[:0]
	for i, it := range items {
		if when[place[i].ask][place[i].n] == 0 {
			out = append(out, it)
		}
	}
	return out, nil
}

// byChat groups items by chat; place says where each of them is.
func byChat(items []item) (asks []revisions.Ask, place []placeInAsk) {
	at := make(map[proto.Token]int)
	place = make([]placeInAsk, len(items))
	for i, it := range items {
		ask, ok := at[it.chat]
		if !ok {
			ask = len(asks)
			at[it.chat] = ask
			asks = append(asks, revisions.Ask{Chat: it.chat})
		}
		place[i] = placeInAsk{ask, len(asks[ask].Seqs)}
		asks[ask].Seqs = append(asks[ask].Seqs, it.seq)
	}
	return asks, place
}

type placeInAsk struct{ ask, n int }
