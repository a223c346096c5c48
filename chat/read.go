package chat

import (
	"context"
	"fmt"
	"slices"

	"supmesh.dev/chat/eventlog"
	"supmesh.dev/chat/projection"
	"supmesh.dev/proto"
)

// pageBytes bounds a page of messages: NATS carries 1 MiB a message by default.
const pageBytes = 700 << 10

// getChunk is how many entries are asked for at once while a page fills.
const getChunk = 64

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
	for {
		entries, err := s.log.Get(ctx, []uint64{position})
		if err != nil {
			return eventlog.Entry{}, err
		}
		if entries[0].Position == position {
			return entries[0], nil
		}
		if !pause(ctx, firstPause) {
			return eventlog.Entry{}, fmt.Errorf("entry %d: %w", position, eventlog.ErrUnavailable)
		}
	}
}

// item is one message's place.
type item struct {
	chatID        string
	seq, position uint64
}

// fetch reads messages in the order given until the page is full, and says how
// many of items it got through. What the log does not have is left out.
func (s *Service) fetch(ctx context.Context, items []item) (page []proto.LogItem, through int, err error) {
	page = make([]proto.LogItem, 0, len(items))
	size := 0
	for through < len(items) {
		chunk := items[through:min(through+getChunk, len(items))]
		at := make([]uint64, len(chunk))
		for i, it := range chunk {
			at[i] = it.position
		}
		entries, err := s.log.Get(ctx, at)
		if err != nil {
			return nil, 0, err
		}
		for i, e := range entries {
			if e.Position != 0 {
				if size += len(e.Body) + 300; size > pageBytes && len(page) > 0 {
					return page, through, nil
				}
				page = append(page, proto.LogItem{ChatID: chunk[i].chatID, Seq: chunk[i].seq, Position: e.Position, Body: e.Body})
			}
			through++
		}
	}
	return page, through, nil
}
