package webpush_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"supmesh.dev/notify/push"
	"supmesh.dev/notify/push/guard"
	"supmesh.dev/notify/push/pushtest"
	"supmesh.dev/notify/push/webpush"
	"supmesh.dev/proto"
	"supmesh.dev/services"
)

var base64url = base64.RawURLEncoding

// browser is one subscription: who can read what is pushed to it.
type browser struct {
	key  *ecdh.PrivateKey
	auth []byte
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	require.NoError(t, err)
	auth := make([]byte, 16)
	_, err = rand.Read(auth)
	require.NoError(t, err)
	return &browser{key, auth}
}

func (b *browser) at(url string) push.Registration {
	return push.Registration{Token: url, P256DH: base64url.EncodeToString(b.key.PublicKey().Bytes()), Auth: base64url.EncodeToString(b.auth)}
}

// open reads one encrypted push (RFC 8291 §3, RFC 8188 §2).
func (b *browser) open(t *testing.T, body []byte) []byte {
	t.Helper()
	salt, sender, sealed := body[:16], body[21:21+body[20]], body[21+int(body[20]):]
	public, err := ecdh.P256().NewPublicKey(sender)
	require.NoError(t, err)
	shared, err := b.key.ECDH(public)
	require.NoError(t, err)
	derive := func(secret, salt []byte, info string, n int) []byte {
		out, err := hkdf.Key(sha256.New, secret, salt, info, n)
		require.NoError(t, err)
		return out
	}
	ikm := derive(shared, b.auth, "WebPush: info\x00"+string(b.key.PublicKey().Bytes())+string(sender), 32)
	block, err := aes.NewCipher(derive(ikm, salt, "Content-Encoding: aes128gcm\x00", 16))
	require.NoError(t, err)
	gcm, err := cipher.NewGCM(block)
	require.NoError(t, err)
	opened, err := gcm.Open(nil, derive(ikm, salt, "Content-Encoding: nonce\x00", 12), sealed, nil)
	require.NoError(t, err)
	return opened[:bytes.LastIndexByte(opened, 2)]
}

func vapid(t *testing.T) (secret services.Secret, public string) {
	t.Helper()
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	require.NoError(t, err)
	return services.Secret(base64url.EncodeToString(key.Bytes())), base64url.EncodeToString(key.PublicKey().Bytes())
}

func TestConformance(t *testing.T) {
	t.Parallel()
	secret, _ := vapid(t)
	b := newBrowser(t)
	pushtest.Run(t, pushtest.Target{
		New: func(t *testing.T, _ *pushtest.Stub, client *guard.Client) push.Provider {
			t.Helper()
			p, err := webpush.New(webpush.Config{PrivateKey: secret, Subject: "mailto:ops@example.com"}, client)
			require.NoError(t, err)
			return p
		},
		Client: guard.Options{Allow: []string{"127.0.0.1"}},
		To:     func(stub *pushtest.Stub) push.Registration { return b.at(stub.URL + "/wpush/v2/very-secret-token") },
		Statuses: map[push.Status][]int{
			push.Delivered: {200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 299},
			push.Retry:     {408, 425, 429, 500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511, 520, 599},
			push.Gone:      {404, 410},
			push.Rejected: {
				300, 301, 302, 303, 304, 305, 307, 308, 399,
				400, 401, 402, 403, 405, 406, 407, 409, 411, 412, 413, 414, 415, 416, 417, 418, 421, 422, 423, 424, 426, 428, 431, 451, 499,
			},
		},
		Collapse: func(s pushtest.Seen) string {
			require.LessOrEqual(t, len(s.Header.Get("Topic")), 32)
			return s.Header.Get("Topic")
		},
		Payload: func(s pushtest.Seen) []byte {
			require.True(t, json.Valid(b.open(t, s.Body)))
			return s.Body
		},
		MaxPayload: 4096,
		Endpoint:   b.at,
	})
}

// A browser reads the push, and its service who sends it.
func TestWhatABrowserGets(t *testing.T) {
	t.Parallel()
	secret, public := vapid(t)
	stub, b := pushtest.NewStub(t), newBrowser(t)
	client := guard.New(guard.Options{Allow: []string{"127.0.0.1"}})
	t.Cleanup(client.Close)
	p, err := webpush.New(webpush.Config{PrivateKey: secret, Subject: "mailto:ops@example.com"}, client)
	require.NoError(t, err)
	require.Equal(t, public, p.PublicKey())
	job := pushtest.Push(proto.PushWeb)
	require.Equal(t, push.Delivered, p.Send(t.Context(), job, b.at(stub.URL)).Status)
	seen := stub.Seen()[0]
	var got proto.Push
	require.NoError(t, json.Unmarshal(b.open(t, seen.Body), &got))
	require.Equal(t, job.Title, got.Title)
	require.Equal(t, "high", seen.Header.Get("Urgency"))
	require.Contains(t, []string{"3599", "3598", "3597"}, seen.Header.Get("TTL"))
	require.Equal(t, "aes128gcm", seen.Header.Get("Content-Encoding"))

	token, key, ok := strings.Cut(strings.TrimPrefix(seen.Header.Get("Authorization"), "vapid t="), ", k=")
	require.True(t, ok)
	require.Equal(t, public, key)
	claims := jwt.MapClaims{}
	_, _, err = jwt.NewParser().ParseUnverified(token, claims)
	require.NoError(t, err)
	require.Equal(t, stub.URL, claims["aud"])
	require.Equal(t, "mailto:ops@example.com", claims["sub"])
}

func TestSubscriptionsThatAreRefused(t *testing.T) {
	t.Parallel()
	secret, _ := vapid(t)
	client := guard.New(guard.Options{})
	p, err := webpush.New(webpush.Config{PrivateKey: secret, Subject: "https://example.com"}, client)
	require.NoError(t, err)
	good := newBrowser(t).at("https://push.example.com/x")
	require.NoError(t, p.Check(good))
	padded := good
	padded.P256DH, padded.Auth = padded.P256DH+"=", strings.NewReplacer("-", "+", "_", "/").Replace(padded.Auth)+"=="
	require.NoError(t, p.Check(padded), "browsers spell base64 as they like")
	for _, change := range []func(*push.Registration){
		func(r *push.Registration) { r.P256DH = "" }, func(r *push.Registration) { r.P256DH = "AAAA" },
		func(r *push.Registration) { r.P256DH = base64url.EncodeToString(make([]byte, 65)) },
		func(r *push.Registration) { r.Auth = "" }, func(r *push.Registration) { r.Auth = "AAAA" }, func(r *push.Registration) { r.Auth = "*" },
	} {
		bad := good
		change(&bad)
		require.Error(t, p.Check(bad))
		require.Equal(t, push.Rejected, p.Send(t.Context(), pushtest.Push(proto.PushWeb), bad).Status)
	}
}

func TestSettingsThatAreRefused(t *testing.T) {
	t.Parallel()
	secret, _ := vapid(t)
	for _, c := range []webpush.Config{
		{PrivateKey: secret}, {PrivateKey: secret, Subject: "ops@example.com"}, {PrivateKey: secret, Subject: "mailto:"},
		{Subject: "mailto:a@b"}, {PrivateKey: "AAAA", Subject: "mailto:a@b"}, {PrivateKey: "*", Subject: "mailto:a@b"},
		{PrivateKey: services.Secret(base64url.EncodeToString(make([]byte, 32))), Subject: "mailto:a@b"},
	} {
		_, err := webpush.New(c, guard.New(guard.Options{}))
		require.Error(t, err, "%+v", c)
	}
}
