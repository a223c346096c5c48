package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
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

func TestGoodTokens(t *testing.T) {
	t.Parallel()
	v := verifier(t, nil)
	id, err := v.Verify(t.Context(), hs(t, good()))
	require.NoError(t, err)
	require.Equal(t, Identity{User: "u1", Device: "phone", Name: "Ann", Avatar: "a.png", ID: "t1", Expires: id.Expires}, id)
	require.True(t, id.Expires.Equal(now.Add(time.Hour)))

	for name, c := range map[string]jwt.MapClaims{
		"sub instead of userId":      with("userId", nil, "sub", "u1"),
		"userId before sub":          with("sub", "someone"),
		"no device":                  with("deviceId", nil),
		"unknown claims":             with("scope", []string{"x"}),
		"iat ahead, in the leeway":   with("iat", now.Add(20*time.Second).Unix()),
		"exp passed, in the leeway":  with("exp", now.Add(-20*time.Second).Unix()),
		"fractions of a second":      with("exp", float64(now.Unix())+60.5),
		"audience that nobody asked": with("aud", "x", "iss", "y"),
	} {
		id, err := v.Verify(t.Context(), hs(t, c))
		require.NoError(t, err, name)
		require.Equal(t, "u1", id.User, name)
		require.True(t, id.Expires.After(now), name)
	}
}

func TestBadTokens(t *testing.T) {
	t.Parallel()
	v := verifier(t, nil)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	none := func(alg string, c jwt.MapClaims) string {
		h, _ := json.Marshal(map[string]string{"alg": alg, "typ": "JWT"})
		b, _ := json.Marshal(c)
		return base64.RawURLEncoding.EncodeToString(h) + "." + base64.RawURLEncoding.EncodeToString(b) + "."
	}
	ok := hs(t, good())
	parts := strings.Split(ok, ".")
	const (
		required = "Authentication required"
		bad      = "Invalid token"
		payload  = "Invalid token payload"
	)
	for _, c := range []struct {
		name, token, message string
		code                 proto.Code
	}{
		{"nothing", "", required, proto.AuthenticationRequired},
		{"words", "hello there", bad, proto.InvalidToken},
		{"dots only", "..", bad, proto.InvalidToken},
		{"one dot", "a.b", bad, proto.InvalidToken},
		{"four parts", ok + ".x", bad, proto.InvalidToken},
		{"too long", ok + strings.Repeat("A", MaxToken), bad, proto.InvalidToken},
		{"many dots", strings.Repeat(".", 4000), bad, proto.InvalidToken},
		{"not base64", "%%%." + parts[1] + "." + parts[2], bad, proto.InvalidToken},
		{"header is no JSON", "aGVsbG8." + parts[1] + "." + parts[2], bad, proto.InvalidToken},
		{"header is an array", "W10." + parts[1] + "." + parts[2], bad, proto.InvalidToken},
		{"no alg", "e30." + parts[1] + "." + parts[2], bad, proto.InvalidToken},
		{"alg is a number", base64.RawURLEncoding.EncodeToString([]byte(`{"alg":1}`)) + "." + parts[1] + "." + parts[2], bad, proto.InvalidToken},
		{"alg none", none("none", good()), bad, proto.InvalidToken},
		{"alg None", none("None", good()), bad, proto.InvalidToken},
		{"alg HS256 without signature", none("HS256", good()), bad, proto.InvalidToken},
		{"alg hs256", none("hs256", good()), bad, proto.InvalidToken},
		{"HS384 is not configured", sign(t, jwt.SigningMethodHS384, secret, good()), bad, proto.InvalidToken},
		{"HS512 is not configured", sign(t, jwt.SigningMethodHS512, secret, good()), bad, proto.InvalidToken},
		{"RS256 without keys", sign(t, jwt.SigningMethodRS256, rsaKey, good()), bad, proto.InvalidToken},
		{"other secret", sign(t, jwt.SigningMethodHS256, []byte("ffffffffffffffffffffffffffffffff"), good()), bad, proto.InvalidToken},
		{"empty secret", sign(t, jwt.SigningMethodHS256, []byte{}, good()), bad, proto.InvalidToken},
		{"signature cut", ok[:len(ok)-4], bad, proto.InvalidToken},
		{"signature of another", parts[0] + "." + parts[1] + "." + strings.Split(hs(t, with("userId", "u2")), ".")[2], bad, proto.InvalidToken},
		{"payload changed", parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"userId":"u2"}`)) + "." + parts[2], bad, proto.InvalidToken},
		{"padding", ok + "=", bad, proto.InvalidToken},
		{"white space", " " + ok, bad, proto.InvalidToken},
		{"expired", hs(t, with("exp", now.Add(-time.Minute).Unix())), bad, proto.TokenExpired},
		{"expired for years", hs(t, with("exp", 1)), bad, proto.TokenExpired},
		{"expired and of another", sign(t, jwt.SigningMethodHS256, []byte("ffffffffffffffffffffffffffffffff"), with("exp", 1)), bad, proto.InvalidToken},
		{"iat in the future", hs(t, with("iat", now.Add(time.Minute).Unix())), bad, proto.InvalidToken},
		{"nbf in the future", hs(t, with("nbf", now.Add(time.Minute).Unix())), bad, proto.InvalidToken},
		{"no exp", hs(t, with("exp", nil)), payload, proto.InvalidToken},
		{"exp is text", hs(t, with("exp", "tomorrow")), bad, proto.InvalidToken},
		{"exp is beyond time", hs(t, with("exp", 1e18)), payload, proto.InvalidToken},
		{"no iat", hs(t, with("iat", nil)), payload, proto.InvalidToken},
		{"iat before the epoch", hs(t, with("iat", -5)), payload, proto.InvalidToken},
		{"no type", hs(t, with("type", nil)), payload, proto.InvalidToken},
		{"refresh token", hs(t, with("type", "refresh")), payload, proto.InvalidToken},
		{"type is a number", hs(t, with("type", 1)), bad, proto.InvalidToken},
		{"no user", hs(t, with("userId", nil)), payload, proto.InvalidToken},
		{"empty user", hs(t, with("userId", "")), payload, proto.InvalidToken},
		{"user is a number", hs(t, with("userId", 7)), bad, proto.InvalidToken},
		{"user is null", hs(t, jwt.MapClaims{"userId": nil, "type": "access", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}), payload, proto.InvalidToken},
		{"user too long", hs(t, with("userId", strings.Repeat("u", 129))), payload, proto.InvalidToken},
		{"user of 5 KB", hs(t, with("userId", strings.Repeat("u", 5000))), payload, proto.InvalidToken},
		{"user with a control character", hs(t, with("userId", "a\nb")), payload, proto.InvalidToken},
		{"device too long", hs(t, with("deviceId", strings.Repeat("d", 129))), payload, proto.InvalidToken},
		{"name too long", hs(t, with("name", strings.Repeat("n", 600))), payload, proto.InvalidToken},
		{"claims are an array", parts[0] + ".W10." + parts[2], bad, proto.InvalidToken},
	} {
		t.Run(c.name, func(t *testing.T) {
			id, err := v.Verify(t.Context(), c.token)
			require.Zero(t, id)
			var r *Refusal
			require.ErrorAs(t, err, &r)
			require.Equal(t, c.message, r.Message)
			require.Equal(t, c.code, r.Code)
			if c.token != "" {
				require.NotContains(t, r.Error(), c.token, "a token must not reach a log")
			}
		})
	}
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
