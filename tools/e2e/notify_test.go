package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/tools/e2e/mesh"
)

// hooks is a webhook's server: it keeps the pushes that came to each path.
type hooks struct {
	*httptest.Server
	mu     sync.Mutex
	pushes map[string][]proto.Push
	bodies strings.Builder
}

func newHooks(t *testing.T) *hooks {
	t.Helper()
	h := &hooks{pushes: map[string][]proto.Push{}}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var envelope struct{ Data proto.Push }
		if json.Unmarshal(body, &envelope) != nil || r.Header.Get("webhook-signature") == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.pushes[r.URL.Path] = append(h.pushes[r.URL.Path], envelope.Data)
		h.bodies.Write(body)
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(h.Close)
	return h
}

// to is the pushes to one path, those that take something back among them or not.
func (h *hooks) to(path string, withdraw bool) (out []proto.Push) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.pushes[path] {
		if p.Withdraw == withdraw {
			out = append(out, p)
		}
	}
	return out
}

func withWebhooks(more map[string]string) map[string]string {
	env := map[string]string{
		"PUSH_AFTER": "1s", "PUSH_ALLOW_HOSTS": "127.0.0.1", "RATE_LIMITS": "off",
		"WEBHOOK_SECRET": "whsec_" + base64.StdEncoding.EncodeToString([]byte("a secret of the end-to-end tests")),
	}
	maps.Copy(env, more)
	return env
}

// forgetInvites clears what being added to a chat has brought.
func forgetInvites(t *testing.T, m *mesh.Mesh, users ...string) {
	t.Helper()
	for _, user := range users {
		c := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, user, "first"))
		mesh.Eventually(t, 20*time.Second, user+" is invited", func() bool {
			return answer[proto.PendingNotificationsRes](t, c.Emit(t, "notification:get-pending")).UnreadCount == 1
		})
		require.True(t, c.Emit(t, "notification:clear-all").Success)
		c.Drop()
	}
}

func register(t *testing.T, c mesh.Client, url string) {
	t.Helper()
	answer[proto.RegisterDeviceRes](t, c.Emit(t, "device:register", map[string]any{"provider": "webhook", "token": url}))
}

// Who is on no device is pushed to, though they never opened the chat; so is who has a socket and does not say that they
// have the message; who says so is not. A push holds nothing of what is encrypted. Edges 20, 24, 26.
func TestPushReachesWhoIsNotThere(t *testing.T) {
	t.Parallel()
	stub := newHooks(t)
	m := mesh.Start(t, mesh.Options{Gateways: 2, Env: withWebhooks(nil)})
	m.PutChat(t, "room", "ann", "bob", "cid", "dan")
	forgetInvites(t, m, "bob", "cid", "dan")
	ann := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "ann", "phone"))
	node := mesh.StartNode(t)
	away := mesh.DialPlain(t, m.Gateways[1].URL, mesh.Token(t, "bob", "phone"))
	zombie := node.Dial(t, m.Gateways[1].URL, mesh.Token(t, "cid", "phone"), nil)
	there := mesh.DialPlain(t, m.Gateways[1].URL, mesh.Token(t, "dan", "phone"))
	register(t, away, stub.URL+"/bob")
	register(t, zombie, stub.URL+"/cid")
	register(t, there, stub.URL+"/dan")
	away.Drop()
	zombie.Freeze(t)

	msg := sent(t, ann.Emit(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": "c2VjcmV0IHdvcmRz"}))
	there.Await(t, "message:new", 1)
	require.True(t, there.Emit(t, "message:delivered", map[string]any{"chatId": "room", "messageId": msg.Message.ID}).Success)
	for _, path := range []string{"/bob", "/cid"} {
		mesh.Eventually(t, 20*time.Second, path+" is pushed to", func() bool { return len(stub.to(path, false)) > 0 })
		p := stub.to(path, false)[0]
		require.Equal(t, proto.NotifyMessage, p.Type)
		require.Equal(t, msg.Message.ID, p.MessageID)
		require.Equal(t, "room", p.ChatID)
		require.NotEmpty(t, p.CollapseKey)
	}
	require.Empty(t, stub.to("/dan", false), "it said that it has it")
	require.NotContains(t, stub.bodies.String(), "c2VjcmV0IHdvcmRz")

	// It was not lost for who was away.
	back := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "bob", "phone"))
	back.Await(t, "message:new", 1)
	require.Equal(t, msg.Message.ID, back.Messages(t)[0].Message.ID)

	// Read on one device, it is taken back from the others. Edge 26.
	tablet := mesh.DialPlain(t, m.Gateways[1].URL, mesh.Token(t, "bob", "tablet"))
	require.True(t, tablet.Emit(t, "message:read", map[string]any{"chatId": "room", "messageId": msg.Message.ID}).Success)
	mesh.Eventually(t, 20*time.Second, "the push is taken back", func() bool { return len(stub.to("/bob", true)) > 0 })
	require.Equal(t, stub.to("/bob", false)[0].CollapseKey, stub.to("/bob", true)[0].CollapseKey)
	require.Empty(t, stub.to("/cid", true), "another user's is theirs")
}

