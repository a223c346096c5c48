package presence

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"supmesh.dev/presence/relations"
	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
	"supmesh.dev/services/wire"
)

// related is a NATS server and a Redis server, and who shares a chat: what chat would say.
type related struct {
	t     testing.TB
	nats  *servicestest.NATS
	redis *servicestest.Redis

	mu     sync.Mutex
	shares map[string][]string // user → others
	asked  [][]string
}

func newRelated(t testing.TB, redis *servicestest.Redis) *related {
	t.Helper()
	return &related{t: t, nats: servicestest.RunNATS(t), redis: redis, shares: map[string][]string{}}
}

// presence is one running instance.
func (r *related) presence(visibility string) *Service {
	r.t.Helper()
	cfg := Config{Config: servicestest.Config(r.nats, r.redis), Grace: 10 * time.Second, Visibility: visibility, Rate: 2000}
	host := servicestest.NewHostWith(r.t, "presence", cfg.Config)
	s, err := New(cfg, host)
	require.NoError(r.t, err)
	servicestest.Run(r.t, host, s, proto.Events, proto.Receipts)
	return s
}

// chat stands in for the chat service.
func (r *related) chat() (stop func() error) {
	r.t.Helper()
	host := servicestest.NewHost(r.t, "chat", r.nats, r.redis)
	host.Serve(services.On(proto.SharedChats, func(_ context.Context, req proto.SharedChatsReq) (proto.SharedChatsRes, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.asked = append(r.asked, req.UserIDs)
		res := proto.SharedChatsRes{UserIDs: []string{}}
		for _, id := range req.UserIDs {
			if slices.Contains(r.shares[req.UserID], id) {
				res.UserIDs = append(res.UserIDs, id)
			}
		}
		return res, nil
	}))
	return servicestest.Run(r.t, host, servicestest.Service{})
}

// questions is what chat has been asked since the last call.
func (r *related) questions() [][]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	asked := r.asked
	r.asked = nil
	return asked
}

func (r *related) flush() {
	r.t.Helper()
	flushed := func(ctx context.Context, n *redis.Client) error { return n.FlushAll(ctx).Err() }
	if c, ok := r.redis.Client().(*redis.ClusterClient); ok {
		require.NoError(r.t, c.ForEachMaster(context.Background(), flushed))
		return
	}
	require.NoError(r.t, r.redis.Client().FlushAll(context.Background()).Err())
}

// entries is how many entries the log has of a user's relations.
func (r *related) entries(s *Service) uint64 {
	r.t.Helper()
	stream, err := s.host.JetStream().Stream(r.t.Context(), proto.Events.Name)
	require.NoError(r.t, err)
	return stream.CachedInfo().State.Msgs
}

func calledBy(t testing.TB, actor proto.Actor) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), proto.RequestTimeout)
	t.Cleanup(cancel)
	return services.WithCall(ctx, &services.Call{Actor: actor, RequestID: services.NewRequestID()})
}

func byBackend(t testing.TB) context.Context { return calledBy(t, proto.Actor{Backend: true}) }

func (s *Service) setContacts(t testing.TB, user string, ids ...string) proto.RelationsRes {
	t.Helper()
	res, err := servicestest.Call(s.putContacts, proto.Actor{Backend: true}, proto.PutRelationsReq{UserID: user, UserIDs: ids})
	require.NoError(t, err)
	return res
}

func (s *Service) setBlocks(t testing.TB, user string, ids ...string) proto.RelationsRes {
	t.Helper()
	res, err := servicestest.Call(s.putBlocks, proto.Actor{Backend: true}, proto.PutRelationsReq{UserID: user, UserIDs: ids})
	require.NoError(t, err)
	return res
}

func (s *Service) canSee(t testing.TB, watcher string, users ...string) []string {
	t.Helper()
	may, err := servicestest.Call(func(ctx context.Context, users []string) ([]bool, error) {
		return s.visibleTo(ctx, watcher, users)
	}, proto.Actor{User: watcher}, users)
	require.NoError(t, err)
	require.Len(t, may, len(users))
	out := []string{}
	for i, yes := range may {
		if yes {
			out = append(out, users[i])
		}
	}
	return out
}

