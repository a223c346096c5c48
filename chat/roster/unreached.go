package roster

import (
	"context"
	"fmt"
	"strconv"

	"supmesh.dev/chat/projection"
	"supmesh.dev/proto"
)

// Progress is how far one member is in a chat.
type Progress struct {
	Listed
	Stay      Stay
	Delivered uint64 // the furthest of the member's devices; 0: none
	Read      uint64 // cursor of the user; 0: none
}

// Progress reads how far the members of a page are. whole is false where the mark
// does not stand: then nothing is known. Its cost is that of the page, however many
// the chat's members are.
func (s *Store) Progress(ctx context.Context, chat proto.Token, page []Listed) (out []Progress, whole bool, err error) {
	pipe := s.client.Pipeline()
	devices := make([]func() []string, len(page))
	for i, m := range page {
		cmd := pipe.HKeys(ctx, proto.DevicesKey(m.User))
		devices[i] = cmd.Val
	}
	if err := projection.Exec(ctx, pipe); err != nil {
		return nil, false, fmt.Errorf("read devices of %d members of chat %s: %w", len(page), chat, err)
	}
	var fields []string
	var of []int // of each field, whose it is
	for i, m := range page {
		fields, of = append(fields, string(m.User)), append(of, i)
		for _, device := range devices[i]() {
			fields, of = append(fields, string(m.User)+"/"+device), append(of, i)
		}
	}
	pipe = s.client.Pipeline()
	cursors, away := func() []any { return nil }, func() []any { return nil }
	if len(page) > 0 {
		users := make([]string, len(page))
		for i, m := range page {
			users[i] = string(m.User)
		}
		cmd := pipe.HMGet(ctx, proto.AwayKey(chat), users...)
		away = cmd.Val
	}
	if len(fields) > 0 {
		cmd := pipe.HMGet(ctx, proto.CursorsKey(chat), fields...)
		cursors = cmd.Val
	}
	mark := pipe.Exists(ctx, s.mark) // last: what was read before it stands was whole
	if err := projection.Exec(ctx, pipe); err != nil {
		return nil, false, fmt.Errorf("read cursors of %d members of chat %s: %w", len(page), chat, err)
	}
	out = make([]Progress, len(page))
	absences := away()
	for i, m := range page {
		text, _ := absences[i].(string)
		out[i].Listed, out[i].Stay = m, stayOf(m.Member, text)
	}
	for k, v := range cursors() {
		text, ok := v.(string)
		if !ok {
			continue
		}
		seq, _ := strconv.ParseUint(text, 10, 64)
		at := &out[of[k]]
		if fields[k] == string(at.User) {
			at.Read = seq
		} else {
			at.Delivered = max(at.Delivered, seq)
		}
	}
	return out, mark.Val() == 1, nil
}
