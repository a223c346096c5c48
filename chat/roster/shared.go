package roster

import (
	"context"
	"fmt"
	"slices"

	"supmesh.dev/chat/projection"
	"supmesh.dev/proto"
)

// sharedPage is how many chats one round trip looks at, about 1 MB of answers:
// 100 users with thousands of chats each do not hold up Redis in one go.
const sharedPage = 16 << 10

// Shared says with which of several users a user is in a chat now. Of each pair
// the shorter list of chats is looked up in the longer. whole is false where the
// mark does not stand: then nothing is known.
func (s *Store) Shared(ctx context.Context, user proto.Token, users []proto.Token) (shared []bool, whole bool, err error) {
	pipe := s.client.Pipeline()
	all := pipe.ZRangeWithScores(ctx, proto.UserChatsKey(user), 0, -1)
	sizes := make([]func() int, len(users))
	for i, u := range users {
		size := pipe.ZCard(ctx, proto.UserChatsKey(u))
		sizes[i] = func() int { return int(size.Val()) }
	}
	mark := pipe.Exists(ctx, s.mark)
	if err := projection.Exec(ctx, pipe); err != nil {
		return nil, false, fmt.Errorf("read chats of %s and %d others: %w", user, len(users), err)
	}
	if mark.Val() == 0 {
		return nil, false, nil
	}
	mine := make(map[string]bool, len(all.Val()))
	var names []string
	for _, z := range all.Val() {
		if name, ok := z.Member.(string); ok && isMember(z.Score) {
			mine[name] = true
			names = append(names, name)
		}
	}
	shared = make([]bool, len(users))
	for i := 0; i < len(users) && len(names) > 0; {
		pipe := s.client.Pipeline()
		found := map[int]func() bool{}
		for cost := 0; i < len(users) && cost < sharedPage; i++ {
			key := proto.UserChatsKey(users[i])
			if size := sizes[i](); size < len(names) {
				chats := pipe.ZRangeWithScores(ctx, key, 0, -1)
				found[i] = func() bool {
					for _, z := range chats.Val() {
						if name, ok := z.Member.(string); ok && isMember(z.Score) && mine[name] {
							return true
						}
					}
					return false
				}
				cost += size
				continue
			}
			scores := pipe.ZMScore(ctx, key, names...)
			found[i] = func() bool {
				return slices.ContainsFunc(scores.Val(), isMember) // 0 where there is none
			}
			cost += len(names)
		}
		mark := pipe.Exists(ctx, s.mark)
		if err := projection.Exec(ctx, pipe); err != nil {
			return nil, false, fmt.Errorf("look for chats that %s shares: %w", user, err)
		}
		if mark.Val() == 0 { // lost in between
			return nil, false, nil
		}
		for at, yes := range found {
			shared[at] = yes()
		}
	}
	return shared, true, nil
}

// isMember reads a score of proto.UserChatsKey.
func isMember(score float64) bool { return uint64(score)%2 == 1 }
