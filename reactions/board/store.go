package board

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/eventlog"
	"supmesh.dev/services/journal"
	"supmesh.dev/services/wire"
)

var (
	// ErrUnavailable: the log did not answer; what was to be stored may be stored or not.
	ErrUnavailable = journal.ErrUnavailable
	// ErrMoved: the chat has an entry that Redis had not when it was read; nothing was stored.
	ErrMoved = journal.ErrMoved
	// ErrStale: Redis lacks entries of the log, or all; Heal reads them.
	ErrStale = journal.ErrStale
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
func New(client redis.UniversalClient, js jetstream.JetStream, read *eventlog.Reader) *Store {
	return &Store{client: client, log: journal.New(js, read)}
}

// On is one message.
type On struct {
	Chat, Message proto.Token
}

// View is a message as one user sees it.
type View struct {
	Mark   journal.Mark
	Has    bool // the user has put this reaction on it
	Own    int  // different reactions of the user on it
	Counts proto.ReactionCounts
}

// View reads a message, all of it at one moment. It returns ErrStale or services.ErrRedisDown.
func (s *Store) View(ctx context.Context, on On, user proto.Token, reaction string) (View, error) {
	m, err := s.fresh(ctx, on.Chat)
	if err != nil {
		return View{}, err
	}
	tx := s.client.TxPipeline()
	mark := tx.Get(ctx, proto.ReactionsAtKey(on.Chat))
	has := tx.HExists(ctx, on.key(m, "when"), member(user, reaction))
	own := tx.HGet(ctx, on.key(m, "users"), string(user))
	counts := tx.HGetAll(ctx, on.key(m, "counts"))
	if err := exec(ctx, tx); err != nil {
		return View{}, fmt.Errorf("read reactions on %s: %w", on.Message, err)
	}
	out := View{Has: has.Val(), Counts: countsOf(counts.Val())}
	if out.Mark, err = still(m, mark.Val()); err != nil {
		return View{}, err
	}
	out.Own, _ = strconv.Atoi(own.Val())
	return out, nil
}

// still is the mark that was read together with what it is of; ErrStale where that
// is less than was there before.
func still(before journal.Mark, text string) (journal.Mark, error) {
	m, err := journal.ParseMark(text)
	if err != nil || m.Epoch != before.Epoch || m.Position < before.Position {
		return journal.Mark{}, ErrStale
	}
	return m, nil
}

// fresh is the mark of a chat of which Redis knows everything that is stored, and
// nothing else: what was acked and not told Redis, because either died, must not be
// missed, and what the log has lost is not there.
func (s *Store) fresh(ctx context.Context, chat proto.Token) (journal.Mark, error) {
	return s.log.AsOfLast(ctx, proto.ChatLog(chat, proto.KindReaction), func() (journal.Mark, error) { return s.mark(ctx, chat) })
}

func (s *Store) mark(ctx context.Context, chat proto.Token) (journal.Mark, error) {
	text, err := s.client.Get(ctx, proto.ReactionsAtKey(chat)).Result()
	if err := services.RedisOutcome(ctx, err); err != nil {
		return journal.Mark{}, fmt.Errorf("read reactions of %s: %w", chat, err)
	}
	if text == "" {
		return journal.Mark{}, ErrStale
	}
	return journal.ParseMark(text)
}

func (o On) key(m journal.Mark, what string) string {
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
	After journal.Mark // of the View that it follows from
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
	s.apply(ctx, pipe, p.Chat, p.After, journal.Mark{Epoch: p.After.Epoch, Position: position}, &p.Reaction)
	return exec(ctx, pipe)
}

func (s *Store) apply(ctx context.Context, pipe redis.Pipeliner, chat proto.Token, from, to journal.Mark, r *proto.Reaction) *redis.Cmd {
	user, _ := proto.EncodeID(r.UserID)
	message, _ := proto.EncodeID(r.MessageID)
	on := On{Chat: chat, Message: message}
	keys := []string{proto.ReactionsAtKey(chat), on.key(to, "when"), on.key(to, "order"), on.key(to, "counts"), on.key(to, "users")}
	return applyLua.Eval(ctx, pipe, keys, from.String(), to.String(), r.Action, string(user), r.Reaction, r.Timestamp.UnixMilli(), to.Position)
}

// Heal brings Redis up to the log's last entry of a chat's reactions, as of now.
// Others may do the same: what they have applied need not be.
func (s *Store) Heal(ctx context.Context, chat proto.Token) error {
	epoch, err := s.log.Epoch(ctx)
	if err != nil {
		return err
	}
	for {
		if done, err := s.heal(ctx, chat, epoch); done || err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("read reactions of %s: %w: %w", chat, ErrUnavailable, err)
		}
	}
}

