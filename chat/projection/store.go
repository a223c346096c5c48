package projection

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"supmesh.dev/chat/projection/pipeline"
	"supmesh.dev/proto"
)

// ErrDown: Redis does not answer; the caller decides what that means.
var ErrDown = pipeline.ErrDown

var (
	storedLua = redis.NewScript(storedScript)
	healedLua = redis.NewScript(healedScript)
	cursorLua = redis.NewScript(CursorScript)
)

// Store reads and writes the projection.
type Store struct {
	client    redis.UniversalClient
	pipe      *pipeline.Pipeline
	questions *reused[question]
	records   *reused[record]
}

// New makes a store. Each function of Lanes must be running.
func New(client redis.UniversalClient) *Store {
	return &Store{
		client: client, pipe: pipeline.New(client, storedLua, healedLua, cursorLua),
		questions: newReused(client, newQuestion), records: newReused(client, newRecord),
	}
}

// Lanes is what must run for the store to work, each until its context ends.
func (s *Store) Lanes() []func(context.Context) error { return s.pipe.Lanes() }

// Member is one membership.
type Member struct {
	Role   proto.Role
	Joined uint64 // position of the entry that made the member
}

// ParseMember reads a membership as it stands in Redis.
func ParseMember(v string) (Member, bool) {
	role, joined, ok := strings.Cut(v, " ")
	n, err := strconv.ParseUint(joined, 10, 64)
	return Member{Role: proto.Role(role), Joined: n}, ok && err == nil
}

// Head is how far the projection of a chat's messages is: the last one that is
// indexed with all before it.
type Head struct{ Seq, Position uint64 }

// ParseHead reads a head as it stands in Redis.
func ParseHead(v string) (h Head) {
	seq, position, _ := strings.Cut(v, " ")
	h.Seq, _ = strconv.ParseUint(seq, 10, 64)
	h.Position, _ = strconv.ParseUint(position, 10, 64)
	return h
}

// Healed is one message read back from the log.
type Healed struct {
	Seq, Position uint64
	User          proto.Token // the sender; empty: unknown
	Key, Content  string
	Time          time.Time
}

// Heal writes a range of messages that follows seq after, in order, and moves
// the head over it if it was at after or beyond. It returns the head.
func (s *Store) Heal(ctx context.Context, chat proto.Token, after uint64, entries []Healed, now time.Time) (head uint64, err error) {
	cmds := make([]redis.Cmder, 0, 2*len(entries)+3)
	sent := map[uint64]bool{} // periods
	read := map[proto.Token]uint64{}
	for _, m := range entries {
		var packed [8]byte
		binary.BigEndian.PutUint64(packed[:], m.Position)
		cmds = append(cmds, redis.NewCmd(ctx, "setrange", proto.IndexKey(chat, m.Seq), m.Seq%proto.IndexBlock*8, packed[:]))
		if m.Key != "" && m.Content != "" && now.Sub(m.Time) < SentFor {
			period := sentPeriodOf(m.Time)
			cmds = append(cmds, redis.NewCmd(ctx, "hset", proto.SentKey(chat, period), sentMark, "", m.Key, appendSent(nil, m.Position, m.Content)))
			sent[period] = true
		}
		if m.User != "" {
			read[m.User] = m.Seq
		}
	}
	for period := range sent {
		cmds = append(cmds, redis.NewCmd(ctx, "expire", proto.SentKey(chat, period), sentLifetimeSeconds))
	}
	if len(read) > 0 {
		args := []any{"evalsha", cursorLua.Hash(), 1, proto.CursorsKey(chat)}
		for user, seq := range read {
			args = append(args, string(user), seq)
		}
		cmds = append(cmds, redis.NewCmd(ctx, args...))
	}
	last := entries[len(entries)-1]
	moved := redis.NewCmd(ctx, "evalsha", healedLua.Hash(), 1, proto.CursorsKey(chat), after, last.Seq, last.Position)
	err = s.pipe.Do(ctx, string(chat), append(cmds, moved)...)
	if err != nil {
		return 0, fmt.Errorf("heal chat %s: %w", chat, err)
	}
	n, err := moved.Int64()
	return uint64(n), err
}

// Advance moves one cursor of a chat forward: of a user's device, or of what
// the user has read where device is empty.
func (s *Store) Advance(ctx context.Context, chat, user, device proto.Token, seq uint64) error {
	field := string(user)
	if device != "" {
		field += "/" + string(device)
	}
	err := s.pipe.Do(ctx, string(chat), redis.NewCmd(ctx, "evalsha", cursorLua.Hash(), 1, proto.CursorsKey(chat), field, seq))
	if err != nil {
		return fmt.Errorf("advance cursor in chat %s: %w", chat, err)
	}
	return nil
}

// Head reads how far the projection of a chat is.
func (s *Store) Head(ctx context.Context, chat proto.Token) (Head, error) {
	head := redis.NewStringCmd(ctx, "hget", proto.CursorsKey(chat), proto.CursorHead)
	err := s.pipe.Do(ctx, string(chat), head)
	if err != nil {
		return Head{}, fmt.Errorf("read head of chat %s: %w", chat, err)
	}
	return ParseHead(head.Val()), nil
}

// Span is a range of a chat's seqs, both ends included.
type Span struct {
	Chat     proto.Token
	From, To uint64
}

// Positions reads the index: for each span, the position of each seq, 0 where
// the index has none.
func (s *Store) Positions(ctx context.Context, spans []Span) ([][]uint64, error) {
	pipe := s.client.Pipeline()
	parts := make([][]*redis.StringCmd, len(spans))
	for i, span := range spans {
		for from := span.From; from <= span.To; {
			to := min(span.To, from/proto.IndexBlock*proto.IndexBlock+proto.IndexBlock-1)
			parts[i] = append(parts[i], pipe.GetRange(ctx, proto.IndexKey(span.Chat, from),
				int64(from%proto.IndexBlock*8), int64(to%proto.IndexBlock*8+7)))
			from = to + 1
		}
	}
	if err := Exec(ctx, pipe); err != nil {
		return nil, fmt.Errorf("read index: %w", err)
	}
	out := make([][]uint64, len(spans))
	for i, span := range spans {
		out[i] = make([]uint64, span.To-span.From+1)
		from := span.From
		for _, part := range parts[i] {
			raw := part.Val()
			for at := 0; at+8 <= len(raw); at += 8 {
				out[i][from-span.From+uint64(at/8)] = binary.BigEndian.Uint64([]byte(raw[at : at+8]))
			}
			from = from/proto.IndexBlock*proto.IndexBlock + proto.IndexBlock
		}
	}
	return out, nil
}

// Exec runs a pipeline and tells Redis being down (ErrDown) from its errors;
// what is not there is no error.
func Exec(ctx context.Context, pipe redis.Pipeliner) error {
	cmds, _ := pipe.Exec(ctx)
	return Outcome(ctx, pipeline.Worst(cmds))
}

// Outcome is err as nil, ErrDown, ctx's error or what Redis answered.
func Outcome(ctx context.Context, err error) error {
	var answered redis.Error
	switch {
	case err == nil || errors.Is(err, redis.Nil):
		return nil
	case errors.As(err, &answered):
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return fmt.Errorf("%w: %w", ErrDown, err)
}
