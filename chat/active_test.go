package chat

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
)

// registry stands in for presence: it says what a test has told it.
type registry struct {
	mu      sync.Mutex
	viewing map[string]proto.ViewersRes
}

func (w *world) presence() (r *registry, stop func() error) {
	w.t.Helper()
	r = &registry{viewing: map[string]proto.ViewersRes{}}
	host := servicestest.NewHost(w.t, "presence", w.nats, w.redis)
	host.Serve(services.On(proto.Viewers, func(_ context.Context, req proto.ViewersReq) (proto.ViewersRes, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.viewing[req.ChatID], nil
	}))
	return r, servicestest.Run(w.t, host, servicestest.Service{})
}

// view says who has a chat open; beyond what is listed there are more others.
func (r *registry) view(chat string, more int, users ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.viewing[chat] = proto.ViewersRes{UserIDs: users, Count: len(users) + more}
}

func (i *instance) actives(t testing.TB, user, chat string) proto.ActiveMembersRes {
	t.Helper()
	res, err := i.activeMembers(as(t, user), proto.ActiveMembersReq{ChatID: chat})
	require.NoError(t, err)
	return res
}

func TestActiveMembers(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		w := newWorld(t, redis)
		presence, stop := w.presence()
		a := w.instance()
		const chat = "a chat: with.odd * characters"
		a.chat(t, chat, "ann", "bob", "ein Name")
		require.Equal(t, proto.ActiveMembersRes{ChatID: chat, ActiveMembers: []string{}}, a.actives(t, "ann", chat), "nobody, as a list")

		presence.view(chat, 0, "ann", "ein Name", "eve")
		require.Equal(t, proto.ActiveMembersRes{ChatID: chat, ActiveMembers: []string{"ann", "ein Name"}, Count: 2}, a.actives(t, "bob", chat), "a stranger does not count")
		_, err := a.removeMember(backend(t), proto.RemoveMemberReq{ChatID: chat, UserID: "ein Name"})
		require.NoError(t, err)
		require.Equal(t, []string{"ann"}, a.actives(t, "bob", chat).ActiveMembers, "before its gateway has said so")

		_, err = a.activeMembers(as(t, "eve"), proto.ActiveMembersReq{ChatID: chat})
		requireCode(t, proto.ChatNotFound, err)
		_, err = a.activeMembers(as(t, "bob"), proto.ActiveMembersReq{ChatID: "no such chat"})
		requireCode(t, proto.ChatNotFound, err)

		require.NoError(t, stop())
		_, err = a.activeMembers(as(t, "eve"), proto.ActiveMembersReq{ChatID: chat})
		requireCode(t, proto.ChatNotFound, err)
		began := time.Now()
		_, err = a.activeMembers(as(t, "bob"), proto.ActiveMembersReq{ChatID: chat})
		requireCode(t, proto.ServiceUnavailable, err)
		require.Less(t, time.Since(began), proto.RequestTimeout)
	})
}

func TestStillMembers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		listed []string
		count  int
		are    []bool
		active []string
		want   int
	}{
		"nobody":           {nil, 0, nil, []string{}, 0},
		"all":              {[]string{"a", "b"}, 2, []bool{true, true}, []string{"a", "b"}, 2},
		"over the limit":   {[]string{"a", "b", "c", "d"}, 4, []bool{true, false, true, true}, []string{"a", "c"}, 3},
		"not all listed":   {[]string{"a", "b"}, 5000, []bool{false, true}, []string{"b"}, 4999},
		"none is a member": {[]string{"a"}, 1, []bool{false}, []string{}, 0},
		"a count too low":  {[]string{"a"}, 0, []bool{true}, []string{"a"}, 1},
	} {
		active, count := stillMembers(proto.ViewersRes{UserIDs: c.listed, Count: c.count}, c.are, 2, services.RoomOf(1<<20))
		require.Equal(t, c.active, active, name)
		require.Equal(t, c.want, count, name)
	}
}

func TestJoinSaysTheVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servicestest.RunRedis(t))
	a := w.instance()
	for i := range 3 {
		a.chat(t, fmt.Sprint("c", i), "ann")
	}
	a.chat(t, "other", "bob")
	added := func() uint64 {
		res, err := a.addMembers(backend(t), proto.AddMembersReq{ChatID: "c1", UserID: "bob"})
		require.NoError(t, err)
		return res.Version
	}()
	one, err := a.join(as(t, "ann"), proto.JoinChatReq{ChatID: "c1"})
	require.NoError(t, err)
	require.Equal(t, added, one.Version)

	res, err := a.joinMultiple(as(t, "ann"), proto.JoinChatsReq{ChatIDs: []string{"c0", "other", "c1", "no such", "c0"}})
	require.NoError(t, err)
	require.Equal(t, proto.JoinChatsRes{
		JoinedCount: 2, Joined: []string{"c0", "c1"}, Versions: []uint64{1, 2},
		Failed: []proto.FailedJoin{{ChatID: "other", Code: proto.ChatNotFound}, {ChatID: "no such", Code: proto.ChatNotFound}},
	}, res)

	w.cfg.ChatPolicy = PolicyOpen
	open := w.instance()
	res, err = open.joinMultiple(as(t, "ann"), proto.JoinChatsReq{ChatIDs: []string{"new", "c2"}})
	require.NoError(t, err)
	require.Equal(t, 2, res.JoinedCount, "%v", res)
}