func requireFailure(t testing.TB, code proto.Code, err error) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, code, proto.AsError(err).Code, "%v", err)
}

// rechecks hears whose watchers are to be judged again.
func (r *related) rechecks() func() string {
	r.t.Helper()
	nc := r.nats.Connect()
	sub, err := nc.SubscribeSync(proto.PresenceEphPrefix + "*")
	require.NoError(r.t, err)
	require.NoError(r.t, nc.Flush())
	return func() string {
		r.t.Helper()
		m, err := sub.NextMsg(10 * time.Second)
		require.NoError(r.t, err)
		require.Equal(r.t, proto.RecheckPresence, m.Header.Get(proto.HeaderEvent))
		user, err := proto.Token(strings.TrimPrefix(m.Subject, proto.PresenceEphPrefix)).ID()
		require.NoError(r.t, err)
		return user
	}
}

func onBothRedis(t *testing.T, test func(t *testing.T, redis *servicestest.Redis)) {
	t.Helper()
	t.Run("plain", func(t *testing.T) { test(t, servicestest.RunRedis(t)) })
	t.Run("cluster", func(t *testing.T) { test(t, servicestest.RunRedisCluster(t)) })
}

func TestPutRelations(t *testing.T) {
	t.Parallel()
	onBothRedis(t, func(t *testing.T, redis *servicestest.Redis) {
		r := newRelated(t, redis)
		a, b := r.presence(VisibleContacts), r.presence(VisibleContacts)
		heard := r.rechecks()
		const odd = "a user: with.odd * characters"

		first := a.setContacts(t, "ann", "eve", "bob", "eve", "ann", odd)
		require.Equal(t, proto.RelationsRes{UserID: "ann", Count: 3, Version: 1}, first, "each once, without oneself")
		require.Equal(t, "ann", heard(), "who may see a contact has not changed")
		require.Equal(t, []string{"ann"}, b.canSee(t, "bob", "ann", "eve"))
		require.Equal(t, []string{"ann"}, b.canSee(t, odd, "ann", "bob"))
		require.Empty(t, b.canSee(t, "ann", "bob", "eve"), "a contact is seen only where one is a contact too")

		require.Equal(t, first, b.setContacts(t, "ann", odd, "bob", "eve"), "the same in another order")
		require.Equal(t, "ann", heard())
		require.Equal(t, uint64(1), r.entries(a), "stores nothing")

		blocked := b.setBlocks(t, "ann", "bob")
		require.Equal(t, proto.RelationsRes{UserID: "ann", Count: 1, Version: 2}, blocked)
		require.Equal(t, []string{"ann", "bob"}, []string{heard(), heard()})
		require.Empty(t, a.canSee(t, "bob", "ann"))
		require.Equal(t, []string{"ann"}, a.canSee(t, "eve", "ann"), "blocks leave contacts as they were")

		require.Equal(t, 1, a.setBlocks(t, "ann", odd).Count)
		require.Equal(t, []string{"ann", odd, "bob"}, []string{heard(), heard(), heard()}, "who is blocked, and who no more")
		require.Equal(t, []string{"ann"}, b.canSee(t, "bob", "ann"))
		require.Equal(t, 0, a.setContacts(t, "ann").Count)
		require.Equal(t, "ann", heard())
		require.Empty(t, b.canSee(t, "eve", "ann"))
		require.Equal(t, proto.RelationsRes{UserID: "new"}, a.setContacts(t, "new"), "nobody, and nothing to store")
		require.Equal(t, "new", heard())
		require.Equal(t, uint64(4), r.entries(a))

		// Redis forgets, the log does not.
		a.setContacts(t, "ann", "eve")
		for range 2 {
			r.flush()
			require.Equal(t, []string{"ann"}, b.canSee(t, "eve", "ann"))
			require.Empty(t, b.canSee(t, odd, "ann"))
		}
	})
}

