package revisions

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"supmesh.dev/chat/projection"
	"supmesh.dev/proto"
)

// Range is the messages of a chat with After < seq ≤ To.
type Range struct{ After, To uint64 }

func (r Range) holds(seq uint64) bool { return seq > r.After && seq <= r.To }

// UnseenAsk asks about some messages of one chat for one user.
type UnseenAsk struct {
	Chat, User proto.Token
	Ranges     []Range
}

func (a *UnseenAsk) holds(seq uint64) bool {
	return slices.ContainsFunc(a.Ranges, func(r Range) bool { return r.holds(seq) })
}

// HiddenIn lists, for each ask, the messages that its user has hidden, and the user's
// mark. The list is all there is only if the mark is whole. It costs one field a message
// that the user has hidden in the chat.
func (s *Store) HiddenIn(ctx context.Context, asks []UnseenAsk) (seqs [][]uint64, marks []Mark, err error) {
	pipe := s.client.Pipeline()
	at, fields := make([]func() string, len(asks)), make([]func() []string, len(asks))
	for i := range asks {
		at[i] = pipe.Get(ctx, proto.HiddenMarkKey(asks[i].User)).Val
		fields[i] = pipe.HKeys(ctx, proto.HiddenKey(asks[i].User, asks[i].Chat)).Val
	}
	if err := projection.Exec(ctx, pipe); err != nil {
		return nil, nil, fmt.Errorf("read what %d users have hidden: %w", len(asks), err)
	}
	seqs, marks = make([][]uint64, len(asks)), make([]Mark, len(asks))
	for i := range asks {
		marks[i] = parseMark(at[i]())
		for _, text := range fields[i]() {
			if seq, err := strconv.ParseUint(text, 10, 64); err == nil && asks[i].holds(seq) {
				seqs[i] = append(seqs[i], seq)
			}
		}
	}
	return seqs, marks, nil
}

// Unseen counts, for each ask, the messages of which history shows nothing at a moment:
// deleted for everyone, expired, or among those hidden. upTo is, for each ask, the
// position up to which every edit of its chat is counted. The cost does not grow with the
// ranges, nor with the deletions in them.
func (s *Store) Unseen(ctx context.Context, asks []UnseenAsk, hidden [][]uint64, now time.Time) (unseen, upTo []uint64, err error) {
	of := map[proto.Token][]int{}
	var chats []proto.Token
	for i := range asks {
		if of[asks[i].Chat] == nil {
			chats = append(chats, asks[i].Chat)
		}
		of[asks[i].Chat] = append(of[asks[i].Chat], i)
	}
	pipe := s.client.Pipeline()
	answers := make([]func() ([]int64, error), len(chats))
	for k, chat := range chats {
		args := []any{now.UnixMilli()}
		for _, i := range of[chat] {
			args = append(args, len(asks[i].Ranges))
			for _, r := range asks[i].Ranges {
				args = append(args, r.After, r.To)
			}
			args = append(args, len(hidden[i]))
			for _, seq := range hidden[i] {
				args = append(args, seq)
			}
		}
		answers[k] = unseenLua.Eval(ctx, pipe, []string{proto.EditsKey(chat), proto.GoneKey(chat), proto.ExpiringKey(chat)}, args...).Int64Slice
	}
	if err := projection.Exec(ctx, pipe); err != nil {
		return nil, nil, fmt.Errorf("count what is gone of %d chats: %w", len(chats), err)
	}
	unseen, upTo = make([]uint64, len(asks)), make([]uint64, len(asks))
	for k, chat := range chats {
		answer, err := answers[k]()
		if err != nil || len(answer) != 1+len(of[chat]) {
			return nil, nil, fmt.Errorf("count what is gone of chat %s: %d answers: %w", chat, len(answer), err)
		}
		for n, i := range of[chat] {
			upTo[i], unseen[i] = uint64(answer[0]), uint64(answer[1+n])
		}
	}
	return unseen, upTo, nil
}
