package apns_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"supmesh.dev/notify/push"
	"supmesh.dev/notify/push/apns"
	"supmesh.dev/notify/push/guard"
	"supmesh.dev/notify/push/pushtest"
	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/servicestest"
)

const device = "00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0"

func key(t testing.TB, curve elliptic.Curve) services.Secret {
	t.Helper()
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(k)
	require.NoError(t, err)
	return services.Secret(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func newProvider(t *testing.T, stub *pushtest.Stub, client *guard.Client) push.Provider {
	t.Helper()
	p, err := apns.New(apns.Config{Key: key(t, elliptic.P256()), KeyID: "K1", TeamID: "T1", Topic: "dev.supmesh.app", Endpoint: stub.URL}, client)
	require.NoError(t, err)
	return p
}

func reason(text string) string { return `{"reason":"` + text + `"}` }

func TestConformance(t *testing.T) {
	t.Parallel()
	says := func(status int, text string, want push.Status, after time.Duration) pushtest.Said {
		return pushtest.Said{Name: text, Status: status, Body: reason(text), Want: want, After: after}
	}
	pushtest.Run(t, pushtest.Target{
		New: newProvider, Client: guard.Options{Trusted: true},
		To: func(*pushtest.Stub) push.Registration { return push.Registration{Token: device} },
		Statuses: map[push.Status][]int{
			push.Delivered: {200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 299},
			push.Retry:     {408, 425, 429, 500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511, 520, 599},
			push.Gone:      {410},
			push.Rejected: {
				300, 301, 302, 303, 304, 305, 307, 308, 399,
				400, 401, 402, 403, 404, 405, 406, 407, 409, 411, 412, 413, 414, 415, 416, 417, 418, 421, 422, 423, 424, 426, 428, 431, 451, 499,
			},
		},
		Says: []pushtest.Said{
			says(400, "BadDeviceToken", push.Gone, 0),
			says(400, "DeviceTokenNotForTopic", push.Rejected, 0),
			says(400, "BadTopic", push.Rejected, 0),
			says(400, "IdleTimeout", push.Rejected, 0),
			says(403, "ExpiredProviderToken", push.Retry, 0),
			says(403, "InvalidProviderToken", push.Retry, 0),
			says(403, "MissingProviderToken", push.Retry, 0),
			says(403, "Forbidden", push.Rejected, 0),
			says(404, "BadPath", push.Rejected, 0),
			says(405, "MethodNotAllowed", push.Rejected, 0),
			says(410, "Unregistered", push.Gone, 0),
			says(410, "ExpiredToken", push.Gone, 0),
			says(413, "PayloadTooLarge", push.Rejected, 0),
			says(429, "TooManyProviderTokenUpdates", push.Retry, 20*time.Minute),
			says(429, "TooManyRequests", push.Retry, time.Minute),
			says(500, "InternalServerError", push.Retry, 0),
			says(503, "ServiceUnavailable", push.Retry, 0),
			says(503, "Shutdown", push.Retry, 0),
			{Name: "not JSON", Status: 410, Body: "<html>", Want: push.Gone},
			{Name: "not JSON either", Status: 400, Body: "<html>", Want: push.Rejected},
			{Name: "a timestamp", Status: 410, Body: `{"reason":"Unregistered","timestamp":1700000000000}`, Want: push.Gone},
		},
		ID: func(s pushtest.Seen) string {
			require.Len(t, s.Header.Get("apns-id"), 36)
			return s.Header.Get("apns-id")
		},
		Collapse: func(s pushtest.Seen) string {
			require.LessOrEqual(t, len(s.Header.Get("apns-collapse-id")), 64)
			return s.Header.Get("apns-collapse-id")
		},
		Payload:    func(s pushtest.Seen) []byte { return s.Body },
		MaxPayload: 4096,
	})
}

func start(t *testing.T) (*pushtest.Stub, push.Provider) {
	t.Helper()
	stub := pushtest.NewStub(t)
	client := guard.New(guard.Options{Trusted: true})
	t.Cleanup(client.Close)
	return stub, newProvider(t, stub, client)
}

func TestWhatIsSent(t *testing.T) {
	t.Parallel()
	stub, p := start(t)
	for _, c := range []struct {
		name                  string
		change                func(*proto.Push)
		voip                  bool
		kind, topic, priority string
	}{
		{"an alert", func(*proto.Push) {}, false, "alert", "dev.supmesh.app", "10"},
		{"low", func(p *proto.Push) { p.Priority = proto.PriorityLow }, false, "alert", "dev.supmesh.app", "5"},
		{"a withdrawal", func(p *proto.Push) { p.Withdraw = true }, false, "background", "dev.supmesh.app", "5"},
		{"a call", func(p *proto.Push) { p.Type = proto.NotifyCall }, true, "voip", "dev.supmesh.app.voip", "10"},
		{"a call, without PushKit", func(p *proto.Push) { p.Type = proto.NotifyCall }, false, "alert", "dev.supmesh.app", "10"},
	} {
		t.Run(c.name, func(t *testing.T) {
			stub.Answer(nil)
			job := pushtest.Push(proto.PushAPNs)
			c.change(job)
			require.Equal(t, push.Delivered, p.Send(t.Context(), job, push.Registration{Token: device, VoIP: c.voip}).Status)
			require.Len(t, stub.Seen(), 1)
			seen := stub.Seen()[0]
			require.Equal(t, "/3/device/"+device, seen.Path)
			require.Equal(t, c.kind, seen.Header.Get("apns-push-type"))
			require.Equal(t, c.topic, seen.Header.Get("apns-topic"))
			require.Equal(t, c.priority, seen.Header.Get("apns-priority"))
			require.NotEmpty(t, seen.Header.Get("apns-expiration"))
			var body struct {
				APS struct {
					Alert            *struct{ Title string }
					Badge            int
					ContentAvailable int `json:"content-available"`
				}
				Withdraw bool
			}
			require.NoError(t, json.Unmarshal(seen.Body, &body))
			require.Equal(t, job.Withdraw, body.Withdraw)
			require.Equal(t, job.Withdraw, body.APS.Alert == nil)
			require.Equal(t, job.Withdraw, body.APS.ContentAvailable == 1)
			require.Equal(t, 3, body.APS.Badge)
			claims := jwt.MapClaims{}
			token, _, err := jwt.NewParser().ParseUnverified(strings.TrimPrefix(seen.Header.Get("authorization"), "bearer "), claims)
			require.NoError(t, err)
			require.Equal(t, "K1", token.Header["kid"])
			require.Equal(t, "T1", claims["iss"])
		})
	}
}

// A VoIP token gets calls and nothing else: the system ends an app that shows none.
func TestVoIPIsForCallsAlone(t *testing.T) {
	t.Parallel()
	stub, p := start(t)
	to := push.Registration{Token: device, VoIP: true}
	job := pushtest.Push(proto.PushAPNs)
	require.Equal(t, push.Skipped, p.Send(t.Context(), job, to).Status)
	job.Type, job.Withdraw = proto.NotifyCall, true
	require.Equal(t, push.Skipped, p.Send(t.Context(), job, to).Status)
	require.Empty(t, stub.Seen())
}

// A provider token that is refused as too old is made anew.
func TestProviderTokens(t *testing.T) {
	t.Parallel()
	stub, p := start(t)
	to := push.Registration{Token: device}
	var refused string
	stub.Answer(func(w http.ResponseWriter, r *http.Request) {
		if refused == "" {
			refused = r.Header.Get("authorization")
		}
		if r.Header.Get("authorization") == refused {
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte(reason("ExpiredProviderToken")))
		}
	})
	require.Equal(t, push.Retry, p.Send(t.Context(), pushtest.Push(proto.PushAPNs), to).Status)
	require.Equal(t, push.Delivered, p.Send(t.Context(), pushtest.Push(proto.PushAPNs), to).Status)
}

// Apple speaks HTTP/2 alone.
func TestHTTP2(t *testing.T) {
	t.Parallel()
	var major atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { major.Store(int64(r.ProtoMajor)) }))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	client := guard.New(guard.Options{Trusted: true, Roots: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs})
	t.Cleanup(client.Close)
	p, err := apns.New(apns.Config{Key: key(t, elliptic.P256()), KeyID: "K1", TeamID: "T1", Topic: "x", Endpoint: server.URL}, client)
	require.NoError(t, err)
	require.Equal(t, push.Delivered, p.Send(t.Context(), pushtest.Push(proto.PushAPNs), push.Registration{Token: device}).Status)
	require.Equal(t, int64(2), major.Load())
	server.CloseClientConnections()
	servicestest.Eventually(t, 5*time.Second, "it connects again", func() bool {
		return p.Send(t.Context(), pushtest.Push(proto.PushAPNs), push.Registration{Token: device}).Status == push.Delivered
	})
}

