package webhook_test

import (
	"encoding/json"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"supmesh.dev/notify/push"
	"supmesh.dev/notify/push/guard"
	"supmesh.dev/notify/push/pushtest"
	"supmesh.dev/notify/push/webhook"
	"supmesh.dev/proto"
	"supmesh.dev/services"
)

const secret = services.Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")

func newProvider(t *testing.T, _ *pushtest.Stub, client *guard.Client) push.Provider {
	t.Helper()
	p, err := webhook.New(secret, client)
	require.NoError(t, err)
	return p
}

func body(t *testing.T, seen pushtest.Seen) (e struct {
	Type      string
	Timestamp time.Time
	Data      proto.Push
},
) {
	t.Helper()
	require.NoError(t, json.Unmarshal(seen.Body, &e))
	return e
}

func TestConformance(t *testing.T) {
	t.Parallel()
	pushtest.Run(t, pushtest.Target{
		New: newProvider, Client: guard.Options{Allow: []string{"127.0.0.1"}},
		To: func(stub *pushtest.Stub) push.Registration {
			return push.Registration{Token: stub.URL + "/hook/very-secret-path"}
		},
		Statuses: map[push.Status][]int{
			push.Delivered: {200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 299},
			push.Retry:     {408, 425, 429, 500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511, 520, 599},
			push.Gone:      {410},
			push.Rejected: {
				300, 301, 302, 303, 304, 305, 307, 308, 399,
				400, 401, 402, 403, 404, 405, 406, 407, 409, 411, 412, 413, 414, 415, 416, 417, 418, 421, 422, 423, 424, 426, 428, 431, 451, 499,
			},
		},
		ID:       func(s pushtest.Seen) string { return s.Header.Get("webhook-id") },
		Collapse: func(s pushtest.Seen) string { return body(t, s).Data.CollapseKey },
		Endpoint: func(url string) push.Registration { return push.Registration{Token: url} },
	})
}

// A receiver can verify every try with the library, and tells a withdrawal by its type.
func TestSignature(t *testing.T) {
	t.Parallel()
	stub := pushtest.NewStub(t)
	client := guard.New(guard.Options{Allow: []string{"127.0.0.1"}})
	t.Cleanup(client.Close)
	p := newProvider(t, stub, client)
	receiver, err := standardwebhooks.NewWebhook(secret.Reveal())
	require.NoError(t, err)
	job := pushtest.Push(proto.PushWebhook)
	require.Equal(t, push.Delivered, p.Send(t.Context(), job, push.Registration{Token: stub.URL}).Status)
	job.Withdraw = true
	require.Equal(t, push.Delivered, p.Send(t.Context(), job, push.Registration{Token: stub.URL}).Status)
	seen := stub.Seen()
	require.Len(t, seen, 2)
	for i, kind := range []string{"push", "push.withdrawn"} {
		require.NoError(t, receiver.Verify(seen[i].Body, seen[i].Header))
		require.Equal(t, "application/json", seen[i].Header.Get("Content-Type"))
		got := body(t, seen[i])
		require.Equal(t, kind, got.Type)
		require.Equal(t, job.NotificationID, got.Data.NotificationID)
		require.Equal(t, job.CreatedAt.Time, got.Timestamp)
	}
	seen[0].Header.Set("webhook-id", "another")
	require.Error(t, receiver.Verify(seen[0].Body, seen[0].Header))
}

func TestSecretsThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, wrong := range []services.Secret{"", "whsec_", "whsec_c2hvcnQ=", "not base64!", "whsec_*" + secret} {
		_, err := webhook.New(wrong, guard.New(guard.Options{}))
		require.Error(t, err)
		if wrong != "" {
			require.NotContains(t, err.Error(), wrong.Reveal())
		}
	}
}

func TestDestination(t *testing.T) {
	t.Parallel()
	p, err := webhook.New(secret, guard.New(guard.Options{}))
	require.NoError(t, err)
	require.Equal(t, "example.com:8443", p.Destination(push.Registration{Token: "https://example.com:8443/secret"}))
	require.Empty(t, p.Destination(push.Registration{Token: ":"}))
}
