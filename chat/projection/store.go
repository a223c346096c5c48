package projection

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"supmesh.dev/chat/projection/pipeline"
	"supmesh.dev/proto"
)

// ErrDown: Redis does not answer; the caller decides what that means.
var ErrDown = pipeline.ErrDown

var (
	storedLua   = redis.NewScript(storedScript)
	healedLua   = redis.NewScript(healedScript)
	cursorLua   = redis.NewScript(CursorScript)
	expiringLua = redis.NewScript(expiringScript)
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
		client: client, pipe: pipeline.New(client, storedLua, healedLua, cursorLua, expiringLua),
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
	Expires       time.Time // zero: never
}

// Heal writes a range of messages that follows seq after, in order, and moves
// the head over it if it was at after or beyond. It returns the head.
func (s *Store) Heal(ctx context.Context, chat proto.Token, after uint64, entries []Healed, now time.Time) (head uint64, err error) {
	cmds := make([]redis.Cmder, 0, 2*len(entries)+3)
	sent := map[uint64]bool{} // periods
	read := map[proto.Token]uint64{}
	expiring := []any{"evalsha", expiringLua.Hash(), 2, proto.ExpiringKey(chat), proto.GoneKey(chat)}
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
		if !m.Expires.IsZero() {
			expiring = append(expiring, m.Seq, m.Expires.UnixMilli())
		}
	}
	if len(expiring) > 5 {
		cmds = append(cmds, redis.NewCmd(ctx, expiring...))
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
	err := s.pipe.Do(ctx, string(chat), redis.NewCmd(ctx, append([]any{"evalsha", cursorLua.Hash(), 1, proto.CursorsKey(chat)}, args...)...))
	if err != nil {
		return fmt.Errorf("advance cursors in chat %s: %w", chat, err)
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

// Stored is one message as the projection needs it.
type Stored struct {
	Keys          *Keys
	Before        Head // the message before it; zero: it is the first
	Seq, Position uint64
	At            time.Time
	User, Device  proto.Token // the sender
	Key, Content  string      // idempotency; empty Key: none
	Expires       time.Time   // zero: never
}

// Stored records a message; done is called from the lane with how far the sender had
// read before. It is called with ok false for a message that does not follow the head,
// which is left for Heal and is no error.
func (s *Store) Stored(m Stored, done func(read uint64, ok bool, err error)) {
	r := s.records.get()
	r.owner = s.records
	r.fill(&m, done)
	s.pipe.SubmitLater(string(m.Keys.Chat), r)
}

// record is what Stored writes, a pipeline.Op. As in question, its command is
// made once, and what its arguments point to is filled in.
type record struct {
	owner *reused[record]
	done  func(read uint64, ok bool, err error)
	use   [1]redis.Cmder
	cmd   *redis.Cmd // of use
	keys  []any      // of the arguments

	before, seq, head, offset, packed string
	user, device, key, sent, expires  string
	text                              []byte // the texts above are cut from it
}

// sentMark is a field of every hash of records: see storedScript.
const sentMark = "."

var sentLifetimeSeconds any = strconv.Itoa(int(sentLifetime / time.Second))

func newRecord() *record {
	r := new(record)
	args := []any{
		"evalsha", storedLua.Hash(), "5", "", "", "", "", "",
		&r.before, &r.seq, &r.head, &r.offset, &r.packed, &r.user, &r.device, &r.key, &r.sent, sentLifetimeSeconds, &r.expires,
	}
	r.cmd = redis.NewCmd(context.Background(), args...)
	r.keys, r.use[0] = args[3:8], r.cmd
	return r
}

func (r *record) fill(m *Stored, done func(read uint64, ok bool, err error)) {
	r.done = done
	r.keys[0], r.keys[1], r.keys[2] = m.Keys.cursors, m.Keys.indexOf(m.Seq), m.Keys.sentIn(sentPeriodOf(m.At))
	r.keys[3], r.keys[4] = m.Keys.expiring, m.Keys.gone
	b := r.text[:0]
	b = appendHead(b, m.Before)
	before := len(b)
	b = appendHead(b, Head{m.Seq, m.Position})
	head := len(b)
	b = strconv.AppendUint(b, m.Seq%proto.IndexBlock*8, 10)
	offset := len(b)
	b = binary.BigEndian.AppendUint64(b, m.Position)
	packed := len(b)
	b = append(append(append(b, m.User...), '/'), m.Device...)
	device := len(b)
	if m.Key != "" {
		b = appendSent(b, m.Position, m.Content)
	}
	all := string(b) // one piece of memory for all of them
	r.text = b
	r.before, r.head, r.offset = all[:before], all[before:head], all[head:offset]
	r.packed, r.device, r.sent = all[offset:packed], all[packed:device], all[device:]
	r.seq, _, _ = strings.Cut(r.head, " ")
	r.user, r.key, r.expires = string(m.User), m.Key, ""
	if !m.Expires.IsZero() {
		r.expires = strconv.FormatInt(m.Expires.UnixMilli(), 10)
	}
}

// Commands and Done make it an operation of the pipeline.
func (r *record) Commands() []redis.Cmder { return r.use[:] }

// Done hands the outcome on; the record may be another's from then on.
func (r *record) Done(err error) {
	done := r.done
	read := int64(-1)
	if err == nil {
		if n, ok := r.cmd.Val().(int64); ok {
			read = n
		}
	}
	r.owner.put(r)
	done(uint64(max(read, 0)), read >= 0, err)
}

func appendHead(b []byte, h Head) []byte {
	b = strconv.AppendUint(b, h.Seq, 10)
	return strconv.AppendUint(append(b, ' '), h.Position, 10)
}

func appendSent(b []byte, position uint64, content string) []byte {
	b = strconv.AppendUint(b, position, 10)
	return append(append(b, ' '), content...)
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
	Meta     uint64 // position of the last membership change that Member knows of
	Sent     Sent   // Position 0: no record
}

// Ask is what a send asks of the projection.
type Ask struct {
	User proto.Token // the sender
	Key  string      // of its record; empty: none
	At   time.Time   // now; where there is a key
}

// ForSend reads, in one go, the chat's head and the sender's membership, and the
// record of a key if there is one.
func (s *Store) ForSend(ctx context.Context, keys *Keys, ask Ask) (SendView, error) {
	q := s.questions.get()
	q.fill(keys, &ask)
	s.pipe.Submit(string(keys.Chat), q)
	if err := q.wait(ctx); err != nil {
		return SendView{}, fmt.Errorf("read chat %s: %w", keys.Chat, err)
	}
	v := q.view()
	s.questions.put(q)
	return v, nil
}

// question is what ForSend asks, a pipeline.Op. Its commands and their
// arguments are made once and used again: pointers among the arguments are
// fields that each use fills in.
type question struct {
	use []redis.Cmder
	// A record may be of this period or of the one before.
	head, sent, sentBefore         *redis.StringCmd
	member                         *redis.SliceCmd
	headArgs, memberArgs, sentArgs []any
	sentBeforeArgs                 []any

	user, key string
	done      chan error
	timer     *time.Timer
}

func newQuestion() *question {
	q := &question{use: make([]redis.Cmder, 0, 4), done: make(chan error, 1), timer: time.NewTimer(time.Hour)}
	q.timer.Stop()
	command := func(args ...any) ([]any, *redis.StringCmd) {
		return args, redis.NewStringCmd(context.Background(), args...)
	}
	q.headArgs, q.head = command("hget", "", proto.CursorHead)
	q.memberArgs = []any{"hmget", "", &q.user, proto.MembersMeta}
	q.member = redis.NewSliceCmd(context.Background(), q.memberArgs...)
	q.sentArgs, q.sent = command("hget", "", &q.key)
	q.sentBeforeArgs, q.sentBefore = command("hget", "", &q.key)
	return q
}

func (q *question) fill(keys *Keys, ask *Ask) {
	q.user, q.key = string(ask.User), ask.Key
	q.headArgs[1], q.memberArgs[1] = keys.cursors, keys.members
	q.use = append(q.use[:0], q.head, q.member)
	if ask.Key != "" {
		period := sentPeriodOf(ask.At)
		q.sentArgs[1], q.sentBeforeArgs[1] = keys.sentIn(period), keys.sentPrior(period)
		q.use = append(q.use, q.sent, q.sentBefore)
	}
}

// Commands and Done make it an operation of the pipeline.
func (q *question) Commands() []redis.Cmder { return q.use }

// Done wakes who asked.
func (q *question) Done(err error) { q.done <- err }

// wait returns with the answer, or at ctx's end; after that the question is the
// lane's. A request's context makes its Done channel, at a price, when first
// asked for it: where a deadline is known, a timer does.
func (q *question) wait(ctx context.Context) error {
	var canceled <-chan struct{}
	if end, ok := ctx.Deadline(); ok {
		q.timer.Reset(time.Until(end))
		defer q.timer.Stop()
	} else {
		canceled = ctx.Done()
	}
	select {
	case err := <-q.done:
		return err
	case <-q.timer.C:
		return context.DeadlineExceeded
	case <-canceled:
		return ctx.Err()
	}
}

func (q *question) view() SendView {
	v := SendView{Head: ParseHead(q.head.Val())}
	if found := q.member.Val(); len(found) == 2 {
		member, _ := found[0].(string)
		v.Member, v.IsMember = ParseMember(member)
		meta, _ := found[1].(string)
		v.Meta, _ = strconv.ParseUint(meta, 10, 64)
	}
	if q.key != "" {
		record := q.sent.Val()
		if q.sent.Err() != nil {
			record = q.sentBefore.Val()
		}
		if position, content, ok := strings.Cut(record, " "); ok {
			v.Sent.Content = content
			v.Sent.Position, _ = strconv.ParseUint(position, 10, 64)
		}
	}
	return v
}

// reused are operations that are used again. In a cluster they are not: go-redis
// notes in a command which slot it goes to, once.
type reused[T any] struct {
	fresh func() *T
	once  bool
	pool  sync.Pool
}

func newReused[T any](client redis.UniversalClient, fresh func() *T) *reused[T] {
	_, cluster := client.(*redis.ClusterClient)
	return &reused[T]{fresh: fresh, once: cluster}
}

func (r *reused[T]) get() *T {
	if op, ok := r.pool.Get().(*T); ok {
		return op
	}
	return r.fresh()
}

func (r *reused[T]) put(op *T) {
	if !r.once {
		r.pool.Put(op)
	}
}
