package viewing

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"supmesh.dev/chat/projection"
	"supmesh.dev/proto"
)

// LeaseFor is how long a gateway may be silent before it is taken for dead.
const LeaseFor = 30 * time.Second

// sweptFor is how long it is remembered that a gateway was taken for dead, for
// when it was not.
const sweptFor = time.Hour

var (
	beganLua = redis.NewScript(beganScript)
	endedLua = redis.NewScript(endedScript)
	renewLua = redis.NewScript(renewScript)
	lockLua  = redis.NewScript(lockScript)
)

// Viewer is one socket that has a chat open.
type Viewer struct{ Chat, User, Socket proto.Token }

func (v Viewer) member() string {
	return string(v.Chat) + "/" + string(v.User) + "/" + string(v.Socket)
}

func viewerOf(member string) (Viewer, bool) {
	parts := strings.Split(member, "/")
	if len(parts) != 3 {
		return Viewer{}, false
	}
	return Viewer{proto.Token(parts[0]), proto.Token(parts[1]), proto.Token(parts[2])}, true
}

// Outcome is what became of one change.
type Outcome int

// Outcomes of a change.
const (
	Same    Outcome = iota // the user's viewing is as it was
	First                  // the user did not view before
	Last                   // the user views no more
	Refused                // the user is not a member
)

// Store reads and writes the registry.
type Store struct {
	client redis.UniversalClient
	lease  time.Duration
}

// New makes a store whose leases last LeaseFor.
func New(client redis.UniversalClient) *Store { return &Store{client: client, lease: LeaseFor} }

// WithLease makes a store with leases of another length, for tests.
func (s *Store) WithLease(d time.Duration) *Store { return &Store{client: s.client, lease: d} }

// Began notes that sockets of a gateway have chats open.
func (s *Store) Began(ctx context.Context, gateway proto.Token, viewers []Viewer) ([]Outcome, error) {
	if len(viewers) == 0 {
		return nil, nil
	}
	// The gateway's own list first: should this stop half-way, the sweeper still finds it.
	pipe := s.client.Pipeline()
	members := make([]any, len(viewers))
	for i, v := range viewers {
		members[i] = v.member()
	}
	pipe.SAdd(ctx, proto.ViewsKey(gateway), members...)
	pipe.SAdd(ctx, proto.ViewGatewaysKey, string(gateway))
	if err := projection.Exec(ctx, pipe); err != nil {
		return nil, fmt.Errorf("note %d viewers: %w", len(viewers), err)
	}
	outcomes, err := s.run(ctx, beganLua, gateway, viewers, func(v Viewer) []string {
		return []string{proto.ViewersKey(v.Chat), proto.MembersKey(v.Chat)}
	})
	if err != nil {
		return nil, fmt.Errorf("add %d viewers: %w", len(viewers), err)
	}
	var refused []any
	for i, n := range outcomes {
		if n == -1 {
			outcomes[i] = int64(Refused)
			refused = append(refused, members[i])
		}
	}
	if len(refused) > 0 {
		if err := projection.Outcome(ctx, s.client.SRem(ctx, proto.ViewsKey(gateway), refused...).Err()); err != nil {
			return nil, fmt.Errorf("forget %d refused viewers: %w", len(refused), err)
		}
	}
	return outcomesOf(outcomes, First), nil
}

// Ended notes that sockets of a gateway have chats open no more.
func (s *Store) Ended(ctx context.Context, gateway proto.Token, viewers []Viewer) ([]Outcome, error) {
	if len(viewers) == 0 {
		return nil, nil
	}
	outcomes, err := s.run(ctx, endedLua, gateway, viewers, func(v Viewer) []string { return []string{proto.ViewersKey(v.Chat)} })
	if err != nil {
		return nil, fmt.Errorf("remove %d viewers: %w", len(viewers), err)
	}
	members := make([]any, len(viewers))
	for i, v := range viewers {
		members[i] = v.member()
	}
	if err := projection.Outcome(ctx, s.client.SRem(ctx, proto.ViewsKey(gateway), members...).Err()); err != nil {
		return nil, fmt.Errorf("forget %d viewers: %w", len(viewers), err)
	}
	return outcomesOf(outcomes, Last), nil
}

