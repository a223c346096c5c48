package relations

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"supmesh.dev/presence/registry"
	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
	"supmesh.dev/services/wire"
)

func TestMain(m *testing.M) { servicestest.Leak(m) }

func open(t *testing.T, client redis.UniversalClient) (*Store, context.Context) {
	t.Helper()
	n := servicestest.RunNATS(t)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	host := servicestest.NewHost(t, "presence", n, nil)
	require.NoError(t, host.EnsureStreams(ctx, true, proto.Streams...))
	return New(client, host.JetStream(), host.CatchUp()), ctx
}

// onEach runs a test on a plain Redis, on a cluster of one node, which refuses
// what touches two slots, and on the one that the dev run embeds.
func onEach(t *testing.T, test func(t *testing.T, client redis.UniversalClient)) {
	t.Helper()
	t.Run("plain", func(t *testing.T) { test(t, servicestest.RunRedis(t).Client()) })
	t.Run("cluster", func(t *testing.T) { test(t, servicestest.RunRedisCluster(t).Client()) })
	t.Run("embedded", func(t *testing.T) {
		client := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()})
		t.Cleanup(func() { require.NoError(t, client.Close()) })
		test(t, client)
	})
}

func token(t *testing.T, id string) proto.Token {
	t.Helper()
	out, err := proto.EncodeID(id)
	require.NoError(t, err)
	return out
}

func (s *Store) write(t *testing.T, user proto.Token, after uint64, key string, r proto.Relations) (uint64, bool, error) {
	t.Helper()
	body, err := wire.Marshal(r)
	require.NoError(t, err)
	return s.Append(t.Context(), Append{User: user, After: after, Key: key, Trace: "tp", Body: body})
}

func TestAppendFollows(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, client redis.UniversalClient) {
		s, ctx := open(t, client)
		ann := token(t, "ann: odd.*")
		none, err := s.Newest(ctx, ann)
		require.NoError(t, err)
		require.Zero(t, none.Position)
		require.NotEmpty(t, none.Epoch)

		first, repeated, err := s.write(t, ann, 0, "k1", proto.Relations{Contacts: []string{"bob"}})
		require.NoError(t, err)
		require.False(t, repeated)
		again, repeated, err := s.write(t, ann, first, "k1", proto.Relations{Contacts: []string{"bob"}})
		require.NoError(t, err)
		require.True(t, repeated)
		require.Equal(t, first, again)
		_, _, err = s.write(t, ann, 0, "k2", proto.Relations{})
		require.ErrorIs(t, err, ErrMoved)
		second, _, err := s.write(t, ann, first, "k2", proto.Relations{Blocks: []string{"ein Name"}})
		require.NoError(t, err)
		got, err := s.Newest(ctx, ann)
		require.NoError(t, err)
		require.Equal(t, Entry{Epoch: none.Epoch, Position: second, Relations: proto.Relations{Contacts: []string{}, Blocks: []string{"ein Name"}}}, got)
	})
}

func TestBetween(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, client redis.UniversalClient) {
		s, ctx := open(t, client)
		ann, bob, eve, odd, nobody := token(t, "ann"), token(t, "bob"), token(t, "eve"), token(t, "ein Name"), token(t, "nobody")
		for user, r := range map[proto.Token]proto.Relations{
			ann: {Contacts: []string{"bob", "ein Name", "eve"}, Blocks: []string{"eve"}},
			bob: {Contacts: []string{"ann"}},
			odd: {Blocks: []string{"bob"}},
		} {
			_, _, err := s.write(t, user, 0, string(user), r)
			require.NoError(t, err)
		}
		everybody := []proto.Token{ann, bob, eve, odd, nobody}
		for from := range 3 { // the log, Redis, Redis
			for watcher, want := range map[proto.Token][]Regard{
				ann:    {{}, {Contact: true}, {Blocked: true}, {}, {}},
				bob:    {{Contact: true}, {}, {}, {Blocked: true}, {}},
				eve:    {{Contact: true, Blocked: true}, {}, {}, {}, {}},
				odd:    {{Contact: true}, {Blocked: true}, {}, {}, {}},
				nobody: {{}, {}, {}, {}, {}},
			} {
				got, err := s.Between(ctx, watcher, everybody)
				require.NoError(t, err)
				require.Equal(t, want, got, "%d %s", from, watcher)
			}
		}
		ttl, err := client.PTTL(ctx, proto.RelationsKey(nobody)).Result()
		require.NoError(t, err, "that there is nothing is kept too")
		require.InDelta(t, KeepFor, ttl, float64(time.Minute))
		got, err := s.Between(ctx, ann, nil)
		require.NoError(t, err)
		require.Empty(t, got)
	})
}

