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

// SentFor is how long a send stays idempotent (CONTRACT §4.1).
const SentFor = 24 * time.Hour

var (
	storedLua = redis.NewScript(storedScript)
	healedLua = redis.NewScript(healedScript)
	cursorLua = redis.NewScript(CursorScript)
)

// Store reads and writes the projection.
type Store struct {
	client redis.UniversalClient
	pipe   *pipeline.Pipeline
}

// New makes a store. Each function of Lanes must be running.
func New(client redis.UniversalClient) *Store {
	return &Store{client: client, pipe: pipeline.New(client, storedLua, healedLua, cursorLua)}
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

// FieldHead is the field of a chat's hash that ParseHead reads.
const FieldHead = "head"

// ParseHead reads a head as it stands in Redis.
func ParseHead(v string) (h Head) {
	seq, position, _ := strings.Cut(v, " ")
	h.Seq, _ = strconv.ParseUint(seq, 10, 64)
	h.Position, _ = strconv.ParseUint(position, 10, 64)
	return h
}

// Keys are one chat's keys, made once for many operations.
type Keys struct {
	Chat                   proto.Token
	head, members, cursors string
}

// KeysOf makes a chat's keys.
func KeysOf(chat proto.Token) Keys {
	return Keys{chat, proto.ChatKey(chat), proto.MembersKey(chat), proto.CursorsKey(chat)}
}

// Sent is the record of a send under an idempotency key.
type Sent struct {
	Position uint64
	Content  string
}

// SendView is what a send has to know.
type SendView struct {
	Head     Head
	Member   Member
	IsMember bool
	Sent     *Sent  // nil: no record
	Reply    uint64 // position of the message replied to; 0: not indexed
}

// ForSend reads, in one go, the chat's head and the sender's membership, the
// record of key if there is a key, and the index at reply if that is not 0.
func (s *Store) ForSend(ctx context.Context, keys *Keys, user proto.Token, key string, reply uint64) (SendView, error) {
	chat := keys.Chat
	var head, member, sent, index *redis.StringCmd
	err := s.pipe.Do(ctx, string(chat), func(p redis.Pipeliner) {
		head = p.HGet(ctx, keys.head, FieldHead)
		member = p.HGet(ctx, keys.members, string(user))
		if key != "" {
			sent = p.Get(ctx, proto.SentKey(chat, key))
		}
		if reply != 0 {
			at := int64(reply % proto.IndexBlock * 8)
			index = p.GetRange(ctx, proto.IndexKey(chat, reply), at, at+7)
		}
	})
	if err != nil {
		return SendView{}, fmt.Errorf("read chat %s: %w", chat, err)
	}
	v := SendView{Head: ParseHead(head.Val())}
	v.Member, v.IsMember = ParseMember(member.Val())
	if sent != nil && sent.Val() != "" {
		position, content, _ := strings.Cut(sent.Val(), " ")
		n, _ := strconv.ParseUint(position, 10, 64)
		v.Sent = &Sent{Position: n, Content: content}
	}
	if index != nil && len(index.Val()) == 8 {
		v.Reply = binary.BigEndian.Uint64([]byte(index.Val()))
	}
	return v, nil
}

// Stored is one message as the projection needs it.
type Stored struct {
	Keys          *Keys
	Seq, Position uint64
	User, Device  proto.Token // the sender
	Key, Content  string      // idempotency; empty Key: none
}

// Stored records a message; done is called from the lane with the outcome.
func (s *Store) Stored(m Stored, done func(error)) {
	var packed [8]byte
	binary.BigEndian.PutUint64(packed[:], m.Position)
	// What EvalSha would put together from keys and arguments, in one piece.
	args := make([]any, 0, 15)
	args = append(args, "evalsha", storedLua.Hash(), 3, m.Keys.head, proto.IndexKey(m.Keys.Chat, m.Seq), m.Keys.cursors)
	if m.Key != "" {
		args[2] = 4
		args = append(args, proto.SentKey(m.Keys.Chat, m.Key))
	}
	args = append(args, m.Seq, m.Position, m.Seq%proto.IndexBlock*8, packed[:], string(m.User), string(m.User)+"/"+string(m.Device))
	if m.Key != "" {
		args = append(args, sentRecord(m.Position, m.Content), sentForSeconds)
	}
	s.pipe.Submit(string(m.Keys.Chat), &pipeline.Op{Done: done, Fill: func(p redis.Pipeliner) {
		p.Do(context.Background(), args...)
	}})
}

var sentForSeconds any = int(SentFor / time.Second)

func sentRecord(position uint64, content string) string {
	return strconv.FormatUint(position, 10) + " " + content
}

// Healed is one message read back from the log.
type Healed struct {
	Seq, Position uint64
	User          proto.Token // the sender; empty: unknown
	Key, Content  string
	Age           time.Duration
}

// Heal writes a range of messages that follows seq after, in order, and moves
// the head over it if it was at after or beyond. It returns the head.
func (s *Store) Heal(ctx context.Context, chat proto.Token, after uint64, entries []Healed) (head uint64, err error) {
	var moved *redis.Cmd
	err = s.pipe.Do(ctx, string(chat), func(p redis.Pipeliner) {
		bg := context.Background()
		read := map[proto.Token]uint64{}
		for _, m := range entries {
			var packed [8]byte
			binary.BigEndian.PutUint64(packed[:], m.Position)
			p.SetRange(bg, proto.IndexKey(chat, m.Seq), int64(m.Seq%proto.IndexBlock*8), string(packed[:]))
			if left := SentFor - m.Age; m.Key != "" && m.Content != "" && left > 0 {
				p.Set(bg, proto.SentKey(chat, m.Key), sentRecord(m.Position, m.Content), left)
			}
			if m.User != "" {
				read[m.User] = m.Seq
			}
		}
		if len(read) > 0 {
			args := make([]any, 0, 2*len(read))
			for user, seq := range read {
				args = append(args, string(user), seq)
			}
			cursorLua.EvalSha(bg, p, []string{proto.CursorsKey(chat)}, args...)
		}
		last := entries[len(entries)-1]
		moved = healedLua.EvalSha(bg, p, []string{proto.ChatKey(chat)}, after, last.Seq, last.Position)
	})
	if err != nil {
		return 0, fmt.Errorf("heal chat %s: %w", chat, err)
	}
	n, err := moved.Int64()
	return uint64(n), err
}

// Advance moves the cursors of a user in a chat forward: of what one device
// has, and of what is read. 0 leaves one as it is.
func (s *Store) Advance(ctx context.Context, chat, user, device proto.Token, delivered, read uint64) error {
	var args []any
	if delivered > 0 {
		args = append(args, string(user)+"/"+string(device), delivered)
	}
	if read > 0 {
		args = append(args, string(user), read)
	}
	if len(args) == 0 {
		return nil
	}
	err := s.pipe.Do(ctx, string(chat), func(p redis.Pipeliner) {
		cursorLua.EvalSha(context.Background(), p, []string{proto.CursorsKey(chat)}, args...)
	})
	if err != nil {
		return fmt.Errorf("advance cursors in chat %s: %w", chat, err)
	}
	return nil
}

// Head reads how far the projection of a chat is.
func (s *Store) Head(ctx context.Context, chat proto.Token) (Head, error) {
	var head *redis.StringCmd
	err := s.pipe.Do(ctx, string(chat), func(p redis.Pipeliner) {
		head = p.HGet(ctx, proto.ChatKey(chat), FieldHead)
	})
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
