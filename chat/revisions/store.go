package revisions

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"supmesh.dev/chat/projection"
	"supmesh.dev/proto"
)

var (
	editsLua = redis.NewScript(editsScript)
	foundLua = redis.NewScript(foundScript)

	unseenLua = redis.NewScript(unseenScript)
)

// Store reads and writes the revisions.
type Store struct{ client redis.UniversalClient }

// New makes a store.
func New(client redis.UniversalClient) *Store { return &Store{client} }

// Ask names messages of one chat.
type Ask struct {
	Chat proto.Token
	Seqs []uint64
}

func (a *Ask) fields() []string {
	out := make([]string, len(a.Seqs))
	for i, seq := range a.Seqs {
		out[i] = strconv.FormatUint(seq, 10)
	}
	return out
}

// fieldUpTo is the field of a chat's edits beside the seqs.
const fieldUpTo = "upto"

// Edited is what is known of the messages of an Ask.
type Edited struct {
	UpTo   uint64   // every edit of the chat up to this position is here
	Newest []uint64 // for each seq the position of its newest edit; 0: none
}

// Edits reads the newest edits of messages, and how far the edits of their chats are.
func (s *Store) Edits(ctx context.Context, asks []Ask) ([]Edited, error) {
	pipe := s.client.Pipeline()
	rows := make([]*redis.SliceCmd, len(asks))
	for i := range asks {
		rows[i] = pipe.HMGet(ctx, proto.EditsKey(asks[i].Chat), append(asks[i].fields(), fieldUpTo)...)
	}
	if err := projection.Exec(ctx, pipe); err != nil {
		return nil, fmt.Errorf("read edits: %w", err)
	}
	out := make([]Edited, len(asks))
	for i := range asks {
		values := numbers(rows[i].Val())
		last := len(values) - 1
		out[i] = Edited{UpTo: values[last], Newest: values[:last]}
	}
	return out, nil
}

func numbers(values []any) []uint64 {
	out := make([]uint64, len(values))
	for i, v := range values {
		if text, ok := v.(string); ok {
			out[i], _ = strconv.ParseUint(text, 10, 64)
		}
	}
	return out
}

// Edit is one entry of a chat's edit log.
type Edit struct {
	Seq, Position uint64
	Deletes       bool // the message is deleted for everyone
}

// Apply applies edits, in the order of the log, that follow position after. It
// returns the position up to which edits are here: before the last of these
// where some before them are missing.
func (s *Store) Apply(ctx context.Context, chat proto.Token, after uint64, edits []Edit) (upTo uint64, err error) {
	args := make([]any, 0, 2+3*len(edits))
	args = append(args, after, edits[len(edits)-1].Position)
	for _, e := range edits {
		deletes := 0
		if e.Deletes {
			deletes = 1
		}
		args = append(args, e.Seq, e.Position, deletes)
	}
	n, err := editsLua.Run(ctx, s.client, []string{proto.EditsKey(chat), proto.GoneKey(chat), proto.ExpiringKey(chat)}, args...).Int64()
	if err = projection.Outcome(ctx, err); err != nil {
		return 0, fmt.Errorf("apply edits of chat %s: %w", chat, err)
	}
	return uint64(n), nil
}

// Mark is how far a user's log has been read for what the user has hidden. The
// zero Mark is none at all.
type Mark struct {
	Position uint64
	state    string // whole, or the name of this reading
}

const whole = "whole"

// Whole says that everything the user has hidden is here.
func (m Mark) Whole() bool { return m.state == whole }

// Moved is the mark behind a page of the log; last: the page was the last one.
func (m Mark) Moved(position uint64, last bool) Mark {
	m.Position = max(m.Position, position)
	if last {
		m.state = whole
	}
	return m
}

func (m Mark) text() string {
	if m.state == "" {
		return ""
	}
	return strconv.FormatUint(m.Position, 10) + " " + m.state
}

func parseMark(text string) Mark {
	position, state, ok := strings.Cut(text, " ")
	n, err := strconv.ParseUint(position, 10, 64)
	if !ok || err != nil {
		return Mark{}
	}
	return Mark{n, state}
}

// Hidden says when a user has hidden messages, in Unix milliseconds, 0 where
// not. It is all there is only if the mark is whole.
func (s *Store) Hidden(ctx context.Context, user proto.Token, asks []Ask) (when [][]uint64, mark Mark, err error) {
	pipe := s.client.Pipeline()
	at := pipe.Get(ctx, proto.HiddenMarkKey(user))
	rows := make([]*redis.SliceCmd, len(asks))
	for i := range asks {
		rows[i] = pipe.HMGet(ctx, proto.HiddenKey(user, asks[i].Chat), asks[i].fields()...)
	}
	if err := projection.Exec(ctx, pipe); err != nil {
		return nil, Mark{}, fmt.Errorf("read what %s has hidden: %w", user, err)
	}
	when = make([][]uint64, len(asks))
	for i := range asks {
		when[i] = numbers(rows[i].Val())
	}
	return when, parseMark(at.Val()), nil
}

// Hide notes that a user has hidden a message. The log has it already.
func (s *Store) Hide(ctx context.Context, user proto.Token, h Hiding) error {
	err := s.client.HSet(ctx, proto.HiddenKey(user, h.Chat), strconv.FormatUint(h.Seq, 10), h.When).Err()
	if err = projection.Outcome(ctx, err); err != nil {
		return fmt.Errorf("hide message of chat %s: %w", h.Chat, err)
	}
	return nil
}

// Begin begins a reading of a user's log, unless one is under way or done, and
// gives the mark as it stands. name is the reading's own.
func (s *Store) Begin(ctx context.Context, user proto.Token, name string) (Mark, error) {
	key := proto.HiddenMarkKey(user)
	pipe := s.client.Pipeline()
	pipe.SetNX(ctx, key, Mark{state: name}.text(), 0)
	at := pipe.Get(ctx, key)
	if err := projection.Exec(ctx, pipe); err != nil {
		return Mark{}, fmt.Errorf("begin to read what %s has hidden: %w", user, err)
	}
	return parseMark(at.Val()), nil
}

// Hiding is one message that a user has hidden.
type Hiding struct {
	Chat      proto.Token
	Seq, When uint64 // When in Unix milliseconds
}

// Found notes what a page of a user's log says is hidden and moves the mark
// from one value to the next, if it still has the first.
func (s *Store) Found(ctx context.Context, user proto.Token, page []Hiding, from, to Mark) error {
	keys := []string{proto.HiddenMarkKey(user)}
	args := []any{from.text(), to.text()}
	for _, h := range page {
		keys = append(keys, proto.HiddenKey(user, h.Chat))
		args = append(args, h.Seq, h.When)
	}
	err := foundLua.Run(ctx, s.client, keys, args...).Err()
	if err = projection.Outcome(ctx, err); err != nil {
		return fmt.Errorf("note what %s has hidden: %w", user, err)
	}
	return nil
}