func TestTokensThatAreRefused(t *testing.T) {
	t.Parallel()
	stub, p := start(t)
	for _, token := range []string{"", "abc", "../../x", device + "/x", "zz", device + "?x", strings.Repeat("ab", 200)} {
		require.Equal(t, push.Rejected, p.Send(t.Context(), pushtest.Push(proto.PushAPNs), push.Registration{Token: token}).Status, token)
	}
	require.Empty(t, stub.Seen())
}

func TestSettingsThatAreRefused(t *testing.T) {
	t.Parallel()
	good := apns.Config{Key: key(t, elliptic.P256()), KeyID: "K1", TeamID: "T1", Topic: "x"}
	for _, change := range []func(*apns.Config){
		func(c *apns.Config) { c.Key = "" }, func(c *apns.Config) { c.Key = "secret-but-no-key" }, func(c *apns.Config) { c.Key = key(t, elliptic.P384()) },
		func(c *apns.Config) { c.KeyID = "" }, func(c *apns.Config) { c.TeamID = "" }, func(c *apns.Config) { c.Topic = "" },
		func(c *apns.Config) { c.Endpoint = "nowhere" },
	} {
		bad := good
		change(&bad)
		_, err := apns.New(bad, guard.New(guard.Options{}))
		require.Error(t, err)
		require.NotContains(t, err.Error(), "secret-but")
	}
}
