package notify

import (
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/notify/registry"
	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
	"supmesh.dev/services/wire"
)

// Tokens of APNs are hex.
var alertToken, callToken = strings.Repeat("a1", 32), strings.Repeat("ca", 32)

func (w *town) register(who proto.Actor, req proto.RegisterDeviceReq) error {
	w.t.Helper()
	res, err := do(w, proto.RegisterDevice, who, req)
	if err == nil {
		require.Equal(w.t, proto.RegisterDeviceRes{DeviceID: who.Device, Provider: req.Provider}, res)
	}
	return err
}

func hook(token string) proto.RegisterDeviceReq {
	return proto.RegisterDeviceReq{Provider: proto.PushWebhook, Token: "https://push.test/" + token}
}

func (w *town) registry() *registry.Store {
	return registry.New(w.redis.Client(), w.host.JetStream(), w.host.CatchUp())
}

// devices is what pushes go to, "<device> <provider> <token>", as Redis and the log have it.
func (w *town) devices(user string) (out []string) {
	w.t.Helper()
	st, err := w.registry().Of(w.t.Context(), proto.Token(user))
	require.NoError(w.t, err)
	newest, err := w.registry().Logged(w.t.Context(), proto.Token(user))
	require.NoError(w.t, err)
	require.Equal(w.t, newest, st)
	for _, d := range st.Devices {
		out = append(out, d.DeviceID+" "+string(d.Provider)+" "+d.Token)
	}
	return out
}

func TestDevices(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		w := newTown(t, redis)
		require.Empty(t, w.devices("ann"))
		require.NoError(t, w.register(phone("ann"), hook("a")))
		require.NoError(t, w.register(phone("ann"), hook("b")))
		require.Equal(t, []string{"phone webhook https://push.test/b"}, w.devices("ann"), "the same device and provider replaces")
		require.NoError(t, w.register(phone("ann"), proto.RegisterDeviceReq{Provider: proto.PushAPNs, Token: alertToken}))
		require.NoError(t, w.register(phone("ann"), proto.RegisterDeviceReq{Provider: proto.PushAPNs, Token: callToken, VoIP: true}))
		require.Len(t, w.devices("ann"), 3, "a token for calls is beside the other")
		require.NoError(t, w.register(device("ann", "tablet"), hook("b")))
		require.Equal(t, []string{"phone apns " + alertToken, "phone apns " + callToken, "tablet webhook https://push.test/b"}, w.devices("ann"), "the token has moved")
		w.flush()
		require.Len(t, w.devices("ann"), 3)
		for _, c := range []struct {
			device   string
			provider proto.PushProvider
			typ      proto.NotificationType
			token    string
		}{
			{"phone", proto.PushAPNs, proto.NotifyMessage, alertToken}, {"phone", proto.PushAPNs, proto.NotifyCall, callToken},
			{"tablet", proto.PushWebhook, proto.NotifyCall, "https://push.test/b"}, {"phone", proto.PushWebhook, proto.NotifyMessage, ""},
		} {
			to, ok, err := w.registry().Registration(t.Context(), "ann", c.device, c.provider, c.typ)
			require.NoError(t, err)
			require.Equal(t, c.token, to.Token)
			require.Equal(t, c.token != "", ok)
			require.Equal(t, c.token == callToken, to.VoIP)
		}

		before, _, err := w.log.Last(t.Context(), proto.UserPush("ann"))
		require.NoError(t, err)
		require.NoError(t, w.register(device("ann", "tablet"), hook("b")))
		after, _, err := w.log.Last(t.Context(), proto.UserPush("ann"))
		require.NoError(t, err)
		require.Equal(t, before.Position, after.Position, "the same again stores nothing")
		require.Empty(t, after.Event, "no client sees it")

		res, err := do(w, proto.UnregisterDevice, phone("ann"), proto.UnregisterDeviceReq{Provider: proto.PushWebhook})
		require.NoError(t, err)
		require.Zero(t, res.Removed)
		res, err = do(w, proto.UnregisterDevice, phone("ann"), proto.UnregisterDeviceReq{})
		require.NoError(t, err)
		require.Equal(t, 2, res.Removed)
		require.Equal(t, []string{"tablet webhook https://push.test/b"}, w.devices("ann"))

		require.NoError(t, w.register(device("ann", "tablet"), hook("c")))
		require.NoError(t, w.registry().Gone(t.Context(), "ann", "tablet", proto.PushWebhook, "https://push.test/b"))
		require.Equal(t, []string{"tablet webhook https://push.test/c"}, w.devices("ann"), "another token by now")
		require.NoError(t, w.registry().Gone(t.Context(), "ann", "tablet", proto.PushWebhook, "https://push.test/c"))
		require.Empty(t, w.devices("ann"))
	})
}

