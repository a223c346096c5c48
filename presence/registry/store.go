package registry

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"supmesh.dev/presence/state"
	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/wire"
)

const (
	// KeepRecord is how long a user without connections is remembered.
	KeepRecord = 30 * 24 * time.Hour
	// keepNothing is how long it is remembered that there is nothing to know of a user.
	keepNothing = time.Hour
	// KeepSession is how long a session may return.
	KeepSession = 24 * time.Hour
	// maxNoted bounds what is kept of one session: subscriptions, and chats it has open.
	maxNoted = 6 + proto.MaxSubscriptions + 500
)

// ErrDown: Redis does not answer. What was to be written may be written or not.
var ErrDown = services.ErrRedisDown

var (
	swapLua    = redis.NewScript(swapScript)
	planLua    = redis.NewScript(planScript)
	claimLua   = redis.NewScript(claimScript)
	settledLua = redis.NewScript(settledScript)
	openLua    = redis.NewScript(openScript)
	moveLua    = redis.NewScript(moveScript)
	noteLua    = redis.NewScript(noteScript)
	leaveLua   = redis.NewScript(leaveScript)
)

// Store reads and writes the registry.
type Store struct{ client redis.UniversalClient }

// New makes a store.
func New(client redis.UniversalClient) *Store { return &Store{client} }

// Exec runs a pipeline; what is not there is no error.
func Exec(ctx context.Context, pipe redis.Pipeliner) error {
	cmds, _ := pipe.Exec(ctx)
	for _, cmd := range cmds {
		if err := Outcome(ctx, cmd.Err()); err != nil {
			return err
		}
	}
	return nil
}

// Outcome is err as nil, ErrDown, ctx's error or what Redis answered.
func Outcome(ctx context.Context, err error) error { return services.RedisOutcome(ctx, err) }

// Now is Redis's clock, which all instances share.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	now, err := s.client.Time(ctx).Result()
	return now, Outcome(ctx, err)
}

// Entry is a user's record as it was read.
type Entry struct {
	User proto.Token
	state.Record
	Hid bool // the record, as it was read, says that the user is invisible
	raw string
}

// Unknown says that there was no record.
func (e *Entry) Unknown() bool { return e.raw == "" }

// Load reads the records of users; one that is not there is the zero record.
func (s *Store) Load(ctx context.Context, users ...proto.Token) ([]Entry, error) {
	pipe := s.client.Pipeline()
	cmds := make([]*redis.StringCmd, len(users))
	for i, u := range users {
		cmds[i] = pipe.Get(ctx, proto.PresenceKey(u))
	}
	if len(users) == 0 {
		return nil, nil
	}
	if err := Exec(ctx, pipe); err != nil {
		return nil, fmt.Errorf("read %d presence records: %w", len(users), err)
	}
	out := make([]Entry, len(users))
	for i, u := range users {
		out[i] = Entry{User: u, raw: cmds[i].Val()}
		if out[i].raw == "" {
			continue
		}
		if err := wire.Restore([]byte(out[i].raw), &out[i].Record); err != nil {
			return nil, fmt.Errorf("read presence record of %s: %w", u, err)
		}
		out[i].Hid = out[i].Hides()
	}
	return out, nil
}

// Swap replaces each record that is still what was read, and says which were.
// Those who are due at a moment are put on the list first.
func (s *Store) Swap(ctx context.Context, due []int64, entries ...*Entry) (swapped []bool, err error) {
	if len(entries) == 0 {
		return nil, nil
	}
	pipe := s.client.Pipeline()
	for i, e := range entries {
		if due[i] > 0 {
			planLua.Eval(ctx, pipe, []string{proto.PresenceDueKey}, string(e.User), due[i])
		}
	}
	cmds := make([]*redis.Cmd, len(entries))
	for i, e := range entries {
		body, err := wire.Marshal(&e.Record)
		if err != nil {
			return nil, fmt.Errorf("encode presence record of %s: %w", e.User, err)
		}
		live := 0
		switch {
		case len(e.Conns) > 0:
		case e.Nothing():
			live = int(keepNothing / time.Second)
		default:
			live = int(KeepRecord / time.Second)
		}
		cmds[i] = swapLua.Eval(ctx, pipe, []string{proto.PresenceKey(e.User)}, e.raw, string(body), live)
	}
	if err := Exec(ctx, pipe); err != nil {
		return nil, fmt.Errorf("write %d presence records: %w", len(entries), err)
	}
	swapped = make([]bool, len(entries))
	for i, cmd := range cmds {
		n, err := cmd.Int64()
		if err != nil {
			return nil, err
		}
		swapped[i] = n == 1
	}
	return swapped, nil
}

// Claim takes up to limit users who are due, until a moment.
func (s *Store) Claim(ctx context.Context, now, until int64, limit int) ([]proto.Token, error) {
	names, err := claimLua.Run(ctx, s.client, []string{proto.PresenceDueKey}, now, until, limit).StringSlice()
	if err = Outcome(ctx, err); err != nil {
		return nil, fmt.Errorf("claim users: %w", err)
	}
	users := make([]proto.Token, len(names))
	for i, n := range names {
		users[i] = proto.Token(n)
	}
	return users, nil
}

