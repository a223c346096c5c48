package fcm_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/notify/push"
	"supmesh.dev/notify/push/fcm"
	"supmesh.dev/notify/push/guard"
	"supmesh.dev/notify/push/pushtest"
	"supmesh.dev/proto"
	"supmesh.dev/services"
)

const device = "fcm-device:very-secret-token"

// credentials is a key file of a service account whose tokens come from the stub.
func credentials(t testing.TB, url string) services.Secret {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	raw, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "a-project", "private_key_id": "k1", "client_email": "push@a-project.example",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "token_uri": url + "/token",
	})
	require.NoError(t, err)
	return services.Secret(raw)
}

// tokens serves access tokens and counts them.
func tokens(stub *pushtest.Stub) *atomic.Int64 {
	var n atomic.Int64
	stub.Side("/token", func(w http.ResponseWriter, r *http.Request) {
		if r.PostFormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" || r.PostFormValue("assertion") == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"access_token":"token-%d","token_type":"Bearer","expires_in":3600}`, n.Add(1))
	})
	return &n
}

func newProvider(t *testing.T, stub *pushtest.Stub, client *guard.Client) push.Provider {
	t.Helper()
	tokens(stub)
	p, err := fcm.New(fcm.Config{Credentials: credentials(t, stub.URL), Endpoint: stub.URL}, client)
	require.NoError(t, err)
	return p
}

type sent struct {
	Message struct {
		Token        string
		Notification *struct{ Title, Body string }
		Data         map[string]string
		Android      struct {
			CollapseKey   string `json:"collapse_key"`
			Priority, TTL string
			Notification  *struct{ Tag, Sound string }
		}
		APNs struct {
			Headers map[string]string
			Payload struct{ APS map[string]any }
		}
		Webpush struct{ Headers map[string]string }
	}
}

func read(t *testing.T, seen pushtest.Seen) (s sent) {
	t.Helper()
	require.NoError(t, json.Unmarshal(seen.Body, &s))
	return s
}

func failure(code string) string {
	return fmt.Sprintf(`{"error":{"code":400,"message":"a text","status":"X","details":[{"@type":"y"},{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":%q}]}}`, code)
}

func TestConformance(t *testing.T) {
	t.Parallel()
	pushtest.Run(t, pushtest.Target{
		New: newProvider, Client: guard.Options{Trusted: true},
		To: func(*pushtest.Stub) push.Registration { return push.Registration{Token: device} },
		Statuses: map[push.Status][]int{
			push.Delivered: {200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 299},
			push.Retry:     {401, 408, 425, 429, 500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511, 520, 599},
			push.Rejected: {
				300, 301, 302, 303, 304, 305, 307, 308, 399,
				400, 402, 403, 404, 405, 406, 407, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418, 421, 422, 423, 424, 426, 428, 431, 451, 499,
			},
		},
		Says: []pushtest.Said{
			{Name: "unregistered", Status: 404, Body: failure("UNREGISTERED"), Want: push.Gone},
			{Name: "no such project", Status: 404, Body: `{"error":{"code":404,"status":"NOT_FOUND"}}`, Want: push.Rejected},
			{Name: "invalid", Status: 400, Body: failure("INVALID_ARGUMENT"), Want: push.Rejected},
			{Name: "no token at all", Status: 400, Body: `{"error":{"code":400,"message":"The registration token is not a valid FCM registration token","status":"INVALID_ARGUMENT",
				"details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"INVALID_ARGUMENT"}]}}`, Want: push.Gone},
			{Name: "no token at all, by its field", Status: 400, Body: `{"error":{"code":400,"message":"Request contains an invalid argument.","status":"INVALID_ARGUMENT",
				"details":[{"errorCode":"INVALID_ARGUMENT"},{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"message.token","description":"x"}]}]}}`, Want: push.Gone},
			{Name: "another field", Status: 400, Body: `{"error":{"code":400,"details":[{"errorCode":"INVALID_ARGUMENT"},{"fieldViolations":[{"field":"message.data"}]}]}}`, Want: push.Rejected},
			{Name: "another sender's", Status: 403, Body: failure("SENDER_ID_MISMATCH"), Want: push.Rejected},
			{Name: "too many", Status: 429, Body: failure("QUOTA_EXCEEDED"), Want: push.Retry, After: time.Minute},
			{Name: "too many, with a time", Status: 429, Header: map[string]string{"Retry-After": "9"}, Body: failure("QUOTA_EXCEEDED"), Want: push.Retry, After: 9 * time.Second},
			{Name: "overloaded", Status: 503, Header: map[string]string{"Retry-After": "9"}, Body: failure("UNAVAILABLE"), Want: push.Retry, After: 9 * time.Second},
			{Name: "internal", Status: 500, Body: failure("INTERNAL"), Want: push.Retry},
			{Name: "Apple's key is wrong", Status: 401, Body: failure("THIRD_PARTY_AUTH_ERROR"), Want: push.Rejected},
			{Name: "not JSON", Status: 404, Body: "<html>", Want: push.Rejected},
		},
		ID: func(s pushtest.Seen) string { return read(t, s).Message.Data["id"] },
		Collapse: func(s pushtest.Seen) string {
			m := read(t, s).Message
			require.Equal(t, m.Android.CollapseKey, m.APNs.Headers["apns-collapse-id"])
			require.Equal(t, m.Android.CollapseKey, m.Webpush.Headers["Topic"])
			return m.Android.CollapseKey
		},
		Payload:    func(s pushtest.Seen) []byte { return s.Body },
		MaxPayload: 4096,
	})
}

