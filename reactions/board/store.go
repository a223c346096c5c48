package board

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/journal"
	"supmesh.dev/services/wire"
)

var (
	// ErrUnavailable: the log did not answer; what was to be stored may be stored or not.
	ErrUnavailable = journal.ErrUnavailable
	// ErrMoved: the chat has an entry that Redis had not when it was read; nothing was stored.
	ErrMoved = journal.ErrMoved
	// ErrStale: Redis does not know as of which entry it is; Heal makes it know.
	ErrStale = errors.New("reactions are to be read from the log")
	// errOutrun says that others wrote each time that Heal did.
	errOutrun = fmt.Errorf("%w: others read the log at the same time", ErrUnavailable)
)

var (
	applyLua = redis.NewScript(applyScript)
	beginLua = redis.NewScript(beginScript)
)

// Store appends to the log and keeps what it says in Redis.
type Store struct {
	client redis.UniversalClient
	log    *journal.Journal
}

// New makes a store that reads the log over a connection of its own.
func New(client redis.UniversalClient, js jetstream.JetStream, read *nats.Conn) *Store {
	return &Store{client: client, log: journal.New(js, read)}
}

// Mark is as of which entry of a chat's reactions something is.
type Mark struct {
	Epoch    string
	Position uint64
}

func (m Mark) String() string {
	if m.Epoch == "" {
		return ""
	}
	return m.Epoch + " " + strconv.FormatUint(m.Position, 10)
}

func parseMark(s string) (Mark, error) {
	epoch, at, ok := strings.Cut(s, " ")
	position, err := strconv.ParseUint(at, 10, 64)
	if !ok || err != nil {
		return Mark{}, fmt.Errorf("mark %q does not parse", s)
	}
	return Mark{Epoch: epoch, Position: position}, nil
}

// On is one message.
type On struct {
	Chat, Message proto.Token
}

// View is a message as one user sees it.
type View struct {
	Mark   Mark
	Has    bool // the user has put this reaction on it
	Own    int  // different reactions of the user on it
	Counts proto.ReactionCounts
}

// View reads a message. It returns ErrStale or services.ErrRedisDown.
func (s *Store) View(ctx context.Context, on On, user proto.Token, reaction string) (View, error) {
	v, err := s.mark(ctx, on.Chat)
	if err != nil {
		return View{}, err
	}
	pipe := s.client.Pipeline()
	again := pipe.Get(ctx, proto.ReactionsAtKey(on.Chat))
	has := pipe.HExists(ctx, on.key(v, "when"), member(user, reaction))
	own := pipe.HGet(ctx, on.key(v, "users"), string(user))
	counts := pipe.HGetAll(ctx, on.key(v, "counts"))
	if err := exec(ctx, pipe); err != nil {
		return View{}, fmt.Errorf("read reactions on %s: %w", on.Message, err)
	}
	// A message is as of its chat: what was read between two marks is as of the first, or newer.
	if again.Val() == "" {
		return View{}, ErrStale
	}
	out := View{Mark: v, Has: has.Val(), Counts: countsOf(counts.Val())}
	out.Own, _ = strconv.Atoi(own.Val())
	return out, nil
}

func (s *Store) mark(ctx context.Context, chat proto.Token) (Mark, error) {
	text, err := s.client.Get(ctx, proto.ReactionsAtKey(chat)).Result()
	if err := services.RedisOutcome(ctx, err); err != nil {
		return Mark{}, fmt.Errorf("read reactions of %s: %w", chat, err)
	}
	if text == "" {
		return Mark{}, ErrStale
	}
	return parseMark(text)
}

func (o On) key(m Mark, what string) string {
	return proto.ReactionKey(o.Chat, m.Epoch, o.Message, what)
}

func member(user proto.Token, reaction string) string { return string(user) + "/" + reaction }

func countsOf(raw map[string]string) proto.ReactionCounts {
	out := make(proto.ReactionCounts, len(raw))
	for reaction, n := range raw {
		if count, err := strconv.Atoi(n); err == nil && count > 0 {
			out[reaction] = count
		}
	}
	return out
}