// TestRelationsAfterCrash: an instance that dies after the log has the change
// and before Redis has it, and before anybody is told.
func TestRelationsAfterCrash(t *testing.T) {
	t.Parallel()
	r := newRelated(t, servicestest.RunRedis(t))
	a := r.presence(VisibleAll)
	was := a.setContacts(t, "ann", "eve")
	require.Equal(t, []string{"ann"}, a.canSee(t, "bob", "ann"))
	now, err := a.relations.Newest(t.Context(), "ann")
	require.NoError(t, err)

	// What tryRelate has done by then.
	require.NoError(t, a.relations.Keep(t.Context(), "ann", now, relations.Briefly))
	now.Blocks = []string{"bob"}
	body, err := relationsBody(&now.Relations)
	require.NoError(t, err)
	position, _, err := a.relations.Append(t.Context(), relations.Append{User: "ann", After: was.Version, Key: "k", Body: body})
	require.NoError(t, err)

	require.Equal(t, []string{"ann"}, a.canSee(t, "bob", "ann"), "Redis is behind")
	ttl, err := r.redis.Client().PTTL(t.Context(), proto.RelationsKey("ann")).Result()
	require.NoError(t, err)
	require.LessOrEqual(t, ttl, relations.Briefly, "but not for long")

	heard := r.rechecks()
	require.Equal(t, proto.RelationsRes{UserID: "ann", Count: 1, Version: position}, a.setBlocks(t, "ann", "bob"), "the backend repeats")
	require.Equal(t, "ann", heard())
	require.Equal(t, uint64(2), r.entries(a))
	require.Empty(t, a.canSee(t, "bob", "ann"))
	require.Empty(t, a.canSee(t, "ann", "bob"))
}

// TestRelationsAtOnce: of writers at once none undoes another's list.
func TestRelationsAtOnce(t *testing.T) {
	t.Parallel()
	r := newRelated(t, servicestest.RunRedis(t))
	a, b := r.presence(VisibleContacts), r.presence(VisibleContacts)
	var wg sync.WaitGroup
	for i := range 5 {
		wg.Go(func() { a.setContacts(t, "ann", fmt.Sprint("contact-", i)) })
		wg.Go(func() { b.setBlocks(t, "ann", fmt.Sprint("block-", i)) })
	}
	wg.Wait()
	now, err := a.relations.Newest(t.Context(), "ann")
	require.NoError(t, err)
	require.Len(t, now.Contacts, 1)
	require.Len(t, now.Blocks, 1)
	require.Equal(t, uint64(10), now.Position)
	for range 2 {
		require.Equal(t, []string{"ann"}, b.canSee(t, now.Contacts[0], "ann"))
		require.Empty(t, b.canSee(t, now.Blocks[0], "ann"))
		r.flush()
	}
}

// TestLateRepeat: an append of unknown outcome had been stored, and somebody has
// set the list again before it is repeated: the later stands.
func TestLateRepeat(t *testing.T) {
	t.Parallel()
	r := newRelated(t, servicestest.RunRedis(t))
	a := r.presence(VisibleContacts)
	body, err := relationsBody(&proto.Relations{Contacts: []string{"bob"}})
	require.NoError(t, err)
	first, _, err := a.relations.Append(t.Context(), relations.Append{User: "ann", Key: "k", Body: body})
	require.NoError(t, err)
	require.Equal(t, 1, a.setContacts(t, "ann", "eve").Count)
	now, _, err := a.tryRelate(t.Context(), "ann", "k", func(r *proto.Relations) *[]string { return &r.Contacts }, []string{"bob"})
	require.NoError(t, err)
	require.Equal(t, first, now.Position)
	require.Equal(t, uint64(2), r.entries(a))
	require.Empty(t, a.canSee(t, "bob", "ann"))
	require.Equal(t, []string{"ann"}, a.canSee(t, "eve", "ann"))
}

// TestRelationsOutliveNATS: a request is answered once NATS is back, if that is in time.
func TestRelationsOutliveNATS(t *testing.T) {
	t.Parallel()
	r := newRelated(t, servicestest.RunRedis(t))
	a := r.presence(VisibleContacts)
	a.setContacts(t, "ann", "eve")
	r.nats.Stop()
	done := make(chan error, 1)
	go func() {
		_, err := a.putContacts(byBackend(t), proto.PutRelationsReq{UserID: "ann", UserIDs: []string{"bob"}})
		done <- err
	}()
	r.nats.Start()
	require.NoError(t, <-done)
	require.Equal(t, []string{"ann"}, a.canSee(t, "bob", "ann"))
	r.nats.Stop()
	_, err := a.putContacts(byBackend(t), proto.PutRelationsReq{UserID: "ann", UserIDs: []string{"kim"}})
	requireFailure(t, proto.ServiceUnavailable, err)
	require.Equal(t, []string{"ann"}, a.canSee(t, "bob", "ann"), "what Redis has needs no log")
	r.nats.Start()
}

