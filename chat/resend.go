package chat

import (
	"context"
	"encoding/json"
	"fmt"

	"supmesh.dev/chat/eventlog"
	"supmesh.dev/chat/revisions"
	"supmesh.dev/proto"
)

// storedBefore is the ack of a send that the log already has, if its content is the
// same: the message as it is now, edited or gone. blind: Redis does not answer.
func (s *Service) storedBefore(ctx context.Context, send *sending, position uint64, blind bool) (sendRes, error) {
	entry, err := s.entryAt(ctx, position)
	if err != nil {
		return sendRes{}, err
	}
	if entry.Content != send.id.content {
		return sendRes{}, errTempIDReused()
	}
	var stored proto.NewMessage
	if err := json.Unmarshal(entry.Body, &stored); err != nil { // our own: no limit of depth applies
		return sendRes{}, err
	}
	newest, err := s.newestEdit(ctx, send.chat.token, &entry, blind)
	if err != nil {
		return sendRes{}, err
	}
	present(&stored.Message, newest, s.host.Now())
	count(s.metrics.duplicates, 1)
	stored.Message.TempID = send.req.TempID
	// Without a tempId only this very request can have stored it, on an earlier try.
	return sendRes{Message: stored.Message, Sender: stored.Sender, Duplicate: send.req.TempID != ""}, nil
}

// newestEdit is what has become of a stored message; nil: nothing.
func (s *Service) newestEdit(ctx context.Context, chat proto.Token, message *eventlog.Entry, blind bool) (*revision, error) {
	if blind {
		return s.loggedEdit(ctx, chat, message)
	}
	last, err := s.log.Last(ctx, proto.Events.Name, proto.ChatLog(chat, proto.KindEdit))
	if err != nil || last.Position < message.Position {
		return nil, err
	}
	edits, err := s.edits(ctx, []revisions.Ask{{Chat: chat, Seqs: []uint64{message.Seq}}}, map[proto.Token]uint64{chat: last.Position})
	if err != nil || edits[0].Newest[0] == 0 {
		return nil, err
	}
	edit, err := s.entryAt(ctx, edits[0].Newest[0])
	if err != nil {
		return nil, err
	}
	return revisionOf(edit)
}

// loggedEdit is newestEdit without Redis: it reads the edits of the chat behind the
// message. The log recognises a repeat for two minutes, so these are few.
func (s *Service) loggedEdit(ctx context.Context, chat proto.Token, message *eventlog.Entry) (*revision, error) {
	var newest *eventlog.Entry
	for after, more := message.Position, true; more; {
		var page []eventlog.Entry
		var err error
		if page, more, err = s.log.Range(ctx, proto.Events.Name, proto.ChatLog(chat, proto.KindEdit), after+1, healPage, healBytes); err != nil {
			return nil, fmt.Errorf("read edits of chat %s: %w", chat, err)
		}
		for i := range page {
			after = page[i].Position
			if page[i].Seq == message.Seq {
				newest = &page[i]
			}
		}
		more = more && len(page) > 0
	}
	if newest == nil {
		return nil, nil //nolint:nilnil // nothing has become of it
	}
	return revisionOf(*newest)
}