func exec(ctx context.Context, pipe redis.Pipeliner) error {
	cmds, _ := pipe.Exec(ctx)
	for _, cmd := range cmds {
		if err := services.RedisOutcome(ctx, cmd.Err()); err != nil {
			return err
		}
	}
	return nil
}

// Put is a reaction that is put on a message, or taken away.
type Put struct {
	On
	User  proto.Token
	After Mark // of the View that it follows from
	Key   string
	Trace string
	proto.Reaction
}

// Append stores what is put, once, and has Redis know it where it can; what
// cannot be told Redis now is read from the log by whoever comes next. It returns ErrMoved or
// ErrUnavailable.
func (s *Store) Append(ctx context.Context, p Put) error {
	body, err := wire.Marshal(p.Reaction)
	if err != nil {
		return fmt.Errorf("encode reaction: %w", err)
	}
	event := proto.ReactionEvent.Name
	if p.Action == proto.ReactionRemove {
		event = proto.ReactionGoneEvent.Name
	}
	position, repeated, err := s.log.Append(ctx, journal.Append{
		Subject: proto.ChatLog(p.Chat, proto.KindReaction), After: p.After.Position, Key: p.Key, Event: event, Trace: p.Trace, Body: body,
	})
	if err != nil {
		return err
	}
	if repeated { // stored by an earlier try, and whatever came since: to be read
		return nil
	}
	pipe := s.client.Pipeline()
	s.apply(ctx, pipe, p.Chat, p.After, Mark{Epoch: p.After.Epoch, Position: position}, &p.Reaction)
	return exec(ctx, pipe)
}

func (s *Store) apply(ctx context.Context, pipe redis.Pipeliner, chat proto.Token, from, to Mark, r *proto.Reaction) *redis.Cmd {
	user, _ := proto.EncodeID(r.UserID)
	message, _ := proto.EncodeID(r.MessageID)
	on := On{Chat: chat, Message: message}
	keys := []string{proto.ReactionsAtKey(chat), on.key(to, "when"), on.key(to, "order"), on.key(to, "counts"), on.key(to, "users")}
	return applyLua.Eval(ctx, pipe, keys, from.String(), to.String(), r.Action, string(user), r.Reaction, r.Timestamp.UnixMilli(), to.Position)
}

// maxHeals bounds how often Heal begins again because others do the same.
const maxHeals = 8

// Heal brings Redis up to the log's last entry of a chat's reactions.
func (s *Store) Heal(ctx context.Context, chat proto.Token) error {
	epoch, err := s.log.Epoch(ctx)
	if err != nil {
		return err
	}
	for range maxHeals {
		done, err := s.heal(ctx, chat, epoch)
		if done || err != nil {
			return err
		}
	}
	return errOutrun
}

func (s *Store) heal(ctx context.Context, chat proto.Token, epoch string) (done bool, err error) {
	text, err := s.client.Get(ctx, proto.ReactionsAtKey(chat)).Result()
	if err := services.RedisOutcome(ctx, err); err != nil {
		return false, fmt.Errorf("read reactions of %s: %w", chat, err)
	}
	at := Mark{Epoch: epoch}
	if mark, err := parseMark(text); err != nil || mark.Epoch != epoch {
		begun, err := s.begin(ctx, chat, text, at)
		if err != nil || !begun {
			return false, err
		}
	} else {
		at = mark
	}
	for more := true; more; {
		var entries []journal.Entry
		if entries, more, err = s.log.Page(ctx, proto.ChatLog(chat, proto.KindReaction), at.Position); err != nil {
			return false, err
		}
		if at, err = s.applyAll(ctx, chat, at, entries); err != nil {
			if errors.Is(err, ErrMoved) {
				return false, nil
			}
			return false, err
		}
	}
	return true, nil
}

// begin marks a chat of which Redis has nothing, or what another log said.
func (s *Store) begin(ctx context.Context, chat proto.Token, was string, at Mark) (bool, error) {
	set := beginLua.Run(ctx, s.client, []string{proto.ReactionsAtKey(chat)}, was, at.String())
	n, err := set.Int64()
	if err := services.RedisOutcome(ctx, err); err != nil {
		return false, fmt.Errorf("begin reactions of %s: %w", chat, err)
	}
	return n == 1, nil
}