func TestRelationsAreRefused(t *testing.T) {
	t.Parallel()
	r := newRelated(t, servicestest.RunRedis(t))
	a := r.presence(VisibleShared)
	for _, who := range []proto.Actor{{User: "ann"}, {}} {
		_, err := a.putContacts(calledBy(t, who), proto.PutRelationsReq{UserID: "ann", UserIDs: []string{"bob"}})
		requireFailure(t, proto.PermissionDenied, err)
		_, err = a.putBlocks(calledBy(t, who), proto.PutRelationsReq{UserID: "ann", UserIDs: []string{"bob"}})
		requireFailure(t, proto.PermissionDenied, err)
	}
	long := func(n int) (ids []string) {
		for i := range n {
			ids = append(ids, fmt.Sprintf("%0128d", i))
		}
		return ids
	}
	require.Equal(t, 1000, a.setContacts(t, "ann", long(1000)...).Count)
	_, err := a.putBlocks(byBackend(t), proto.PutRelationsReq{UserID: "ann", UserIDs: long(1000)})
	requireFailure(t, proto.PayloadTooLarge, err)
	require.Equal(t, uint64(1), r.entries(a))

	// By the way that backends come.
	caller := servicestest.NewHost(t, "caller", r.nats, r.redis)
	reply, err := caller.Request(t.Context(), proto.PutBlocks.Subject, proto.Actor{Backend: true}, []byte(`{"userId":"ann","userIds":["bob",""]}`))
	require.NoError(t, err)
	require.Equal(t, proto.InvalidPayload, reply.Err.Code)
	require.Equal(t, "userIds[1]", reply.Err.Field)
	reply, err = caller.Request(t.Context(), proto.PutBlocks.Subject, proto.Actor{Backend: true}, []byte(`{"userId":"ann","userIds":["bob"]}`))
	require.NoError(t, err)
	require.Nil(t, reply.Err)
	require.Contains(t, string(reply.Body), `"userId":"ann","count":1,"version":2,`)

	r.redis.Stop()
	began := time.Now()
	_, err = a.putBlocks(byBackend(t), proto.PutRelationsReq{UserID: "ann", UserIDs: []string{"eve"}})
	requireFailure(t, proto.ServiceUnavailable, err)
	require.Less(t, time.Since(began), proto.RequestTimeout, "no wait for Redis")
	r.redis.Start()
	servicestest.Eventually(t, 10*time.Second, "it is taken", func() bool {
		_, err := a.putBlocks(byBackend(t), proto.PutRelationsReq{UserID: "ann", UserIDs: []string{"eve"}})
		return err == nil
	})
}

// No client may see an entry: its live copy names no event.
func TestRelationsAreNoEvent(t *testing.T) {
	t.Parallel()
	r := newRelated(t, servicestest.RunRedis(t))
	a := r.presence(VisibleShared)
	nc := r.nats.Connect()
	live := make(chan *nats.Msg, 8)
	_, err := nc.ChanSubscribe(proto.UserLive("ann"), live)
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	a.setContacts(t, "ann", "bob")
	var m *nats.Msg
	servicestest.Eventually(t, 10*time.Second, "the live copy", func() bool {
		select {
		case m = <-live:
			return true
		default:
			return false
		}
	})
	_, kind, err := proto.ParseUserSubject(m.Subject)
	require.NoError(t, err)
	require.Equal(t, proto.KindRelations, kind)
	require.Empty(t, m.Header.Get(proto.HeaderEvent))
	var got proto.Relations
	require.NoError(t, wire.Restore(m.Data, &got))
	require.Equal(t, proto.Relations{Contacts: []string{"bob"}, Blocks: []string{}}, got)
}