func TestKeepTheNewest(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, client redis.UniversalClient) {
		s, ctx := open(t, client)
		ann, bob := token(t, "ann"), token(t, "bob")
		now, err := s.Newest(ctx, ann)
		require.NoError(t, err)
		keep := func(epoch string, position uint64, ttl time.Duration, contacts ...string) {
			t.Helper()
			require.NoError(t, s.Keep(ctx, ann, Entry{Epoch: epoch, Position: position, Relations: proto.Relations{Contacts: contacts}}, ttl))
		}
		sees := func() bool {
			t.Helper()
			got, err := s.Between(ctx, bob, []proto.Token{ann})
			require.NoError(t, err)
			return got[0].Contact
		}
		left := func() time.Duration {
			t.Helper()
			ttl, err := client.PTTL(ctx, proto.RelationsKey(ann)).Result()
			require.NoError(t, err)
			return ttl
		}
		keep(now.Epoch, 9, KeepFor, "bob")
		require.True(t, sees())
		keep(now.Epoch, 7, KeepFor)
		require.True(t, sees(), "an older entry changes nothing")
		require.Greater(t, left(), Briefly)
		keep(now.Epoch, 9, Briefly, "bob")
		require.LessOrEqual(t, left(), Briefly, "about to change: soon forgotten")
		keep(now.Epoch, 9, KeepFor, "bob")
		require.LessOrEqual(t, left(), Briefly, "and no word of the same makes it last")
		keep(now.Epoch, 10, KeepFor)
		require.False(t, sees())
		require.Greater(t, left(), Briefly)
		keep("another log", 3, KeepFor, "bob")
		require.True(t, sees(), "positions of another log mean nothing")
	})
}

// Thousands of each fit into one entry, and one script takes them.
func TestMany(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, client redis.UniversalClient) {
		s, ctx := open(t, client)
		var r proto.Relations
		for i := range proto.MaxRelations {
			r.Contacts = append(r.Contacts, fmt.Sprint("contact-", i))
			r.Blocks = append(r.Blocks, fmt.Sprint("block-", i))
		}
		ann := token(t, "ann")
		_, _, err := s.write(t, ann, 0, "k", r)
		require.NoError(t, err)
		for range 2 {
			got, err := s.Between(ctx, ann, []proto.Token{"contact-7", "block-1999"})
			require.NoError(t, err)
			require.Equal(t, []Regard{{}, {Blocked: true}}, got)
			got, err = s.Between(ctx, "contact-1999", []proto.Token{ann})
			require.NoError(t, err)
			require.Equal(t, []Regard{{Contact: true}}, got)
		}
	})
}

func TestRedisAway(t *testing.T) {
	t.Parallel()
	r := servicestest.RunRedis(t)
	s, ctx := open(t, r.Client())
	r.Stop()
	_, err := s.Between(ctx, "ann", []proto.Token{"bob"})
	require.ErrorIs(t, err, registry.ErrDown)
	require.ErrorIs(t, s.Keep(ctx, "ann", Entry{}, KeepFor), registry.ErrDown)
}

// TestLateReplica: a block that the replica which answers does not have counts.
func TestLateReplica(t *testing.T) {
	t.Parallel()
	n := servicestest.RunNATS(t)
	host := servicestest.NewHost(t, "presence", n, nil)
	require.NoError(t, host.EnsureStreams(t.Context(), true, proto.Streams...))
	s := New(servicestest.RunRedis(t).Client(), host.JetStream(), host.CatchUp())
	ann, bob := token(t, "ann"), token(t, "bob")
	first, _, err := s.write(t, ann, 0, "1", proto.Relations{Contacts: []string{"bob"}})
	require.NoError(t, err)
	n.Replica(proto.Events.Name).Hold()
	_, _, err = s.write(t, ann, first, "2", proto.Relations{Blocks: []string{"bob"}})
	require.NoError(t, err)
	got, err := s.Between(t.Context(), ann, []proto.Token{bob})
	require.NoError(t, err)
	require.Equal(t, []Regard{{Blocked: true}}, got)
}