func start(t *testing.T) (*pushtest.Stub, *atomic.Int64, *fcm.Provider) {
	t.Helper()
	stub := pushtest.NewStub(t)
	client := guard.New(guard.Options{Trusted: true, Timeout: time.Second})
	t.Cleanup(client.Close)
	n := tokens(stub)
	p, err := fcm.New(fcm.Config{Credentials: credentials(t, stub.URL), Endpoint: stub.URL + "/"}, client)
	require.NoError(t, err)
	return stub, n, p
}

func TestWhatIsSent(t *testing.T) {
	t.Parallel()
	stub, _, p := start(t)
	send := func(change func(*proto.Push)) sent {
		stub.Answer(nil)
		job := pushtest.Push(proto.PushFCM)
		change(job)
		require.Equal(t, push.Delivered, p.Send(t.Context(), job, push.Registration{Token: device}).Status)
		require.Equal(t, "/v1/projects/a-project/messages:send", stub.Seen()[0].Path)
		require.Equal(t, "Bearer token-1", stub.Seen()[0].Header.Get("Authorization"))
		return read(t, stub.Seen()[0])
	}
	m := send(func(*proto.Push) {}).Message
	require.Equal(t, device, m.Token)
	require.NotNil(t, m.Notification)
	require.Equal(t, "high", m.Android.Priority)
	require.Contains(t, []string{"3599s", "3598s", "3597s"}, m.Android.TTL)
	require.Equal(t, "default", m.Android.Notification.Sound)
	require.Equal(t, m.Android.CollapseKey, m.Android.Notification.Tag)
	require.Equal(t, "10", m.APNs.Headers["apns-priority"])
	require.InDelta(t, 3, m.APNs.Payload.APS["badge"], 0)
	require.Equal(t, "room", m.Data["chatId"])
	require.NotContains(t, m.Data, "withdraw")

	m = send(func(p *proto.Push) { p.Priority, p.Sound = proto.PriorityLow, false }).Message
	require.Equal(t, "normal", m.Android.Priority)
	require.Empty(t, m.Android.Notification.Sound)
	require.Equal(t, "low", m.Webpush.Headers["Urgency"])

	m = send(func(p *proto.Push) { p.Type = proto.NotifyCall }).Message
	require.Nil(t, m.Notification, "the app rings, not the system")
	require.NotEmpty(t, m.Data["title"])
	require.Equal(t, "high", m.Android.Priority)

	m = send(func(p *proto.Push) { p.Withdraw = true }).Message
	require.Nil(t, m.Notification)
	require.Equal(t, "true", m.Data["withdraw"])
	require.NotContains(t, m.Data, "title")
	require.Equal(t, "background", m.APNs.Headers["apns-push-type"])
	require.Equal(t, "5", m.APNs.Headers["apns-priority"])
}

// A token is asked for once, and again after it was refused.
func TestAccessTokens(t *testing.T) {
	t.Parallel()
	stub, n, p := start(t)
	to := push.Registration{Token: device}
	for range 3 {
		require.Equal(t, push.Delivered, p.Send(t.Context(), pushtest.Push(proto.PushFCM), to).Status)
	}
	require.Equal(t, int64(1), n.Load())
	stub.Answer(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer token-1" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	require.Equal(t, push.Retry, p.Send(t.Context(), pushtest.Push(proto.PushFCM), to).Status)
	require.Equal(t, push.Delivered, p.Send(t.Context(), pushtest.Push(proto.PushFCM), to).Status)
	require.Equal(t, int64(2), n.Load())
}

// Without a token nothing is lost, and nothing is told.
func TestNoAccessToken(t *testing.T) {
	t.Parallel()
	stub, _, p := start(t)
	for what, answer := range map[string]http.HandlerFunc{
		"answered 400": func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, r.PostFormValue("assertion"), http.StatusBadRequest)
		},
		"did not answer": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		stub.Side("/token", answer)
		o := p.Send(t.Context(), pushtest.Push(proto.PushFCM), push.Registration{Token: device})
		require.Equal(t, push.Retry, o.Status)
		require.Contains(t, o.Detail, what)
		require.NotContains(t, o.Detail, "eyJ")
		require.NotContains(t, o.Detail, strings.TrimPrefix(stub.URL, "http://"))
	}
	require.Empty(t, stub.Seen())
}

func TestCredentialsThatAreRefused(t *testing.T) {
	t.Parallel()
	good := credentials(t, "https://example.com").Reveal()
	for _, wrong := range []string{
		"", "{}", "secret-but-no-json", strings.ReplaceAll(good, "service_account", "authorized_user"), strings.ReplaceAll(good, "a-project\"", "\""),
		strings.ReplaceAll(good, "PRIVATE KEY", "OTHER KEY"), strings.ReplaceAll(good, "BEGIN", "BEGN"),
	} {
		_, err := fcm.New(fcm.Config{Credentials: services.Secret(wrong)}, guard.New(guard.Options{}))
		if strings.Contains(wrong, "OTHER KEY") {
			require.NoError(t, err, "the kind of a PEM block is only a word")
			continue
		}
		require.Error(t, err)
		require.NotContains(t, err.Error(), "secret-but")
		require.NotContains(t, err.Error(), "MII")
	}
	_, err := fcm.New(fcm.Config{Credentials: services.Secret(good), Endpoint: "nowhere"}, guard.New(guard.Options{}))
	require.Error(t, err)
}