// Settled ends claims; next is when each user is due again, 0 for never.
func (s *Store) Settled(ctx context.Context, users []proto.Token, claimed int64, next []int64) error {
	if len(users) == 0 {
		return nil
	}
	pipe := s.client.Pipeline()
	for i, u := range users {
		settledLua.Eval(ctx, pipe, []string{proto.PresenceDueKey}, string(u), claimed, next[i])
	}
	if err := Exec(ctx, pipe); err != nil {
		return fmt.Errorf("settle %d users: %w", len(users), err)
	}
	return nil
}

// Waiting is how many users are on the list, and how many of them are due by a moment.
func (s *Store) Waiting(ctx context.Context, now int64) (all, due int64, err error) {
	pipe := s.client.Pipeline()
	a := pipe.ZCard(ctx, proto.PresenceDueKey)
	d := pipe.ZCount(ctx, proto.PresenceDueKey, "-inf", strconv.FormatInt(now, 10))
	if err := Exec(ctx, pipe); err != nil {
		return 0, 0, err
	}
	return a.Val(), d.Val(), nil
}

const (
	viewField  = "v:"
	watchField = "w:"
)

// Sessions reads what is kept of sessions.
func (s *Store) Sessions(ctx context.Context, of ...Of) ([]Session, error) {
	if len(of) == 0 {
		return nil, nil
	}
	pipe := s.client.Pipeline()
	cmds := make([]*redis.MapStringStringCmd, len(of))
	for i, o := range of {
		cmds[i] = pipe.HGetAll(ctx, proto.SessionKey(o.User, o.PID))
	}
	if err := Exec(ctx, pipe); err != nil {
		return nil, fmt.Errorf("read %d sessions: %w", len(of), err)
	}
	out := make([]Session, len(of))
	for i, cmd := range cmds {
		for field, value := range cmd.Val() {
			switch {
			case field == ".fence":
				n, err := strconv.ParseUint(value, 10, 64)
				if err != nil {
					return nil, fmt.Errorf("read session: fence %q", value)
				}
				out[i].Fence = n
			case field == ".device":
				out[i].Device = value
			case field == ".socket":
				out[i].Socket = value
			case field == ".was":
				out[i].Was = value
			case field == ".left":
				out[i].Closed = value == "1"
			case field == ".moved":
				out[i].Moved = proto.Token(value)
			case strings.HasPrefix(field, viewField):
				out[i].Views = append(out[i].Views, proto.Token(field[len(viewField):]))
			case strings.HasPrefix(field, watchField):
				out[i].Watches = append(out[i].Watches, proto.Token(field[len(watchField):]))
			}
		}
		slices.Sort(out[i].Views)
		slices.Sort(out[i].Watches)
	}
	return out, nil
}

// Viewing reports of each session whether it is there and has the chat at its index open.
func (s *Store) Viewing(ctx context.Context, of []Of, chats []proto.Token) ([]bool, error) {
	if len(of) == 0 {
		return nil, nil
	}
	pipe := s.client.Pipeline()
	cmds := make([]*redis.SliceCmd, len(of))
	for i, o := range of {
		cmds[i] = pipe.HMGet(ctx, proto.SessionKey(o.User, o.PID), ".left", viewField+string(chats[i]))
	}
	if err := Exec(ctx, pipe); err != nil {
		return nil, fmt.Errorf("read what %d sessions view: %w", len(of), err)
	}
	out := make([]bool, len(of))
	for i, cmd := range cmds {
		out[i] = cmd.Val()[0] == nil && cmd.Val()[1] != nil
	}
	return out, nil
}

// BeginSessions notes sessions. Its gateway's own list comes first: by that they are found
// again should the gateway die.
func (s *Store) BeginSessions(ctx context.Context, begun ...Begin) ([]Begun, error) {
	if len(begun) == 0 {
		return nil, nil
	}
	pipe := s.client.Pipeline()
	cmds := make([]*redis.Cmd, len(begun))
	for i := range begun {
		b := &begun[i]
		pipe.SAdd(ctx, proto.GatewaySessionsKey(b.Gateway), b.member())
		pipe.SAdd(ctx, proto.PresenceKnownKey, string(b.Gateway))
	}
	for i := range begun {
		b := &begun[i]
		args := []any{b.Fence, b.Device, b.Since, b.Socket, b.Was}
		for _, v := range b.Views {
			args = append(args, viewField+string(v))
		}
		for _, w := range b.Watches {
			args = append(args, watchField+string(w))
		}
		cmds[i] = openLua.Eval(ctx, pipe, []string{proto.SessionKey(b.User, b.PID)}, args...)
	}
	if err := Exec(ctx, pipe); err != nil {
		return nil, fmt.Errorf("begin %d sessions: %w", len(begun), err)
	}
	out := make([]Begun, len(begun))
	for i, cmd := range cmds {
		n, err := cmd.Int64()
		if err != nil {
			return nil, err
		}
		out[i] = Begun(n)
	}
	return out, nil
}

