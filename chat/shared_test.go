package chat

import (
	"fmt"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

func (i *instance) shares(t testing.TB, user string, users ...string) []string {
	t.Helper()
	req := proto.SharedChatsReq{UserID: user, UserIDs: users}
	require.NoError(t, req.Validate())
	res, err := i.sharedChats(by(t, proto.Actor{}), req)
	require.NoError(t, err)
	return res.UserIDs
}

func TestSharedChats(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		w := newWorld(t, redis)
		a, b := w.instance(), w.instance()
		a.chat(t, "one", "ann", "ein Name")
		a.chat(t, "two", "bob", "eve")
		others := []string{"eve", "ein Name", "nobody", "bob", "ann"}
		require.Equal(t, []string{"ein Name", "ann"}, b.shares(t, "ann", others...))
		require.Equal(t, []string{"eve", "bob"}, a.shares(t, "bob", others...))
		require.Empty(t, a.shares(t, "nobody", others...))
		require.NotNil(t, a.shares(t, "nobody", others...))

		// Many chats against few, and few against many.
		for n := range 20 {
			a.chat(t, fmt.Sprint("big", n), "busy")
		}
		require.Empty(t, a.shares(t, "busy", "ann"))
		require.Empty(t, a.shares(t, "ann", "busy"))
		_, err := a.addMembers(backend(t), proto.AddMembersReq{ChatID: "big7", UserID: "ann"})
		require.NoError(t, err)
		require.Equal(t, []string{"ann"}, b.shares(t, "busy", "ann", "bob"))
		require.Equal(t, []string{"busy"}, b.shares(t, "ann", "busy", "bob"))

		// Who was a member is none.
		_, err = a.removeMember(backend(t), proto.RemoveMemberReq{ChatID: "big7", UserID: "ann"})
		require.NoError(t, err)
		require.Empty(t, b.shares(t, "busy", "ann"))
		require.Empty(t, b.shares(t, "ann", "busy"))
		_, err = a.removeMember(backend(t), proto.RemoveMemberReq{ChatID: "one", UserID: "ann"})
		require.NoError(t, err)
		require.Empty(t, b.shares(t, "ann", others...))

		// Nobody is taken for a stranger because Redis has forgotten.
		for range 3 {
			flush(t, redis)
			require.Equal(t, []string{"eve"}, a.shares(t, "bob", "eve", "ann"))
		}
	})
}

func TestSharedChatsIsForServices(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	a := w.instance()
	for _, who := range []proto.Actor{{User: "ann"}, {Backend: true}, {User: "ann", Backend: true}} {
		_, err := a.sharedChats(by(t, who), proto.SharedChatsReq{UserID: "ann", UserIDs: []string{"bob"}})
		requireCode(t, proto.PermissionDenied, err)
	}
	w.redis.Stop()
	_, err := a.sharedChats(by(t, proto.Actor{}), proto.SharedChatsReq{UserID: "ann", UserIDs: []string{"bob"}})
	requireCode(t, proto.ServiceUnavailable, err)
}

func TestSharedChatsOfMany(t *testing.T) {
	t.Parallel()
	mini := miniredis.RunT(t)
	w := newWorld(t, &servicestest.Redis{URL: "redis://" + mini.Addr(), Addr: mini.Addr()})
	a := w.instance()
	var users []string
	for n := range proto.MaxSubscribe {
		users = append(users, name(n))
	}
	a.chat(t, "all", append([]string{"ann"}, users...)...)
	a.chat(t, "more", "ann")
	require.Equal(t, users, a.shares(t, "ann", users...))
}

// TestSharedChatsInPages: more chats than one round trip looks at, in the roster's own layout.
func TestSharedChatsInPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	a := w.instance()
	const each = 300
	pipe := w.redis.Client().Pipeline()
	join := func(user, chat string) {
		pipe.ZAdd(t.Context(), proto.UserChatsKey(proto.Token(user)), redis.Z{Score: 3, Member: chat})
	}
	var users, want []string
	for n := range proto.MaxSubscribe {
		users = append(users, name(n))
		for c := range each + n%2 - 1 { // now fewer than ann has, now as many
			join(name(n), fmt.Sprint("of-", n, "-", c))
		}
		if n%3 == 0 {
			want = append(want, name(n))
			join(name(n), fmt.Sprint("ann-", n))
		}
	}
	for c := range each {
		join("ann", fmt.Sprint("ann-", c))
	}
	_, err := pipe.Exec(t.Context())
	require.NoError(t, err)
	require.Equal(t, want, a.shares(t, "ann", users...))
}