func TestDevicesRefused(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	for _, c := range []struct {
		req   proto.RegisterDeviceReq
		code  proto.Code
		field string
	}{
		{proto.RegisterDeviceReq{Provider: proto.PushFCM, Token: "t"}, proto.PermissionDenied, "provider"},
		{proto.RegisterDeviceReq{Provider: proto.PushWeb, Token: "https://a/", P256DH: "p", Auth: "a"}, proto.PermissionDenied, "provider"},
		{proto.RegisterDeviceReq{Provider: proto.PushWebhook, Token: "nowhere"}, proto.InvalidPayload, "token"},
		{proto.RegisterDeviceReq{Provider: proto.PushWebhook, Token: "file:///etc/passwd"}, proto.InvalidPayload, "token"},
		{proto.RegisterDeviceReq{Provider: proto.PushWebhook, Token: "https://user:secret@push.test/"}, proto.InvalidPayload, "token"},
		{proto.RegisterDeviceReq{Provider: proto.PushWebhook, Token: "https://push.test/", VoIP: true}, proto.InvalidPayload, "voip"},
	} {
		err := w.register(phone("ann"), c.req)
		require.ErrorIs(t, err, &proto.Error{Code: c.code}, "%+v", c.req)
		require.Equal(t, c.field, proto.AsError(err).Field)
		require.NotContains(t, err.Error(), "secret")
	}
	for i := range proto.MaxPushDevices {
		require.NoError(t, w.register(device("ann", "d"+strconv.Itoa(i)), hook(strconv.Itoa(i))))
	}
	require.NoError(t, w.register(phone("ann"), hook("3")), "one that moves")
	require.NoError(t, w.register(phone("ann"), hook("x")), "one that replaces")
	require.Len(t, w.devices("ann"), proto.MaxPushDevices)

	res, err := do(w, proto.PushConfig, phone("ann"), proto.PushConfigReq{})
	require.NoError(t, err)
	require.Equal(t, proto.PushConfigRes{Providers: []proto.PushProvider{proto.PushWebhook, proto.PushAPNs}}, res)
}

