package projection

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"supmesh.dev/proto"
)

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
	Sent     Sent   // Position 0: no record
	Reply    uint64 // position of the message replied to; 0: not indexed
}

// Ask is what a send asks of the projection.
type Ask struct {
	User  proto.Token // the sender
	Key   string      // of its record; empty: none
	At    time.Time   // now; where there is a key
	Reply uint64      // seq of the message replied to; 0: none
}

// ForSend reads, in one go, the chat's head and the sender's membership, the
// record of a key if there is one, and the index at the reply if there is one.
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
	head, member, sent, sentBefore, index *redis.StringCmd
	headArgs, memberArgs, sentArgs        []any
	sentBeforeArgs, indexArgs             []any

	user, key string
	from, to  int64
	done      chan error
	timer     *time.Timer
}

func newQuestion() *question {
	q := &question{use: make([]redis.Cmder, 0, 5), done: make(chan error, 1), timer: time.NewTimer(time.Hour)}
	q.timer.Stop()
	command := func(args ...any) ([]any, *redis.StringCmd) {
		return args, redis.NewStringCmd(context.Background(), args...)
	}
	q.headArgs, q.head = command("hget", "", proto.CursorHead)
	q.memberArgs, q.member = command("hget", "", &q.user)
	q.sentArgs, q.sent = command("hget", "", &q.key)
	q.sentBeforeArgs, q.sentBefore = command("hget", "", &q.key)
	q.indexArgs, q.index = command("getrange", "", &q.from, &q.to)
	return q
}

func (q *question) fill(keys *Keys, ask *Ask) {
	q.user, q.key, q.from, q.to = string(ask.User), ask.Key, 0, 0
	q.headArgs[1], q.memberArgs[1] = keys.cursors, keys.members
	q.use = append(q.use[:0], q.head, q.member)
	if ask.Key != "" {
		period := sentPeriodOf(ask.At)
		q.sentArgs[1], q.sentBeforeArgs[1] = keys.sentIn(period), keys.sentPrior(period)
		q.use = append(q.use, q.sent, q.sentBefore)
	}
	if ask.Reply != 0 {
		q.indexArgs[1] = keys.indexOf(ask.Reply)
		q.from = int64(ask.Reply % proto.IndexBlock * 8)
		q.to = q.from + 7
		q.use = append(q.use, q.index)
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
	v.Member, v.IsMember = ParseMember(q.member.Val())
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
	if q.to != 0 {
		if at := q.index.Val(); len(at) == 8 {
			v.Reply = binary.BigEndian.Uint64([]byte(at))
		}
	}
	return v
}
