package viewing

import (
	"context"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"

	"supmesh.dev/presence/registry"
	"supmesh.dev/proto"
)

var (
	beganLua = redis.NewScript(beganScript)
	endedLua = redis.NewScript(endedScript)
)

// Viewer is one session that has a chat open.
type Viewer struct{ Chat, User, PID proto.Token }

// Store reads and writes who views.
type Store struct{ client redis.UniversalClient }

// New makes a store.
func New(client redis.UniversalClient) *Store { return &Store{client} }

// Began notes that sessions have chats open, and says which were the first of their user.
func (s *Store) Began(ctx context.Context, viewers ...Viewer) (first []bool, err error) {
	if first, err = s.run(ctx, beganLua, viewers); err != nil {
		return nil, fmt.Errorf("add %d viewers: %w", len(viewers), err)
	}
	return first, nil
}

// Ended notes that sessions have chats open no more, and says which were the last of their user.
func (s *Store) Ended(ctx context.Context, viewers ...Viewer) (last []bool, err error) {
	if last, err = s.run(ctx, endedLua, viewers); err != nil {
		return nil, fmt.Errorf("remove %d viewers: %w", len(viewers), err)
	}
	return last, nil
}

// run runs a script for each viewer, in one round trip.
func (s *Store) run(ctx context.Context, script *redis.Script, viewers []Viewer) ([]bool, error) {
	if len(viewers) == 0 {
		return nil, nil
	}
	pipe := s.client.Pipeline()
	cmds := make([]*redis.Cmd, len(viewers))
	for i, v := range viewers {
		cmds[i] = script.Eval(ctx, pipe, []string{proto.ViewersKey(v.Chat)}, string(v.User), string(v.PID))
	}
	if err := registry.Exec(ctx, pipe); err != nil {
		return nil, err
	}
	out := make([]bool, len(cmds))
	for i, cmd := range cmds {
		n, err := cmd.Int64()
		if err != nil {
			return nil, err
		}
		out[i] = n == 1
	}
	return out, nil
}

// Active is who views a chat, in the order of their tokens.
func (s *Store) Active(ctx context.Context, chat proto.Token) ([]proto.Token, error) {
	names, err := s.client.HKeys(ctx, proto.ViewersKey(chat)).Result()
	if err = registry.Outcome(ctx, err); err != nil {
		return nil, fmt.Errorf("read viewers of chat %s: %w", chat, err)
	}
	slices.Sort(names)
	out := make([]proto.Token, len(names))
	for i, n := range names {
		out[i] = proto.Token(n)
	}
	return out, nil
}