// TestDevicesAtOnce: devices register over two instances at once; none gets lost.
func TestDevicesAtOnce(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	var wg sync.WaitGroup
	for i := range 15 {
		wg.Go(func() {
			if err := w.register(device("ann", "d"+strconv.Itoa(i)), hook(strconv.Itoa(i))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Len(t, w.devices("ann"), 15)
}

func TestPreferences(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	set := func(req proto.NotifyPrefsReq) proto.NotifyPrefsRes {
		t.Helper()
		res, err := do(w, proto.NotifyPreferences, phone("ann"), req)
		require.NoError(t, err)
		return res
	}
	until := proto.At(time.Now().Add(time.Hour))
	require.Equal(t, proto.NotifyPrefsRes{Muted: []proto.Mute{}}, set(proto.NotifyPrefsReq{}))
	set(proto.NotifyPrefsReq{Mute: &proto.Mute{ChatID: "b", Muted: true}})
	set(proto.NotifyPrefsReq{Mute: &proto.Mute{ChatID: "a", Muted: true, Until: &until}})
	want := proto.NotifyPrefsRes{Muted: []proto.Mute{{ChatID: "a", Muted: true, Until: &until}, {ChatID: "b", Muted: true}}, DoNotDisturbUntil: &until}
	require.Equal(t, want, set(proto.NotifyPrefsReq{DoNotDisturbUntil: &until}))
	w.flush()
	require.Equal(t, want, set(proto.NotifyPrefsReq{}))
	st, err := w.registry().Of(t.Context(), "ann")
	require.NoError(t, err)
	now := time.Now()
	require.Equal(t, []bool{true, true, false, true}, []bool{st.Muting("a", now), st.Muting("b", now), st.Muting("c", now), st.Quiet(now)})
	require.Equal(t, []bool{false, false}, []bool{st.Muting("a", until.Time), st.Quiet(until.Time)}, "until then")
	w.ahead.Add(int64(2 * time.Hour))
	require.Equal(t, proto.NotifyPrefsRes{Muted: []proto.Mute{{ChatID: "b", Muted: true}}}, set(proto.NotifyPrefsReq{}))
	require.Empty(t, set(proto.NotifyPrefsReq{Mute: &proto.Mute{ChatID: "b"}}).Muted)
	later := proto.At(w.now().Add(time.Hour))
	require.NotNil(t, set(proto.NotifyPrefsReq{DoNotDisturbUntil: &later}).DoNotDisturbUntil)
	for _, zero := range []string{"0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z"} {
		reply, err := w.host.Request(t.Context(), proto.NotifyPreferences.Subject, phone("ann"), []byte(`{"doNotDisturbUntil":"`+zero+`"}`))
		require.NoError(t, err)
		require.Nil(t, reply.Err)
		require.NotContains(t, string(reply.Body), "doNotDisturbUntil", "the zero moment ends it")
	}

	_, err = w.registry().Change(t.Context(), "bob", "", func(st *registry.State) (bool, error) {
		for i := range proto.MaxMutes {
			require.False(t, st.SetMute(&proto.Mute{ChatID: strconv.Itoa(i), Muted: true}, now))
		}
		return true, nil
	})
	require.NoError(t, err)
	_, err = do(w, proto.NotifyPreferences, phone("bob"), proto.NotifyPrefsReq{Mute: &proto.Mute{ChatID: "x", Muted: true}})
	require.ErrorIs(t, err, &proto.Error{Code: proto.SubscriptionLimit})
}

// TestWithdraw: what was pushed for a notification is taken back from the other
// devices once nothing under its collapse key is unread.
func TestWithdraw(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, redis *servicestest.Redis) {
		w := newTown(t, redis)
		for _, name := range []string{"phone", "tablet"} {
			require.NoError(t, w.register(device("ann", name), hook(name)))
		}
		require.NoError(t, w.register(device("ann", "tablet"), proto.RegisterDeviceReq{Provider: proto.PushAPNs, Token: callToken, VoIP: true}))
		nc := w.nats.Connect()
		sub, err := nc.SubscribeSync(proto.PushJobs.Subject)
		require.NoError(t, err)
		require.NoError(t, nc.Flush())
		jobs := func(want int) (out []proto.Push) { // they are published before the answer
			for {
				require.NoError(t, nc.Flush()) // what was published has come
				more, _, err := sub.Pending()
				require.NoError(t, err)
				if more == 0 && len(out) >= want {
					return out
				}
				m := servicestest.Next(t, sub)
				var p proto.Push
				require.NoError(t, wire.Restore(m.Data, &p))
				out = append(out, p)
			}
		}
		var ids []string
		for i := range 3 {
			req := system(key(i), "ann")
			req.ChatID = "chat.one"
			ids = append(ids, w.sent(req))
		}
		w.read(phone("ann"), proto.ReadNotificationsReq{NotificationID: ids[0]})
		require.Empty(t, jobs(0), "nothing was pushed")
		require.NoError(t, w.registry().Pushed(t.Context(), "ann", "chat:chat.one", 1, false))
		w.read(phone("ann"), proto.ReadNotificationsReq{NotificationID: ids[1]})
		require.Empty(t, jobs(0), "the third stands there unread")
		w.clear(phone("ann"), ids[2])
		got := jobs(1)
		require.Len(t, got, 1, "the acting device knows, and PushKit tokens are for calls")
		last, _, err := w.log.Last(t.Context(), proto.UserNotices("ann"))
		require.NoError(t, err)
		require.Equal(t, proto.Push{
			UserID: "ann", DeviceID: "tablet", Provider: proto.PushWebhook, NotificationID: got[0].NotificationID, Type: proto.NotifySystem,
			Priority: proto.PriorityNormal, CollapseKey: "chat:chat.one", Withdraw: true, CreatedAt: got[0].CreatedAt, ExpiresAt: got[0].ExpiresAt, After: last.Position,
		}, got[0])

		newer := func(after uint64, withdraw bool) bool {
			yes, err := w.registry().Newest(t.Context(), "ann", "chat:chat.one", after, withdraw)
			require.NoError(t, err)
			return yes
		}
		require.Equal(t, []bool{true, true, false}, []bool{newer(last.Position-1, false), newer(last.Position, false), newer(last.Position, true)}, "what was to be shown is not any more")
		require.NoError(t, w.registry().Pushed(t.Context(), "ann", "chat:chat.one", 1, false))
		require.True(t, newer(last.Position-1, false), "an older one counts for nothing")
		req := system("again", "ann")
		req.ChatID = "chat.one"
		w.read(phone("ann"), proto.ReadNotificationsReq{NotificationID: w.sent(req)})
		require.Empty(t, jobs(0), "it is taken back already")

		alone := w.sent(system("alone", "ann"))
		require.NoError(t, w.registry().Pushed(t.Context(), "ann", "notice:"+alone, 1, false))
		require.Equal(t, 0, w.read(device("ann", "tablet"), proto.ReadNotificationsReq{All: true}))
		got = jobs(1)
		require.Len(t, got, 1)
		require.Equal(t, []string{"phone", "notice:" + alone}, []string{got[0].DeviceID, got[0].CollapseKey}, "without a collapse key its id is one")
	})
}

// TestPushesOfAnotherLog: the log is made anew and Redis knows pushes of the old one,
// which was further: they stand before none of the new one's.
func TestPushesOfAnotherLog(t *testing.T) {
	t.Parallel()
	w := newTown(t, servicestest.RunRedis(t))
	require.NoError(t, w.registry().Pushed(t.Context(), "ann", "chat:c", 1000, false))
	position, withdrawn, err := w.registry().Shown(t.Context(), "ann", "chat:c")
	require.NoError(t, err)
	require.Equal(t, uint64(1000), position)
	require.False(t, withdrawn)

	require.NoError(t, w.host.JetStream().DeleteStream(t.Context(), proto.Events.Name))
	require.NoError(t, w.host.EnsureStreams(t.Context(), true, proto.Events))
	for range 2 {
		newer, err := w.registry().Newest(t.Context(), "ann", "chat:c", 2, false)
		require.NoError(t, err)
		require.False(t, newer)
		require.NoError(t, w.registry().Pushed(t.Context(), "ann", "chat:c", 2, false))
	}
	newer, err := w.registry().Newest(t.Context(), "ann", "chat:c", 1, false)
	require.NoError(t, err)
	require.True(t, newer)
	require.NoError(t, w.registry().Pushed(t.Context(), "ann", "chat:c", 2, true))
	position, withdrawn, err = w.registry().Shown(t.Context(), "ann", "chat:c")
	require.NoError(t, err)
	require.Equal(t, uint64(2), position)
	require.True(t, withdrawn)
}