// A mention is stored, counts on every device and is read on all of them at once; what was pushed for it is taken back.
// Both work with nothing but a callback, and clearing takes only what was there. Edges 26, 50, 51.
func TestNotificationsOnAllDevices(t *testing.T) {
	t.Parallel()
	stub := newHooks(t)
	m := mesh.Start(t, mesh.Options{Gateways: 2, Env: withWebhooks(nil)})
	m.PutChat(t, "room", "ann", "bob")
	forgetInvites(t, m, "bob")
	node := mesh.StartNode(t)
	ann := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "ann", "phone"))
	tablet := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "bob", "tablet"))
	register(t, tablet, stub.URL+"/tablet")
	tablet.Drop()
	phone := node.Dial(t, m.Gateways[0].URL, mesh.Token(t, "bob", "phone"), nil)
	desk := mesh.DialPlain(t, m.Gateways[1].URL, mesh.Token(t, "bob", "desk"))

	mention := func() mesh.SentMessage {
		return sent(t, ann.Emit(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": "eA", "mentions": []string{"bob"}}))
	}
	msg := mention()
	for _, c := range []mesh.Client{phone, desk} {
		var n proto.Notification
		got := c.Await(t, "notification:new", 1)[0]
		got.Decode(t, &n)
		require.NotEmpty(t, got.Offset)
		require.Equal(t, proto.NotifyMention, n.Type)
		require.Equal(t, msg.Message.ID, n.MessageID)
		require.Equal(t, 1, *n.Badge)
		require.True(t, strings.HasPrefix(n.ID, "ntf_"), n.ID)
	}
	mesh.Eventually(t, 20*time.Second, "the tablet is pushed to", func() bool { return len(stub.to("/tablet", false)) > 0 })
	pending := answer[proto.PendingNotificationsRes](t, phone.Emit(t, "notification:get-pending"))
	require.Len(t, pending.Notifications, 1)
	require.Equal(t, 1, pending.UnreadCount)
	read := answer[proto.UnreadRes](t, phone.Emit(t, "notification:read", map[string]any{"notificationId": pending.Notifications[0].ID}))
	require.Zero(t, read.UnreadCount)
	var told proto.NotificationsRead
	desk.Await(t, "notification:read", 1)[0].Decode(t, &told)
	require.Equal(t, proto.NotificationsRead{NotificationIDs: []string{pending.Notifications[0].ID}, UnreadCount: 0}, told)
	require.Empty(t, phone.Events("notification:read"), "it knows")
	mesh.Eventually(t, 20*time.Second, "what was pushed is taken back", func() bool { return len(stub.to("/tablet", true)) > 0 })
	require.Equal(t, stub.to("/tablet", false)[0].CollapseKey, stub.to("/tablet", true)[0].CollapseKey)

	for range 3 {
		mention()
	}
	desk.Await(t, "notification:new", 4)
	require.Equal(t, 4, answer[proto.ClearNotificationsRes](t, phone.Emit(t, "notification:clear-all")).Cleared)
	desk.Await(t, "notification:cleared", 1)
	mention()
	desk.Await(t, "notification:new", 5)
	after := answer[proto.PendingNotificationsRes](t, desk.Emit(t, "notification:get-pending", map[string]any{}))
	require.Len(t, after.Notifications, 1)
	require.Equal(t, 1, after.UnreadCount)

	// A backend's, once for its key, and after Redis has lost everything.
	m.FlushRedis(t)
	header := http.Header{"Idempotency-Key": {"welcome-1"}}
	var ids []string
	for range 2 {
		got := m.AdminAt(t, 0, http.MethodPost, "/v1/notifications", map[string]any{"userIds": []string{"bob"}, "type": "system", "title": "Welcome"}, header)
		require.Equal(t, http.StatusOK, got.Status, "%s", got.Body)
		var res proto.NotifyRes
		require.NoError(t, json.Unmarshal([]byte(got.Body), &res))
		ids = append(ids, res.NotificationIDs...)
	}
	require.Equal(t, ids[0], ids[1])
	final := answer[proto.PendingNotificationsRes](t, desk.Emit(t, "notification:get-pending", map[string]any{"limit": 10}))
	require.Equal(t, 2, final.UnreadCount)
	require.Equal(t, "Welcome", final.Notifications[0].Title)
}

// A call to somebody who is on no device is pushed at once, and a missed one is one notification. Edges 39, 43.
func TestCallsArePushed(t *testing.T) {
	t.Parallel()
	stub := newHooks(t)
	m := mesh.Start(t, mesh.Options{Gateways: 1, Env: withWebhooks(nil)})
	ann := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "ann", "phone"))
	bob := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "bob", "phone"))
	register(t, bob, stub.URL+"/bob")
	bob.Drop()
	ack := ann.Emit(t, "call:initiate", map[string]any{
		"callId": "c1", "targetUserId": "bob", "callType": "audio", "offer": map[string]any{"type": "offer", "sdp": "o"}, "ringTimeoutSec": 30,
	})
	require.True(t, ack.Success, "%s", ack.Raw)
	mesh.Eventually(t, 20*time.Second, "the call is pushed", func() bool { return len(stub.to("/bob", false)) > 0 })
	p := stub.to("/bob", false)[0]
	require.Equal(t, proto.NotifyCall, p.Type)
	require.Equal(t, proto.PriorityHigh, p.Priority)
	require.True(t, ann.Emit(t, "call:end", map[string]any{"callId": "c1"}).Success)
	again := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "bob", "desk"))
	mesh.Eventually(t, 20*time.Second, "it is missed", func() bool {
		return answer[proto.PendingNotificationsRes](t, again.Emit(t, "notification:get-pending")).UnreadCount == 1
	})
	require.Equal(t, proto.NotifyCallMissed, answer[proto.PendingNotificationsRes](t, again.Emit(t, "notification:get-pending")).Notifications[0].Type)
}

