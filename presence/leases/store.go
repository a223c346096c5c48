package leases

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"supmesh.dev/presence/registry"
	"supmesh.dev/proto"
)

// renewScript moves a gateway that is known: KEYS gateways; ARGV gateway, ms.
const renewScript = `
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
return 1`

// lockScript takes a lock or keeps it: KEYS lock; ARGV holder, ms. Returns 0 if it
// is another's, 1 if it has just been taken, 2 if it was held.
const lockScript = `
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
if holder then return 2 end
return 1`

// keepSwept is how long it is remembered that a gateway was taken for dead.
const keepSwept = time.Hour

var (
	renewLua = redis.NewScript(renewScript)
	lockLua  = redis.NewScript(lockScript)
)

// Store reads and writes the leases.
type Store struct{ client redis.UniversalClient }

// New makes a store.
func New(client redis.UniversalClient) *Store { return &Store{client} }

// Begin makes a lease.
func (s *Store) Begin(ctx context.Context, gateway proto.Token, now int64) error {
	pipe := s.client.Pipeline()
	pipe.ZAdd(ctx, proto.PresenceGatewaysKey, redis.Z{Score: float64(now), Member: string(gateway)})
	pipe.SAdd(ctx, proto.PresenceKnownKey, string(gateway))
	if err := registry.Exec(ctx, pipe); err != nil {
		return fmt.Errorf("begin lease of gateway %s: %w", gateway, err)
	}
	return nil
}

// Renew notes that a gateway lives, if it has a lease; swept says that it has none
// because it was taken for dead.
func (s *Store) Renew(ctx context.Context, gateway proto.Token, now int64) (known, swept bool, err error) {
	n, err := renewLua.Run(ctx, s.client, []string{proto.PresenceGatewaysKey}, string(gateway), now).Int64()
	if err = registry.Outcome(ctx, err); err == nil && n == 0 {
		var marked int64
		marked, err = s.client.Exists(ctx, proto.GatewaySweptKey(gateway)).Result()
		err, swept = registry.Outcome(ctx, err), marked == 1
	}
	if err != nil {
		return false, false, fmt.Errorf("renew lease of gateway %s: %w", gateway, err)
	}
	return n == 1, swept, nil
}

// Ended stands for when a gateway was last heard of that has given its lease back.
const Ended = 1

// End gives a lease back: what the gateway still had is swept.
func (s *Store) End(ctx context.Context, gateway proto.Token) error {
	end := s.client.ZAddXX(ctx, proto.PresenceGatewaysKey, redis.Z{Score: Ended, Member: string(gateway)})
	if err := registry.Outcome(ctx, end.Err()); err != nil {
		return fmt.Errorf("end lease of gateway %s: %w", gateway, err)
	}
	return nil
}

// Lock makes holder the one who looks for dead gateways, or keeps it so; fresh says
// that it was not before.
func (s *Store) Lock(ctx context.Context, holder string, ttl time.Duration) (mine, fresh bool, err error) {
	n, err := lockLua.Run(ctx, s.client, []string{proto.PresenceKeeperKey}, holder, ttl.Milliseconds()).Int64()
	if err = registry.Outcome(ctx, err); err != nil {
		return false, false, fmt.Errorf("lock: %w", err)
	}
	return n > 0, n == 1, nil
}

// Gateway is one whose connections are kept, and when it was last heard of; 0: it
// has no lease.
type Gateway struct {
	Name  proto.Token
	Heard int64
}

// Gateways is all of them.
func (s *Store) Gateways(ctx context.Context) ([]Gateway, error) {
	pipe := s.client.Pipeline()
	known := pipe.SMembers(ctx, proto.PresenceKnownKey)
	heard := pipe.ZRangeWithScores(ctx, proto.PresenceGatewaysKey, 0, -1)
	if err := registry.Exec(ctx, pipe); err != nil {
		return nil, fmt.Errorf("read gateways: %w", err)
	}
	at := make(map[string]int64, len(heard.Val()))
	for _, z := range heard.Val() {
		if name, ok := z.Member.(string); ok {
			at[name] = int64(z.Score)
		}
	}
	var out []Gateway
	for _, name := range known.Val() {
		out = append(out, Gateway{proto.Token(name), at[name]})
	}
	return out, nil
}

// Heard returns when gateways were last heard of; one without a lease is left out.
func (s *Store) Heard(ctx context.Context, gateways []proto.Token) (map[proto.Token]int64, error) {
	if len(gateways) == 0 {
		return nil, nil //nolint:nilnil // nothing is heard of none
	}
	names := make([]string, len(gateways))
	for i, g := range gateways {
		names[i] = string(g)
	}
	scores, err := s.client.ZMScore(ctx, proto.PresenceGatewaysKey, names...).Result()
	if err = registry.Outcome(ctx, err); err != nil {
		return nil, fmt.Errorf("read when %d gateways were heard of: %w", len(gateways), err)
	}
	out := make(map[proto.Token]int64, len(gateways))
	for i, g := range gateways {
		if scores[i] > Ended {
			out[g] = int64(scores[i])
		}
	}
	return out, nil
}

// Condemn marks a gateway as taken for dead and ends its lease, so that it notices
// should it live.
func (s *Store) Condemn(ctx context.Context, gateway proto.Token) error {
	pipe := s.client.Pipeline()
	pipe.Set(ctx, proto.GatewaySweptKey(gateway), 1, keepSwept)
	pipe.ZRem(ctx, proto.PresenceGatewaysKey, string(gateway))
	if err := registry.Exec(ctx, pipe); err != nil {
		return fmt.Errorf("condemn gateway %s: %w", gateway, err)
	}
	return nil
}

// Sessions is up to limit of what a gateway has on its list. With none left it is forgotten.
func (s *Store) Sessions(ctx context.Context, gateway proto.Token, limit int) ([]registry.Of, error) {
	members, err := s.client.SRandMemberN(ctx, proto.GatewaySessionsKey(gateway), int64(limit)).Result()
	if err = registry.Outcome(ctx, err); err != nil {
		return nil, fmt.Errorf("read sessions of gateway %s: %w", gateway, err)
	}
	if len(members) == 0 {
		pipe := s.client.Pipeline()
		pipe.ZRem(ctx, proto.PresenceGatewaysKey, string(gateway))
		pipe.SRem(ctx, proto.PresenceKnownKey, string(gateway))
		if err := registry.Exec(ctx, pipe); err != nil {
			return nil, fmt.Errorf("forget gateway %s: %w", gateway, err)
		}
		return nil, nil
	}
	out := make([]registry.Of, 0, len(members))
	for _, m := range members {
		user, pid, ok := strings.Cut(m, "/")
		if !ok {
			return nil, fmt.Errorf("read sessions of gateway %s: strange session %q", gateway, m)
		}
		out = append(out, registry.Of{User: proto.Token(user), PID: proto.Token(pid)})
	}
	return out, nil
}

// Strike takes sessions off a gateway's list.
func (s *Store) Strike(ctx context.Context, gateway proto.Token, of []registry.Of) error {
	if len(of) == 0 {
		return nil
	}
	members := make([]any, len(of))
	for i, o := range of {
		members[i] = string(o.User) + "/" + string(o.PID)
	}
	if err := registry.Outcome(ctx, s.client.SRem(ctx, proto.GatewaySessionsKey(gateway), members...).Err()); err != nil {
		return fmt.Errorf("strike sessions of gateway %s: %w", gateway, err)
	}
	return nil
}
