package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"supmesh.dev/proto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	secret = []byte("0123456789abcdef0123456789abcdef")
	now    = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
)

func good() jwt.MapClaims {
	return jwt.MapClaims{
		"userId": "u1", "deviceId": "phone", "type": "access", "name": "Ann", "avatar": "a.png", "jti": "t1",
		"iat": now.Add(-time.Minute).Unix(), "exp": now.Add(time.Hour).Unix(),
	}
}

func with(changes ...any) jwt.MapClaims {
	c := good()
	for i := 0; i < len(changes); i += 2 {
		if name := changes[i].(string); changes[i+1] == nil {
			delete(c, name)
		} else {
			c[name] = changes[i+1]
		}
	}
	return c
}

func sign(t *testing.T, method jwt.SigningMethod, key any, c jwt.Claims, header ...string) string {
	t.Helper()
	token := jwt.NewWithClaims(method, c)
	for i := 0; i < len(header); i += 2 {
		token.Header[header[i]] = header[i+1]
	}
	s, err := token.SignedString(key)
	require.NoError(t, err)
	return s
}

func hs(t *testing.T, c jwt.Claims) string {
	t.Helper()
	return sign(t, jwt.SigningMethodHS256, secret, c)
}

func verifier(t *testing.T, change func(*Config)) *Verifier {
	t.Helper()
	cfg := Config{Secret: secret, Now: func() time.Time { return now }}
	if change != nil {
		change(&cfg)
	}
	v, err := New(t.Context(), cfg)
	require.NoError(t, err)
	return v
}

func TestIssuerAudienceLifetime(t *testing.T) {
	t.Parallel()
	v := verifier(t, func(c *Config) { c.Issuer, c.Audience, c.MaxLifetime = "sup", "mesh", 2*time.Hour })
	_, err := v.Verify(t.Context(), hs(t, with("iss", "sup", "aud", "mesh")))
	require.NoError(t, err)
	for name, c := range map[string]jwt.MapClaims{
		"no issuer":      with("aud", "mesh"),
		"other issuer":   with("iss", "x", "aud", "mesh"),
		"no audience":    with("iss", "sup"),
		"other audience": with("iss", "sup", "aud", []string{"x", "y"}),
		"lives too long": with("iss", "sup", "aud", "mesh", "exp", now.Add(3*time.Hour).Unix()),
	} {
		_, err := v.Verify(t.Context(), hs(t, c))
		require.Error(t, err, name)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]Config{
		"no key":          {},
		"short secret":    {Secret: secret[:31]},
		"none":            {Secret: secret, SecretMethods: []string{"none"}},
		"RS256 as secret": {Secret: secret, SecretMethods: []string{"RS256"}},
		"HS256 as public": {JWKSURL: "http://127.0.0.1:1", JWKSMethods: []string{"HS256"}},
	} {
		_, err := New(t.Context(), cfg)
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), string(secret[:31]))
	}
}

func TestBearer(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"Bearer abc": "abc", "bearer abc": "abc", "Bearer  abc ": "abc", "abc": "", "": "", "Basic abc": "",
	} {
		require.Equal(t, want, Bearer(header), header)
	}
}

func keyServer(t *testing.T, keys map[string]any) *httptest.Server {
	t.Helper()
	store := jwkset.NewMemoryStorage()
	for id, key := range keys {
		k, err := jwkset.NewJWKFromKey(key, jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: id}})
		require.NoError(t, err)
		require.NoError(t, store.KeyWrite(t.Context(), k))
	}
	body, err := store.JSONPublic(t.Context())
	require.NoError(t, err)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
	t.Cleanup(server.Close)
	return server
}

func TestPublicKeys(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	server := keyServer(t, map[string]any{"rsa": rsaKey.Public(), "ec": ecKey.Public(), "ed": edKey.Public()})
	v := verifier(t, func(c *Config) { c.JWKSURL = server.URL })

	for name, token := range map[string]string{
		"RS256": sign(t, jwt.SigningMethodRS256, rsaKey, good(), "kid", "rsa"),
		"ES256": sign(t, jwt.SigningMethodES256, ecKey, good(), "kid", "ec"),
		"EdDSA": sign(t, jwt.SigningMethodEdDSA, edKey, good(), "kid", "ed"),
		"HS256": hs(t, good()),
		"nokid": sign(t, jwt.SigningMethodRS256, rsaKey, good()),
	} {
		id, err := v.Verify(t.Context(), token)
		require.NoError(t, err, name)
		require.Equal(t, "u1", id.User, name)
	}

	der, err := x509.MarshalPKIXPublicKey(rsaKey.Public())
	require.NoError(t, err)
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	for name, token := range map[string]string{
		"the public key as HMAC secret": sign(t, jwt.SigningMethodHS256, public, good(), "kid", "rsa"),
		"another key under its id":      sign(t, jwt.SigningMethodRS256, other, good(), "kid", "rsa"),
		"a key of another kind":         sign(t, jwt.SigningMethodRS256, rsaKey, good(), "kid", "ec"),
		"PS256 is not configured":       sign(t, jwt.SigningMethodPS256, rsaKey, good(), "kid", "rsa"),
		"a path as key id":              sign(t, jwt.SigningMethodRS256, rsaKey, good(), "kid", "../../dev/null"),
	} {
		start := time.Now()
		_, err := v.Verify(t.Context(), token)
		var r *Refusal
		require.ErrorAs(t, err, &r, name)
		require.Equal(t, proto.InvalidToken, r.Code, name)
		require.Less(t, time.Since(start), 10*time.Second, "%s: an unknown key must not hold the client up", name)
	}
	_, err = v.Verify(t.Context(), sign(t, jwt.SigningMethodRS256, rsaKey, good(), "kid", "another"))
	require.ErrorIs(t, err, ErrUnavailable, "the next fetch is not due: nothing can be said about the token")
}

// TestNoSecretIsNoKey: a verifier with public keys alone has an empty secret. No token
// may be verified with that.
func TestNoSecretIsNoKey(t *testing.T) {
	t.Parallel()
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	server := keyServer(t, map[string]any{"ed": edKey.Public()})
	v := verifier(t, func(c *Config) { c.Secret, c.JWKSURL, c.SecretMethods = nil, server.URL, secretMethods })
	_, err = v.Verify(t.Context(), sign(t, jwt.SigningMethodEdDSA, edKey, good(), "kid", "ed"))
	require.NoError(t, err)
	for _, method := range []jwt.SigningMethod{jwt.SigningMethodHS256, jwt.SigningMethodHS384, jwt.SigningMethodHS512} {
		for name, key := range map[string][]byte{"empty": {}, "public": edKey.Public().(ed25519.PublicKey)} {
			_, err = v.Verify(t.Context(), sign(t, method, key, good(), "kid", "ed"))
			var r *Refusal
			require.ErrorAs(t, err, &r, "%s %s", method.Alg(), name)
			require.Equal(t, "Invalid token", r.Message)
		}
	}
}

func TestKeysUnavailable(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	down := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	defer down.Close()
	v := verifier(t, func(c *Config) { c.JWKSURL = down.URL })
	_, err = v.Verify(t.Context(), sign(t, jwt.SigningMethodRS256, rsaKey, good(), "kid", "rsa"))
	require.ErrorIs(t, err, ErrUnavailable)
}

func FuzzToken(f *testing.F) {
	f.Add("a.b.c")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	v, err := New(f.Context(), Config{Secret: secret})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, token string) {
		_, err := v.Verify(t.Context(), token)
		require.Error(t, err)
	})
}