// down is how long notify is away in TestNotifyWasDown: SUP_NOTIFY_DOWN, such as 1m.
func down(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("SUP_NOTIFY_DOWN")
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	require.NoError(t, err)
	return d
}

// With notify down under load, killed with SIGKILL, nothing is lost: the backlog drains, each once and in the order of the messages.
func TestNotifyWasDown(t *testing.T) {
	t.Parallel()
	const mentions = 60
	m := mesh.Start(t, mesh.Options{Gateways: 1, Env: withWebhooks(nil)})
	users := []string{"ann", "bob", "cid", "dan"}
	m.PutChat(t, "room", users...)
	forgetInvites(t, m, users...)
	ann := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "ann", "phone"))
	say := func(i int) string {
		return sent(t, ann.Emit(t, "message:new", map[string]any{
			"chatId": "room", "encryptedContent": fmt.Sprint(i), "mentions": []string{"bob", "cid", "dan"},
		})).Message.ID
	}
	want := []string{say(0)}
	m.Notify[0].Kill()
	for i, until := 1, time.Now().Add(down(t)); i < mentions || time.Now().Before(until); i++ {
		want = append(want, say(i))
		next := time.Now().Add(down(t) / 80) // so that a page shows all
		mesh.Eventually(t, time.Minute, "the next is due", func() bool { return time.Now().After(next) })
	}
	m.StartNotify(t, 0)
	want = append(want, say(mentions))
	for _, user := range users[1:] {
		c := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, user, "phone"))
		mesh.Eventually(t, 60*time.Second, user+" has all", func() bool {
			return answer[proto.PendingNotificationsRes](t, c.Emit(t, "notification:get-pending", map[string]any{"limit": 1})).UnreadCount >= len(want)
		})
		res := answer[proto.PendingNotificationsRes](t, c.Emit(t, "notification:get-pending", map[string]any{"limit": 100}))
		var got []string
		for i := len(res.Notifications) - 1; i >= 0; i-- {
			got = append(got, res.Notifications[i].MessageID)
		}
		require.Equal(t, want, got)
	}
}