// run runs a script for each viewer, in one round trip.
func (s *Store) run(ctx context.Context, script *redis.Script, gateway proto.Token, viewers []Viewer, keys func(Viewer) []string) ([]int64, error) {
	pipe := s.client.Pipeline()
	cmds := make([]*redis.Cmd, len(viewers))
	for i, v := range viewers {
		cmds[i] = script.Eval(ctx, pipe, keys(v), string(v.User), string(v.Socket)+"@"+string(gateway))
	}
	if err := projection.Exec(ctx, pipe); err != nil {
		return nil, err
	}
	out := make([]int64, len(cmds))
	for i, cmd := range cmds {
		var err error
		if out[i], err = cmd.Int64(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func outcomesOf(raw []int64, one Outcome) []Outcome {
	out := make([]Outcome, len(raw))
	for i, n := range raw {
		switch n {
		case 1:
			out[i] = one
		case int64(Refused):
			out[i] = Refused
		}
	}
	return out
}

// Active is who views a chat: at most limit of them, and how many there are.
// Those who are no members any more do not count.
func (s *Store) Active(ctx context.Context, chat proto.Token, limit int) (users []proto.Token, count int, err error) {
	key := proto.ViewersKey(chat)
	pipe := s.client.Pipeline()
	length := pipe.HLen(ctx, key)
	names := pipe.HKeys(ctx, key)
	if err := projection.Exec(ctx, pipe); err != nil {
		return nil, 0, fmt.Errorf("read viewers of chat %s: %w", chat, err)
	}
	if length.Val() == 0 {
		return nil, 0, nil
	}
	all := names.Val()
	slices.Sort(all)
	roles, err := s.client.HMGet(ctx, proto.MembersKey(chat), all...).Result()
	if err = projection.Outcome(ctx, err); err != nil {
		return nil, 0, fmt.Errorf("read members of chat %s: %w", chat, err)
	}
	for i, name := range all {
		if roles[i] == nil {
			continue
		}
		if count++; len(users) < limit {
			users = append(users, proto.Token(name))
		}
	}
	return users, count, nil
}

// Renew extends a gateway's lease; begin makes one that is not there. swept
// says that the gateway had been taken for dead.
func (s *Store) Renew(ctx context.Context, gateway proto.Token, begin bool) (known, swept bool, err error) {
	key := proto.ViewLeaseKey(gateway)
	if begin {
		pipe := s.client.Pipeline()
		pipe.Set(ctx, key, 1, s.lease)
		pipe.SAdd(ctx, proto.ViewGatewaysKey, string(gateway))
		if err := projection.Exec(ctx, pipe); err != nil {
			return false, false, fmt.Errorf("begin lease of gateway %s: %w", gateway, err)
		}
		return true, false, nil
	}
	n, err := renewLua.Run(ctx, s.client, []string{key}, s.lease.Milliseconds()).Int64()
	if err = projection.Outcome(ctx, err); err != nil {
		return false, false, fmt.Errorf("renew lease of gateway %s: %w", gateway, err)
	}
	if n == 1 {
		return true, false, nil
	}
	marked, err := s.client.Exists(ctx, proto.ViewSweptKey(gateway)).Result()
	if err = projection.Outcome(ctx, err); err != nil {
		return false, false, fmt.Errorf("renew lease of gateway %s: %w", gateway, err)
	}
	return false, marked == 1, nil
}

// Release ends a gateway's lease. What it still had is swept.
func (s *Store) Release(ctx context.Context, gateway proto.Token) error {
	if err := projection.Outcome(ctx, s.client.Del(ctx, proto.ViewLeaseKey(gateway)).Err()); err != nil {
		return fmt.Errorf("end lease of gateway %s: %w", gateway, err)
	}
	return nil
}

// Lock makes holder the one who sweeps, or keeps it so.
func (s *Store) Lock(ctx context.Context, holder string, ttl time.Duration) (bool, error) {
	n, err := lockLua.Run(ctx, s.client, []string{proto.ViewSweeperKey}, holder, ttl.Milliseconds()).Int64()
	if err = projection.Outcome(ctx, err); err != nil {
		return false, fmt.Errorf("lock sweep: %w", err)
	}
	return n == 1, nil
}

// Dead is the gateways whose lease is over.
func (s *Store) Dead(ctx context.Context) (dead []proto.Token, err error) {
	gateways, err := s.client.SMembers(ctx, proto.ViewGatewaysKey).Result()
	if err = projection.Outcome(ctx, err); err != nil {
		return nil, fmt.Errorf("read gateways: %w", err)
	}
	pipe := s.client.Pipeline()
	leases := make([]*redis.IntCmd, len(gateways))
	for i, g := range gateways {
		leases[i] = pipe.Exists(ctx, proto.ViewLeaseKey(proto.Token(g)))
	}
	if len(gateways) == 0 {
		return nil, nil
	}
	if err := projection.Exec(ctx, pipe); err != nil {
		return nil, fmt.Errorf("read leases: %w", err)
	}
	for i, g := range gateways {
		if leases[i].Val() == 0 {
			dead = append(dead, proto.Token(g))
		}
	}
	return dead, nil
}

// Sweep takes up to limit viewers of a dead gateway away and says which of them
// were the last of their users. With none left the gateway is forgotten.
func (s *Store) Sweep(ctx context.Context, gateway proto.Token, limit int) (left []Viewer, more bool, err error) {
	// First, so that a gateway that comes back meanwhile knows what clients saw.
	if err := projection.Outcome(ctx, s.client.Set(ctx, proto.ViewSweptKey(gateway), 1, sweptFor).Err()); err != nil {
		return nil, false, fmt.Errorf("sweep gateway %s: %w", gateway, err)
	}
	members, err := s.client.SRandMemberN(ctx, proto.ViewsKey(gateway), int64(limit)).Result()
	if err = projection.Outcome(ctx, err); err != nil {
		return nil, false, fmt.Errorf("sweep gateway %s: %w", gateway, err)
	}
	if len(members) == 0 {
		if err := projection.Outcome(ctx, s.client.SRem(ctx, proto.ViewGatewaysKey, string(gateway)).Err()); err != nil {
			return nil, false, fmt.Errorf("forget gateway %s: %w", gateway, err)
		}
		return nil, false, nil
	}
	viewers := make([]Viewer, 0, len(members))
	for _, m := range members {
		v, ok := viewerOf(m)
		if !ok {
			return nil, false, fmt.Errorf("sweep gateway %s: strange viewer %q", gateway, m)
		}
		viewers = append(viewers, v)
	}
	outcomes, err := s.Ended(ctx, gateway, viewers)
	if err != nil {
		return nil, false, err
	}
	for i, o := range outcomes {
		if o == Last {
			left = append(left, viewers[i])
		}
	}
	return left, true, nil
}
