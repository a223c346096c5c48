package chat

import (
	"context"
	"fmt"
	"slices"

	"supmesh.dev/chat/eventlog"
	"supmesh.dev/chat/projection"
	"supmesh.dev/proto"
	"supmesh.dev/services"
)

// firstChunk is how many messages are read at once when a page begins, and maxChunk the
// most later: as many as are expected to fit by the size of those before.
const (
	firstChunk = 25
	maxChunk   = 100
)

// itemFrame is what a message's item in an answer has beside its chat and its body, in bytes.
const itemFrame = 96

// positions reads the index for spans that end at or before their chat's last
// message; what is missing there is healed first. What the log itself does not
// have any more stays 0.
func (s *Service) positions(ctx context.Context, spans []projection.Span) ([][]uint64, error) {
	at, err := s.state.Positions(ctx, spans)
	if err != nil {
		return nil, err
	}
	healed := false
	for i, span := range spans {
		if !slices.Contains(at[i], 0) {
			continue
		}
		if err := s.heal(ctx, span.Chat, span.To); err != nil {
			return nil, err
		}
		healed = true
	}
	if !healed {
		return at, nil
	}
	return s.state.Positions(ctx, spans)
}

// entryAt reads one entry that is known to be stored.
func (s *Service) entryAt(ctx context.Context, position uint64) (eventlog.Entry, error) {
	entries, err := s.log.Get(ctx, []uint64{position})
	if err != nil {
		return eventlog.Entry{}, err
	}
	if entries[0].Position == 0 {
		return eventlog.Entry{}, fmt.Errorf("entry %d has been deleted from the log", position)
	}
	return entries[0], nil
}

// item is one message's place.
type item struct {
	chatID        string
	chat          proto.Token
	seq, position uint64
}

// itemsOf are the messages of a span that the index knows.
func itemsOf(chatID string, span projection.Span, positions []uint64) []item {
	out := make([]item, 0, len(positions))
	for i, p := range positions {
		if p != 0 {
			out = append(out, item{chatID: chatID, chat: span.Chat, seq: span.From + uint64(i), position: p})
		}
	}
	return out
}

// fetch reads messages as they are now, in the order given, until the answer's room is full, and
// says how many of items it got through. A message that the log has deleted, or the newest edit of
// it, is left out. upTo is where the edit log of each chat is known to be.
func (s *Service) fetch(ctx context.Context, items []item, upTo map[proto.Token]uint64, room *services.Room) (page []proto.LogItem, through int, err error) {
	page = make([]proto.LogItem, 0, min(len(items), maxChunk))
	filled := 0
	for n := firstChunk; through < len(items); {
		chunk := items[through:min(through+n, len(items))]
		entries, edits, err := s.fetchChunk(ctx, chunk, upTo)
		if err != nil {
			return nil, 0, err
		}
		now := s.host.Now()
		for i, e := range entries {
			if e.Position != 0 {
				body, err := presentBody(e.Body, edits[i], now)
				if err != nil {
					return nil, 0, fmt.Errorf("message %d of chat %s: %w", chunk[i].seq, chunk[i].chat, err)
				}
				frame := proto.EncodedLen(chunk[i].chatID) + itemFrame
				if len(body)+frame > room.Whole() {
					s.host.Log().ErrorContext(ctx, "a message fits no answer: max_payload has been lowered", "chat", chunk[i].chat, "seq", chunk[i].seq, "bytes", len(body))
					s.metrics.oversized.Add(ctx, 1)
					if body, err = withoutContent(body); err != nil {
						return nil, 0, err
					}
				}
				size := len(body) + frame
				if !room.Fits(size) {
					return page, through, nil
				}
				filled += size
				page = append(page, proto.LogItem{ChatID: chunk[i].chatID, Seq: chunk[i].seq, Position: e.Position, Body: body})
			}
			through++
		}
		n = maxChunk
		if len(page) > 0 {
			n = min(room.Left()/(filled/len(page))+1, maxChunk)
		}
	}
	return page, through, nil
}

// fetchChunk reads messages and, of those that have any, the newest edit, all
// in one direct get.
func (s *Service) fetchChunk(ctx context.Context, chunk []item, upTo map[proto.Token]uint64) (entries []eventlog.Entry, edits []*eventlog.Entry, err error) {
	asks, place := byChat(chunk)
	known, err := s.edits(ctx, asks, upTo)
	if err != nil {
		return nil, nil, err
	}
	at := make([]uint64, len(chunk), 2*len(chunk))
	of := make([]int, 0, len(chunk)) // of each edit asked for, whose it is
	for i, it := range chunk {
		at[i] = it.position
		if p := known[place[i].ask].Newest[place[i].n]; p != 0 {
			at, of = append(at, p), append(of, i)
		}
	}
	got, err := s.log.Get(ctx, at)
	if err != nil {
		return nil, nil, err
	}
	entries, edits = got[:len(chunk)], make([]*eventlog.Entry, len(chunk))
	for k, i := range of {
		if edits[i] = &got[len(chunk)+k]; edits[i].Position == 0 {
			entries[i].Position = 0 // what the message is now, or whether it is deleted, is not known
		}
	}
	return entries, edits, nil
}

// ends are where the logs of a chat's messages end.
type ends struct {
	last  eventlog.Entry // message
	edits uint64         // position of the last edit
}

// ends asks the log where it ends for each of the chats: nothing that was acknowledged
// before is missing.
func (s *Service) ends(ctx context.Context, chats []proto.Token) (map[proto.Token]ends, error) {
	subjects := make([]string, 0, 2*len(chats))
	for _, c := range chats {
		subjects = append(subjects, proto.ChatLog(c, proto.KindMessage), proto.ChatLog(c, proto.KindEdit))
	}
	entries, _, err := s.log.LastOfEach(ctx, subjects, 0)
	if err != nil {
		return nil, err
	}
	out := make(map[proto.Token]ends, len(chats))
	for _, e := range entries {
		chat, kind, err := proto.ParseChatSubject(e.Subject)
		if err != nil {
			return nil, err
		}
		end := out[chat]
		if kind == proto.KindMessage {
			end.last = e
		} else {
			end.edits = e.Position
		}
		out[chat] = end
	}
	return out, nil
}

// editEnds is where the edit logs end of the chats that items are of.
func (s *Service) editEnds(ctx context.Context, items []item) (map[proto.Token]uint64, error) {
	upTo := make(map[proto.Token]uint64)
	var chats []proto.Token
	for _, it := range items {
		if _, ok := upTo[it.chat]; !ok {
			upTo[it.chat] = 0
			chats = append(chats, it.chat)
		}
	}
	// With the messages' own subjects: an answer about subjects that have no entry
	// does not say up to where the replica is current.
	end, err := s.ends(ctx, chats)
	if err != nil {
		return nil, err
	}
	for chat, e := range end {
		upTo[chat] = e.edits
	}
	return upTo, nil
}