// List puts sessions on their gateway's list, before anything else is known of them.
func (s *Store) List(ctx context.Context, gateway proto.Token, of ...Of) error {
	if len(of) == 0 {
		return nil
	}
	members := make([]any, len(of))
	for i, o := range of {
		members[i] = o.member()
	}
	pipe := s.client.Pipeline()
	pipe.SAdd(ctx, proto.GatewaySessionsKey(gateway), members...)
	pipe.SAdd(ctx, proto.PresenceKnownKey, string(gateway))
	if err := Exec(ctx, pipe); err != nil {
		return fmt.Errorf("list %d sessions: %w", len(of), err)
	}
	return nil
}

// Note writes to sessions, each if the fence is still its own and no later report has
// been noted; done says which were.
func (s *Store) Note(ctx context.Context, notes ...Note) (done []bool, err error) {
	if len(notes) == 0 {
		return nil, nil
	}
	pipe := s.client.Pipeline()
	cmds := make([]*redis.Cmd, len(notes))
	for i := range notes {
		n := &notes[i]
		verb := "HSET"
		if n.Ended {
			verb = "HDEL"
		}
		args := []any{n.Fence, n.Seq, verb, maxNoted}
		for _, v := range n.Views {
			args = append(args, viewField+string(v))
		}
		for _, w := range n.Watches {
			args = append(args, watchField+string(w))
		}
		cmds[i] = noteLua.Eval(ctx, pipe, []string{proto.SessionKey(n.User, n.PID)}, args...)
	}
	if err := Exec(ctx, pipe); err != nil {
		return nil, fmt.Errorf("note of %d sessions: %w", len(notes), err)
	}
	done = make([]bool, len(notes))
	for i, cmd := range cmds {
		n, err := cmd.Int64()
		if err != nil {
			return nil, err
		}
		done[i] = n == 1
	}
	return done, nil
}

// Leave ends sessions that have not gone on; they are forgotten in time. From then on
// they get no notes, and what they had is to be ended.
func (s *Store) Leave(ctx context.Context, left ...Left) error {
	if len(left) == 0 {
		return nil
	}
	pipe := s.client.Pipeline()
	for i := range left {
		l := &left[i]
		leaveLua.Eval(ctx, pipe, []string{proto.SessionKey(l.User, l.PID)}, l.Fence, int(KeepSession/time.Second), !l.Lost)
	}
	if err := Exec(ctx, pipe); err != nil {
		return fmt.Errorf("leave %d sessions: %w", len(left), err)
	}
	return nil
}

// Strike takes sessions off their gateways' lists: nothing of them is left to be ended.
func (s *Store) Strike(ctx context.Context, left ...Left) error {
	if len(left) == 0 {
		return nil
	}
	pipe := s.client.Pipeline()
	for i := range left {
		pipe.SRem(ctx, proto.GatewaySessionsKey(left[i].Gateway), left[i].member())
	}
	if err := Exec(ctx, pipe); err != nil {
		return fmt.Errorf("strike %d sessions: %w", len(left), err)
	}
	return nil
}

// Move ends a session that goes on as another, under a fence of that one.
func (s *Store) Move(ctx context.Context, from, to Of, fence uint64, device string) error {
	err := moveLua.Run(ctx, s.client, []string{proto.SessionKey(from.User, from.PID)}, fence, device, string(to.PID), int(KeepSession/time.Second)).Err()
	if err = Outcome(ctx, err); err != nil {
		return fmt.Errorf("move session: %w", err)
	}
	return nil
}

// Unlist takes a session off the list of a gateway where it is no more.
func (s *Store) Unlist(ctx context.Context, gateway proto.Token, of Of) error {
	if err := Outcome(ctx, s.client.SRem(ctx, proto.GatewaySessionsKey(gateway), of.member()).Err()); err != nil {
		return fmt.Errorf("unlist session: %w", err)
	}
	return nil
}

// Hide notes who is invisible, and who is no more.
func (s *Store) Hide(ctx context.Context, hidden bool, users ...proto.Token) error {
	if len(users) == 0 {
		return nil
	}
	names := make([]any, len(users))
	for i, u := range users {
		names[i] = string(u)
	}
	var err error
	if hidden {
		err = s.client.SAdd(ctx, proto.PresenceHiddenKey, names...).Err()
	} else {
		err = s.client.SRem(ctx, proto.PresenceHiddenKey, names...).Err()
	}
	if err = Outcome(ctx, err); err != nil {
		return fmt.Errorf("hide %d users: %w", len(users), err)
	}
	return nil
}

// Hidden says who is invisible.
func (s *Store) Hidden(ctx context.Context, users []proto.Token) ([]bool, error) {
	if len(users) == 0 {
		return nil, nil
	}
	pipe := s.client.Pipeline()
	cmds := make([]*redis.BoolCmd, len(users))
	for i, u := range users {
		cmds[i] = pipe.SIsMember(ctx, proto.PresenceHiddenKey, string(u))
	}
	if err := Exec(ctx, pipe); err != nil {
		return nil, fmt.Errorf("read who is hidden: %w", err)
	}
	out := make([]bool, len(users))
	for i, cmd := range cmds {
		out[i] = cmd.Val()
	}
	return out, nil
}
