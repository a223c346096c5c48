package chat

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(natsDirVariable); dir != "" {
		serveNATS(dir)
		return
	}
	servicestest.Leak(m)
}

// world is a NATS server and a Redis server with chat instances on them.
type world struct {
	t     testing.TB
	nats  *servicestest.NATS
	redis *servicestest.Redis
	cfg   Config
}

func newWorld(t testing.TB, redis *servicestest.Redis) *world {
	t.Helper()
	return &world{t: t, nats: servicestest.RunNATS(t), redis: redis, cfg: Config{
		ChatPolicy: PolicyMembers, CachedChats: 1000, SendWorkers: 64, EditWindow: 24 * time.Hour, DeleteWindow: 48 * time.Hour,
	}}
}

// instance is one running chat instance. Its handlers are called directly, so
// that a test knows which instance answers.
type instance struct {
	*Service
	stop func() error
}

func (w *world) instance(change ...func(*Service)) *instance {
	w.t.Helper()
	i := w.start(change...)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	require.NoError(w.t, i.gate.wait(ctx))
	return i
}

// start is instance without waiting for its state.
func (w *world) start(change ...func(*Service)) *instance {
	w.t.Helper()
	cfg := w.cfg
	cfg.Config = servicestest.Config(w.nats, w.redis)
	host := servicestest.NewHostWith(w.t, "chat", cfg.Config)
	s, err := New(cfg, host)
	require.NoError(w.t, err)
	for _, fn := range change {
		fn(s)
	}
	return &instance{Service: s, stop: servicestest.Run(w.t, host, s, proto.Streams...)}
}

// as is a request's context by a user on a device.
func as(t testing.TB, user string, device ...string) context.Context {
	return by(t, actorOf(user, device...))
}

func actorOf(user string, device ...string) proto.Actor {
	return proto.Actor{User: user, Device: append(device, "")[0], Name: "Name of " + user, Socket: "s-" + user}
}

func backend(t testing.TB) context.Context { return by(t, proto.Actor{Backend: true}) }

func by(t testing.TB, actor proto.Actor) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), proto.SendTimeout)
	t.Cleanup(cancel)
	return services.WithCall(ctx, &services.Call{Actor: actor, RequestID: services.NewRequestID(), Deadline: time.Now().Add(proto.SendTimeout)})
}

// chat makes a chat with members.
func (i *instance) chat(t testing.TB, chatID string, users ...string) proto.ChatRes {
	t.Helper()
	req := proto.PutChatReq{ChatID: chatID}
	for _, u := range users {
		req.Members = append(req.Members, proto.Member{UserID: u})
	}
	res, err := servicestest.Call(i.putChat, proto.Actor{Backend: true}, req)
	require.NoError(t, err)
	return res
}

func (i *instance) say(t testing.TB, user, chatID, text string) proto.Message {
	t.Helper()
	res, err := servicestest.Call(i.send, actorOf(user), proto.SendMessageReq{ChatID: chatID, EncryptedContent: text})
	require.NoError(t, err)
	return res.Message
}

// texts are the contents of a chat in order of seq, by message:history.
func (i *instance) texts(t testing.TB, user, chatID string) (out []string) {
	t.Helper()
	for after := uint64(0); ; {
		res, err := servicestest.Call(i.history, actorOf(user), proto.HistoryReq{ChatID: chatID, AfterSeq: new(after), Limit: new(100)})
		require.NoError(t, err)
		for _, raw := range res.Messages {
			m := decode(t, raw)
			after++
			require.Equal(t, after, m.Message.Seq, "seq is dense")
			out = append(out, m.Message.EncryptedContent)
		}
		if after >= res.LastSeq {
			return out
		}
	}
}

func requireCode(t testing.TB, code proto.Code, err error) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, code, proto.AsError(err).Code, "%v", err)
}

// requireField is requireCode for an error about one field of the request.
func requireField(t testing.TB, code proto.Code, field string, err error, note ...any) {
	t.Helper()
	requireCode(t, code, err)
	require.Equal(t, field, proto.AsError(err).Field, note...)
}

// onBoth runs a test on a plain Redis and on a cluster of one node, which
// refuses what touches two slots.
func onBoth(t *testing.T, test func(t *testing.T, redis *servicestest.Redis)) {
	t.Helper()
	t.Run("plain", func(t *testing.T) { test(t, servicestest.RunRedis(t)) })
	t.Run("cluster", func(t *testing.T) { test(t, servicestest.RunRedisCluster(t)) })
}

func name(i int) string { return fmt.Sprintf("user-%d", i) }