// applyAll takes entries one after the other; ErrMoved says that Redis is not as
// of where they begin any more.
func (s *Store) applyAll(ctx context.Context, chat proto.Token, at Mark, entries []journal.Entry) (Mark, error) {
	if len(entries) == 0 {
		return at, nil
	}
	pipe := s.client.Pipeline()
	cmds := make([]*redis.Cmd, 0, len(entries))
	for _, e := range entries {
		var r proto.Reaction
		if err := wire.Restore(e.Body, &r); err != nil {
			return at, fmt.Errorf("reaction at position %d: %w", e.Position, err)
		}
		to := Mark{Epoch: at.Epoch, Position: e.Position}
		cmds = append(cmds, s.apply(ctx, pipe, chat, at, to, &r))
		at = to
	}
	if err := exec(ctx, pipe); err != nil {
		return at, fmt.Errorf("keep reactions of %s: %w", chat, err)
	}
	for _, cmd := range cmds {
		if n, err := cmd.Int64(); err != nil || n != 1 {
			return at, ErrMoved
		}
	}
	return at, nil
}

// Page is some reactions of a message, oldest first.
type Page struct {
	Reactions []proto.UserReaction
	Counts    proto.ReactionCounts
	Mine      []string
	Next      uint64 // 0: there are no more
}

// Page reads a page behind a position. It returns ErrStale or services.ErrRedisDown.
func (s *Store) Page(ctx context.Context, on On, user proto.Token, after uint64, limit int) (Page, error) {
	mark, err := s.mark(ctx, on.Chat)
	if err != nil {
		return Page{}, err
	}
	pipe := s.client.Pipeline()
	list := pipe.ZRangeArgsWithScores(ctx, redis.ZRangeArgs{
		Key: on.key(mark, "order"), ByScore: true, Start: "(" + strconv.FormatUint(after, 10), Stop: math.Inf(1), Count: int64(limit) + 1,
	})
	counts := pipe.HGetAll(ctx, on.key(mark, "counts"))
	if err := exec(ctx, pipe); err != nil {
		return Page{}, fmt.Errorf("read reactions on %s: %w", on.Message, err)
	}
	out := Page{Counts: countsOf(counts.Val()), Reactions: []proto.UserReaction{}, Mine: []string{}}
	items := list.Val()
	if len(items) > limit {
		items = items[:limit]
		out.Next = uint64(items[limit-1].Score)
	}
	return out, s.fill(ctx, on, mark, user, items, &out)
}

// fill reads when each reaction was put, and which are the user's own.
func (s *Store) fill(ctx context.Context, on On, mark Mark, user proto.Token, items []redis.Z, out *Page) error {
	fields := make([]string, 0, len(items)+len(out.Counts))
	for _, z := range items {
		field, _ := z.Member.(string)
		fields = append(fields, field)
	}
	own := make([]string, 0, len(out.Counts))
	for reaction := range out.Counts {
		own = append(own, reaction)
		fields = append(fields, member(user, reaction))
	}
	if len(fields) == 0 {
		return nil
	}
	when, err := s.client.HMGet(ctx, on.key(mark, "when"), fields...).Result()
	if err := services.RedisOutcome(ctx, err); err != nil {
		return fmt.Errorf("read reactions on %s: %w", on.Message, err)
	}
	for i := range items {
		text, _ := when[i].(string)
		ms, err := strconv.ParseInt(text, 10, 64)
		who, reaction, ok := strings.Cut(fields[i], "/")
		if err != nil || !ok { // taken away a moment ago
			continue
		}
		id, err := proto.Token(who).ID()
		if err != nil {
			return fmt.Errorf("reactions on %s: %w", on.Message, err)
		}
		out.Reactions = append(out.Reactions, proto.UserReaction{UserID: id, Reaction: reaction, CreatedAt: proto.At(time.UnixMilli(ms))})
	}
	for i, reaction := range own {
		if when[len(items)+i] != nil {
			out.Mine = append(out.Mine, reaction)
		}
	}
	return nil
}