func (s *Store) heal(ctx context.Context, chat proto.Token, epoch string) (done bool, err error) {
	text, err := s.client.Get(ctx, proto.ReactionsAtKey(chat)).Result()
	if err := services.RedisOutcome(ctx, err); err != nil {
		return false, fmt.Errorf("read reactions of %s: %w", chat, err)
	}
	last, _, err := s.log.Last(ctx, proto.ChatLog(chat, proto.KindReaction))
	if err != nil {
		return false, err
	}
	at, err := journal.ParseMark(text)
	// What Redis has of another log, or of an end that the log has lost, is void.
	if err != nil || logOf(at) != epoch || at.Position > last.Position {
		at = anew(at, epoch)
		begun, err := s.begin(ctx, chat, text, at)
		if err != nil || !begun {
			return false, err
		}
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

// begin marks a chat of which Redis has nothing, or what the log does not say.
func (s *Store) begin(ctx context.Context, chat proto.Token, was string, at journal.Mark) (bool, error) {
	set := beginLua.Run(ctx, s.client, []string{proto.ReactionsAtKey(chat)}, was, at.String())
	n, err := set.Int64()
	if err := services.RedisOutcome(ctx, err); err != nil {
		return false, fmt.Errorf("begin reactions of %s: %w", chat, err)
	}
	return n == 1, nil
}

// applyAll takes entries one after the other; ErrMoved says that Redis is not as
// of where they begin any more.
func (s *Store) applyAll(ctx context.Context, chat proto.Token, at journal.Mark, entries []journal.Entry) (journal.Mark, error) {
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
		to := journal.Mark{Epoch: at.Epoch, Position: e.Position}
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

	ends []uint64 // position of each of Reactions
}

// Fit cuts a page to what fits a room, and says where the next begins then.
func (p *Page) Fit(room *services.Room) {
	const frame = len(`{"userId":,"reaction":,"createdAt":"2006-01-02T15:04:05.000Z"},`)
	for i := range p.Reactions {
		r := &p.Reactions[i]
		if !room.Fits(proto.EncodedLen(r.UserID) + proto.EncodedLen(r.Reaction) + frame) {
			p.Reactions, p.Next = p.Reactions[:i], p.ends[i-1]
			return
		}
	}
}

// Page reads a page behind a position, all of it at one moment. It returns ErrStale
// or services.ErrRedisDown.
func (s *Store) Page(ctx context.Context, on On, user proto.Token, after uint64, limit int) (Page, error) {
	m, err := s.fresh(ctx, on.Chat)
	if err != nil {
		return Page{}, err
	}
	names, err := s.client.HKeys(ctx, on.key(m, "counts")).Result()
	if err := services.RedisOutcome(ctx, err); err != nil {
		return Page{}, fmt.Errorf("read reactions on %s: %w", on.Message, err)
	}
	fields := []string{""} // so that there is one
	for _, reaction := range names {
		fields = append(fields, member(user, reaction))
	}
	tx := s.client.TxPipeline()
	mark := tx.Get(ctx, proto.ReactionsAtKey(on.Chat))
	list := tx.ZRangeArgsWithScores(ctx, redis.ZRangeArgs{
		Key: on.key(m, "order"), ByScore: true, Start: "(" + strconv.FormatUint(after, 10), Stop: "+inf", Count: int64(limit) + 1,
	})
	counts := tx.HGetAll(ctx, on.key(m, "counts"))
	own := tx.HMGet(ctx, on.key(m, "when"), fields...)
	if err := exec(ctx, tx); err != nil {
		return Page{}, fmt.Errorf("read reactions on %s: %w", on.Message, err)
	}
	if _, err := still(m, mark.Val()); err != nil {
		return Page{}, err
	}
	out := Page{Counts: countsOf(counts.Val()), Reactions: []proto.UserReaction{}, Mine: []string{}}
	items := list.Val()
	if len(items) > limit {
		items = items[:limit]
		out.Next = uint64(items[limit-1].Score)
	}
	for _, z := range items {
		text, _ := z.Member.(string)
		r, err := parseMember(text)
		if err != nil {
			return Page{}, fmt.Errorf("reactions on %s: %w", on.Message, err)
		}
		out.Reactions, out.ends = append(out.Reactions, r), append(out.ends, uint64(z.Score))
	}
	for i, since := range own.Val()[1:] {
		if since != nil {
			out.Mine = append(out.Mine, names[i])
		}
	}
	return out, nil
}

// parseMember reads "<milliseconds>/<user>/<reaction>".
func parseMember(s string) (r proto.UserReaction, err error) {
	parts := strings.SplitN(s, "/", 3)
	if len(parts) != 3 {
		return r, fmt.Errorf("%q is no reaction", s)
	}
	ms, err := strconv.ParseInt(parts[0], 10, 64)
	if err != nil {
		return r, fmt.Errorf("%q is no reaction", s)
	}
	r = proto.UserReaction{Reaction: parts[2], CreatedAt: proto.At(time.UnixMilli(ms))}
	r.UserID, err = proto.Token(parts[1]).ID()
	return r, err
}

// Summaries reads the counts on messages of a chat, and which are a user's own. It
// returns ErrStale or services.ErrRedisDown.
func (s *Store) Summaries(ctx context.Context, chat proto.Token, user proto.Token, messages []proto.Token) ([]Page, error) {
	m, err := s.fresh(ctx, chat)
	if err != nil {
		return nil, err
	}
	tx := s.client.TxPipeline()
	mark := tx.Get(ctx, proto.ReactionsAtKey(chat))
	counts := make([]*redis.MapStringStringCmd, len(messages))
	for i, message := range messages {
		counts[i] = tx.HGetAll(ctx, On{chat, message}.key(m, "counts"))
	}
	if err := exec(ctx, tx); err != nil {
		return nil, fmt.Errorf("read reactions of %s: %w", chat, err)
	}
	if _, err := still(m, mark.Val()); err != nil {
		return nil, err
	}
	out := make([]Page, len(messages))
	names := make([][]string, len(messages))
	own := make([]*redis.SliceCmd, len(messages))
	pipe := s.client.Pipeline()
	for i, message := range messages {
		out[i] = Page{Counts: countsOf(counts[i].Val()), Mine: []string{}}
		var fields []string
		for reaction := range out[i].Counts {
			names[i], fields = append(names[i], reaction), append(fields, member(user, reaction))
		}
		if len(fields) > 0 {
			own[i] = pipe.HMGet(ctx, On{chat, message}.key(m, "when"), fields...)
		}
	}
	if pipe.Len() == 0 {
		return out, nil
	}
	if err := exec(ctx, pipe); err != nil {
		return nil, fmt.Errorf("read reactions of %s: %w", chat, err)
	}
	for i := range out {
		if own[i] == nil {
			continue
		}
		for j, since := range own[i].Val() {
			if since != nil {
				out[i].Mine = append(out[i].Mine, names[i][j])
			}
		}
	}
	return out, nil
}
