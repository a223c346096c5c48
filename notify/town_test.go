package notify

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/journal"
	"supmesh.dev/services/servicestest"
	"supmesh.dev/services/wire"
)

// town is two instances on one NATS and one Redis, whose clock a test may move.
type town struct {
	t     testing.TB
	nats  *servicestest.NATS
	redis *servicestest.Redis
	host  *services.Host // who asks
	log   *journal.Journal
	ahead atomic.Int64 // of the clock
	stops []func() error
}

func newTown(t testing.TB, redis *servicestest.Redis) *town {
	t.Helper()
	w := &town{t: t, nats: servicestest.RunNATS(t), redis: redis}
	w.host = servicestest.NewHost(t, "gateway", w.nats, nil)
	servicestest.Run(t, w.host, servicestest.Service{})
	require.NoError(t, w.host.EnsureStreams(t.Context(), true, proto.Events, proto.Work))
	w.log = journal.New(w.host.JetStream(), w.host.CatchUp())
	for range 2 {
		w.instance()
	}
	return w
}

func (w *town) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

func (w *town) instance(opts ...services.Option) *Service {
	w.t.Helper()
	h := servicestest.NewHost(w.t, "notify", w.nats, w.redis, append(opts, services.WithNow(w.now))...)
	s, err := New(Config{
		Config: servicestest.Config(w.nats, w.redis), PushAfter: time.Second, PushAllowHosts: []string{"push.test"},
		WebhookSecret: services.Secret("whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 32))),
		APNSKey:       apnsKey(w.t), APNSKeyID: "KEY1234567", APNSTeamID: "TEAM123456", APNSTopic: "test.app", APNSEndpoint: "https://apns.test",
	}, h)
	require.NoError(w.t, err)
	w.stops = append(w.stops, servicestest.Run(w.t, h, s))
	return s
}

// apnsKey is a key like Apple's.
func apnsKey(t testing.TB) services.Secret {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return services.Secret(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// stop stops every instance.
func (w *town) stop() {
	w.t.Helper()
	for _, stop := range w.stops {
		require.NoError(w.t, stop())
	}
	w.stops = nil
}

func (w *town) flush() {
	w.t.Helper()
	require.NoError(w.t, w.redis.Client().FlushAll(w.t.Context()).Err())
}

// device is a user's device as the gateway knows it.
func device(user, name string) proto.Actor {
	return proto.Actor{User: user, Device: name, Socket: "socket-" + name}
}

func phone(user string) proto.Actor { return device(user, "phone") }

var backend = proto.Actor{Backend: true}

func system(key string, users ...string) proto.NotifyReq {
	return proto.NotifyReq{UserIDs: users, Type: proto.NotifySystem, Title: "Title " + key, Key: key}
}

func (w *town) send(req proto.NotifyReq, opts ...services.RequestOption) (proto.NotifyRes, error) {
	return services.Do(w.t.Context(), w.host, proto.SendNotification, backend, req, opts...)
}

// sends is send, repeated while it may be: its key makes it idempotent.
func (w *town) sends(req proto.NotifyReq) (proto.NotifyRes, error) {
	return do(w, proto.SendNotification, backend, req)
}

// sent is send that must work, to one user.
func (w *town) sent(req proto.NotifyReq) string {
	w.t.Helper()
	res, err := w.sends(req)
	require.NoError(w.t, err)
	require.Len(w.t, res.NotificationIDs, 1)
	return res.NotificationIDs[0]
}

// do makes a request, and makes it again under the same id while it may be repeated.
func do[Req, Res any](w *town, e proto.Endpoint[Req, Res], who proto.Actor, req Req) (Res, error) {
	id := services.WithRequestID(services.NewRequestID())
	return servicestest.Persist(func() (Res, error) { return services.Do(w.t.Context(), w.host, e, who, req, id) })
}

func (w *town) read(who proto.Actor, req proto.ReadNotificationsReq) int {
	w.t.Helper()
	res, err := do(w, proto.ReadNotifications, who, req)
	require.NoError(w.t, err)
	return res.UnreadCount
}

func (w *town) clear(who proto.Actor, id string) int {
	w.t.Helper()
	res, err := do(w, proto.ClearNotification, who, proto.ClearNotificationReq{NotificationID: id})
	require.NoError(w.t, err)
	return res.UnreadCount
}

func (w *town) clearAll(who proto.Actor) proto.ClearNotificationsRes {
	w.t.Helper()
	res, err := do(w, proto.ClearNotifications, who, proto.ClearNotificationsReq{})
	require.NoError(w.t, err)
	return res
}

func (w *town) pending(user string, req proto.PendingNotificationsReq) proto.PendingNotificationsRes {
	w.t.Helper()
	res, err := do(w, proto.PendingNotifications, phone(user), req)
	require.NoError(w.t, err)
	return res
}

// all is every notification of a user, newest first, page by page.
func (w *town) all(user string, req proto.PendingNotificationsReq) (ids []string, unread int) {
	w.t.Helper()
	seen := map[string]bool{}
	for {
		res := w.pending(user, req)
		for _, n := range res.Notifications {
			require.False(w.t, seen[n.ID], "twice")
			seen[n.ID] = true
			ids = append(ids, n.ID)
		}
		if req.Cursor = res.NextCursor; req.Cursor == "" {
			return ids, res.UnreadCount
		}
	}
}

// entry is one entry of a user's notifications in the log.
type entry struct {
	journal.Entry
	note proto.Notification // where it is one
}

func (w *town) logged(user string) (out []entry) {
	w.t.Helper()
	var after uint64
	for more := true; more; {
		var page []journal.Entry
		var err error
		page, more, err = w.log.Page(w.t.Context(), proto.UserNotices(proto.Token(user)), after)
		require.NoError(w.t, err)
		for _, e := range page {
			one := entry{Entry: e}
			if e.Event == proto.NotificationEvent.Name {
				require.NoError(w.t, wire.Restore(e.Body, &one.note))
			}
			out = append(out, one)
			after = e.Position
		}
	}
	return out
}

// notes is the notifications among logged.
func (w *town) notes(user string) (out []proto.Notification) {
	w.t.Helper()
	for _, e := range w.logged(user) {
		if e.Event == proto.NotificationEvent.Name {
			out = append(out, e.note)
		}
	}
	return out
}

// listen hears what is stored of a user's notifications, as gateways do.
func (w *town) listen(user string) *nats.Subscription {
	w.t.Helper()
	nc := w.nats.Connect()
	sub, err := nc.SubscribeSync(proto.LiveOf(proto.UserNotices(proto.Token(user))))
	require.NoError(w.t, err)
	require.NoError(w.t, nc.Flush())
	return sub
}

// heard is the next of them that is of none that is new.
func heard[T any](t testing.TB, sub *nats.Subscription, event string) (payload T, except string) {
	t.Helper()
	m := servicestest.Next(t, sub)
	for m.Header.Get(proto.HeaderEvent) == proto.NotificationEvent.Name {
		m = servicestest.Next(t, sub)
	}
	require.Equal(t, event, m.Header.Get(proto.HeaderEvent))
	require.NoError(t, wire.Restore(m.Data, &payload))
	return payload, m.Header.Get(proto.HeaderSocket)
}

func onBoth(t *testing.T, test func(t *testing.T, redis *servicestest.Redis)) {
	t.Run("plain", func(t *testing.T) { test(t, servicestest.RunRedis(t)) })
	t.Run("cluster", func(t *testing.T) { test(t, servicestest.RunRedisCluster(t)) })
}

func reversed(ids []string) []string {
	out := make([]string, 0, len(ids))
	for i := range ids {
		out = append(out, ids[len(ids)-1-i])
	}
	return out
}

func key(i int) string { return "key-" + strconv.Itoa(i) }
