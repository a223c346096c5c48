package auth

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// signed is a token of these very bytes, with a good signature.
func signed(t *testing.T, header, claims string) string {
	t.Helper()
	body := encode(header) + "." + encode(claims)
	signature, err := jwt.SigningMethodHS256.Sign(body, secret)
	require.NoError(t, err)
	return body + "." + base64.RawURLEncoding.EncodeToString(signature)
}

const plainHeader = `{"alg":"HS256","typ":"JWT"}`

// text is the good claims as JSON, with members before and behind them.
func text(t *testing.T, before, behind string) string {
	t.Helper()
	b, err := json.Marshal(good())
	require.NoError(t, err)
	return "{" + before + strings.Trim(string(b), "{}") + behind + "}"
}

func TestGoodTokens(t *testing.T) {
	t.Parallel()
	v := verifier(t, nil)
	id, err := v.Verify(t.Context(), hs(t, good()))
	require.NoError(t, err)
	require.True(t, id.Expires.Equal(now.Add(time.Hour)))
	require.Equal(t, Identity{User: "u1", Device: "phone", Name: "Ann", Avatar: "a.png", ID: "t1", Expires: id.Expires}, id)

	raw := func(before, behind string) string { return signed(t, plainHeader, text(t, before, behind)) }
	head := func(header string) string { return signed(t, header, text(t, "", "")) }
	for name, token := range map[string]string{
		"sub instead of userId":       hs(t, with("userId", nil, "sub", "u1")),
		"userId before sub":           hs(t, with("sub", "someone")),
		"sub of another type, unread": hs(t, with("sub", 7)),
		"no device":                   hs(t, with("deviceId", nil)),
		"unknown claims":              hs(t, with("scope", []string{"x"})),
		"iat ahead, in the leeway":    hs(t, with("iat", now.Add(20*time.Second).Unix())),
		"exp passed, in the leeway":   hs(t, with("exp", now.Add(-20*time.Second).Unix())),
		"nbf ahead, in the leeway":    hs(t, with("nbf", now.Add(20*time.Second).Unix())),
		"nbf passed":                  hs(t, with("nbf", now.Add(-time.Hour).Unix())),
		"fractions of a second":       hs(t, with("exp", float64(now.Unix())+60.5, "nbf", float64(now.Unix())-0.25)),
		"dates with an exponent":      raw(`"nbf":1.7e9,`, ""),
		"audience that nobody asked":  hs(t, with("aud", 7, "iss", []string{"y"})),
		"jti is a number":             hs(t, with("jti", 7)),
		"name is a number":            hs(t, with("name", 12.5)),
		"avatar is null":              hs(t, with("name", "x", "avatar", json.RawMessage("null"))),
		"claims of another case":      raw(`"USERID":"victim","Type":"refresh","EXP":1,`, `,"UserId":"victim","tYPE":"refresh"`),
		"header of another case":      head(`{"ALG":"none","alg":"HS256","CRIT":["x"]}`),
		"header that brings keys":     head(`{"alg":"HS256","jku":"http://127.0.0.1/x","jwk":{"kty":"oct","k":""},"x5u":"http://127.0.0.1/y","kid":"../x"}`),
		"header of the bare least":    head(`{"alg":"HS256"}`),
		"white space inside":          signed(t, " { \"alg\" : \"HS256\" } ", "\n\t"+text(t, "", "")+" "),
		"escaped names":               signed(t, `{"\u0061lg":"HS256"}`, strings.Replace(text(t, "", ""), `"userId"`, `"user\u0049d"`, 1)),
		"text beyond ASCII":           hs(t, with("name", "Zoë 👩‍👩‍👧")),
		"user of 128 characters":      hs(t, with("userId", nil, "sub", strings.Repeat("é", 128))),
		"an end a century ahead":      hs(t, with("exp", now.AddDate(99, 0, 0).Unix())),
	} {
		id, err := v.Verify(t.Context(), token)
		require.NoError(t, err, name)
		require.True(t, id.User == "u1" || id.User == strings.Repeat("é", 128), "%s: %s", name, id.User)
		require.True(t, id.Expires.After(now), name)
	}
}

type badToken struct{ name, token string }

func refuseAll(t *testing.T, message string, code proto.Code, tokens []badToken) {
	t.Helper()
	v := verifier(t, nil)
	for _, c := range tokens {
		id, err := v.Verify(t.Context(), c.token)
		require.Zero(t, id, c.name)
		var r *Refusal
		require.ErrorAs(t, err, &r, c.name)
		require.Equal(t, message, r.Message, c.name)
		require.Equal(t, code, r.Code, c.name)
		if c.token != "" {
			require.NotContains(t, r.Error(), c.token, "%s: a token must not reach a log", c.name)
		}
	}
}

// TestBadTokens: tokens that prove nothing. Their claims are not looked at.
func TestBadTokens(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	ok := hs(t, good())
	part := strings.Split(ok, ".")
	unsigned := func(header string) string { return encode(header) + "." + part[1] + "." }
	under := func(header string) string { return encode(header) + "." + part[1] + "." + part[2] }
	head := func(header string) string { return signed(t, header, text(t, "", "")) }
	other := []byte("ffffffffffffffffffffffffffffffff")
	refuseAll(t, "Authentication required", proto.AuthenticationRequired, []badToken{{"nothing", ""}})
	refuseAll(t, "Invalid token", proto.InvalidToken, []badToken{
		{"words", "hello there"},
		{"a dot", "."},
		{"dots only", ".."},
		{"one dot", "a.b"},
		{"four parts", ok + ".x"},
		{"five parts, as of JWE", ok + "." + part[0] + "." + part[1]},
		{"too long", ok + strings.Repeat("A", MaxToken)},
		{"many dots", strings.Repeat(".", 4000)},
		{"not base64", "%%%." + part[1] + "." + part[2]},
		{"base64 of the other alphabet", head(`{"alg":"HS256","x":"???>>>"}`)[:40] + "+/." + part[1] + "." + part[2]},
		{"header padded", part[0] + "=." + part[1] + "." + part[2]},
		{"claims padded", part[0] + "." + part[1] + "=." + part[2]},
		{"signature padded", ok + "="},
		{"signature with loose bits", looseBits(ok)},
		{"white space before", " " + ok},
		{"white space behind", ok + " "},
		{"a line break behind", ok + "\n"},
		{"a line break inside the signature", ok[:len(ok)-3] + "\r\n" + ok[len(ok)-3:]},
		{"a zero byte behind", ok + "\x00"},
		{"not UTF-8", ok + "\xff"},
		{"with its scheme", "Bearer " + ok},
		{"in quotes", `"` + ok + `"`},
		{"no header", "." + part[1] + "." + part[2]},
		{"no claims", part[0] + ".." + part[2]},
		{"header is no JSON", under("hello")},
		{"header is an array", under("[]")},
		{"header is null", under("null")},
		{"header is cut", under(`{"alg":"HS256"`)},
		{"header and more", under(plainHeader + "{}")},
		{"header is not UTF-8", head("{\"alg\":\"HS256\",\"x\":\"\xff\"}")},
		{"header nested deeply", head(`{"alg":"HS256","x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`)},
		{"no alg", under("{}")},
		{"alg is a number", under(`{"alg":1}`)},
		{"alg is null", under(`{"alg":null}`)},
		{"alg is a list", under(`{"alg":["HS256"]}`)},
		{"alg is empty", under(`{"alg":""}`)},
		{"alg unknown", under(`{"alg":"HS255"}`)},
		{"alg of another case", head(`{"alg":"hs256"}`)},
		{"alg with space", head(`{"alg":"HS256 "}`)},
		{"alg twice", head(`{"alg":"HS256","alg":"HS256"}`)},
		{"alg twice, none before", head(`{"alg":"none","alg":"HS256"}`)},
		{"alg by another name only", head(`{"Alg":"HS256"}`)},
		{"none", unsigned(`{"alg":"none"}`)},
		{"None", unsigned(`{"alg":"None"}`)},
		{"nOnE", unsigned(`{"alg":"nOnE"}`)},
		{"none with a signature", under(`{"alg":"none"}`)},
		{"HS256 without signature", unsigned(plainHeader)},
		{"crit", head(`{"alg":"HS256","crit":["exp"]}`)},
		{"crit of what is in the header", head(`{"alg":"HS256","crit":["x"],"x":1}`)},
		{"crit empty", head(`{"alg":"HS256","crit":[]}`)},
		{"crit null", head(`{"alg":"HS256","crit":null}`)},
		{"crit is a string", head(`{"alg":"HS256","crit":"x"}`)},
		{"b64", head(`{"alg":"HS256","b64":false}`)},
		{"b64 and crit", head(`{"alg":"HS256","b64":false,"crit":["b64"]}`)},
		{"kid is a number", head(`{"alg":"HS256","kid":1}`)},
		{"kid twice", head(`{"alg":"HS256","kid":"a","kid":"b"}`)},
		{"HS384 is not configured", sign(t, jwt.SigningMethodHS384, secret, good())},
		{"HS512 is not configured", sign(t, jwt.SigningMethodHS512, secret, good())},
		{"RS256 without keys", sign(t, jwt.SigningMethodRS256, rsaKey, good())},
		{"RS256 by the secret", strings.Replace(ok, part[0], encode(`{"alg":"RS256"}`), 1)},
		{"other secret", sign(t, jwt.SigningMethodHS256, other, good())},
		{"empty secret", sign(t, jwt.SigningMethodHS256, []byte{}, good())},
		{"other secret and expired", sign(t, jwt.SigningMethodHS256, other, with("exp", 1))},
		{"other secret and no user", sign(t, jwt.SigningMethodHS256, other, with("userId", nil))},
		{"signature cut", ok[:len(ok)-4]},
		{"signature of another", part[0] + "." + part[1] + "." + strings.Split(hs(t, with("userId", "u2")), ".")[2]},
		{"claims changed", part[0] + "." + encode(`{"userId":"u2"}`) + "." + part[2]},
		{"claims are an array, unsigned", part[0] + ".W10." + part[2]},
		{"iat in the future", hs(t, with("iat", now.Add(time.Minute).Unix()))},
		{"nbf in the future", hs(t, with("nbf", now.Add(time.Minute).Unix()))},
	})
	refuseAll(t, "Invalid token", proto.TokenExpired, []badToken{
		{"expired", hs(t, with("exp", now.Add(-time.Minute).Unix()))},
		{"expired at the end of the leeway", hs(t, with("exp", now.Add(-30*time.Second).Unix()))},
		{"expired for years", hs(t, with("exp", 1, "iat", 0))},
		{"expired before it was issued", hs(t, with("exp", now.Add(-time.Hour).Unix()))},
		{"expired and no access token", hs(t, with("exp", 1, "iat", 0, "type", "refresh"))},
	})
}

// TestBadClaims: tokens with a good signature whose claims are not those of CONTRACT §3.
func TestBadClaims(t *testing.T) {
	t.Parallel()
	raw := func(claims string) string { return signed(t, plainHeader, claims) }
	nested := strings.Repeat("[", 40) + strings.Repeat("]", 40)
	refuseAll(t, "Invalid token payload", proto.InvalidToken, []badToken{
		{"claims are an array", raw("[]")},
		{"claims are null", raw("null")},
		{"claims are text", raw(`"u1"`)},
		{"claims are no JSON", raw("hello")},
		{"claims are cut", raw(strings.TrimSuffix(text(t, "", ""), "}"))},
		{"claims and more", raw(text(t, "", "") + text(t, "", ""))},
		{"claims are empty", raw("{}")},
		{"claims are not UTF-8", raw(text(t, "\"x\":\"\xff\",", ""))},
		{"claims nested deeply", raw(text(t, `"x":`+nested+`,`, ""))},
		{"userId twice", raw(text(t, `"userId":"victim",`, ""))},
		{"userId twice, the second another", raw(text(t, "", `,"userId":"victim"`))},
		{"type twice", raw(text(t, `"type":"refresh",`, ""))},
		{"exp twice", raw(text(t, "", `,"exp":1`))},
		{"unknown claim twice", raw(text(t, `"x":1,`, `,"x":1`))},
		{"userId by another name", raw(strings.Replace(text(t, "", ""), "userId", "USERID", 1))},
		{"type by another name", raw(strings.Replace(text(t, "", ""), `"type"`, `"TYPE"`, 1))},
		{"exp by another name", raw(strings.Replace(text(t, "", ""), `"exp"`, `"Exp"`, 1))},
		{"no exp", hs(t, with("exp", nil))},
		{"exp is null", hs(t, with("exp", json.RawMessage("null")))},
		{"exp is a word", hs(t, with("exp", "tomorrow"))},
		{"exp is a number as text", hs(t, with("exp", "4102444800"))},
		{"exp is true", hs(t, with("exp", true))},
		{"exp is a list", hs(t, with("exp", []int{1}))},
		{"exp is 1e18", hs(t, with("exp", 1e18))},
		{"exp is 1e19", hs(t, with("exp", 1e19))},
		{"exp is 1e308", hs(t, with("exp", 1e308))},
		{"exp is beyond a float", raw(strings.Replace(text(t, `"x":1,`, ""), `"exp":`, `"exp":1e999,"y":`, 1))},
		{"exp is in milliseconds", hs(t, with("exp", now.Add(time.Hour).UnixMilli()))},
		{"exp is before the epoch", hs(t, with("exp", -5))},
		{"exp is before iat", hs(t, with("exp", now.Unix(), "iat", now.Add(10*time.Second).Unix()))},
		{"exp is over a century ahead", hs(t, with("exp", now.AddDate(101, 0, 0).Unix()))},
		{"nbf is 1e19", hs(t, with("nbf", 1e19))},
		{"nbf is text", hs(t, with("nbf", "1"))},
		{"nbf is before the epoch", hs(t, with("nbf", -1e19))},
		{"no iat", hs(t, with("iat", nil))},
		{"iat is text", hs(t, with("iat", "1"))},
		{"iat is 1e19", hs(t, with("iat", 1e19))},
		{"iat is in milliseconds", hs(t, with("iat", now.UnixMilli()))},
		{"iat is before the epoch", hs(t, with("iat", -5))},
		{"no type", hs(t, with("type", nil))},
		{"a refresh token", hs(t, with("type", "refresh"))},
		{"type of another case", hs(t, with("type", "Access"))},
		{"type with space", hs(t, with("type", "access "))},
		{"type is a number", hs(t, with("type", 1))},
		{"type is a list", hs(t, with("type", []string{"access"}))},
		{"no user", hs(t, with("userId", nil))},
		{"user is empty", hs(t, with("userId", ""))},
		{"user is empty, sub is not", hs(t, with("userId", "", "sub", "u1"))},
		{"user is a number", hs(t, with("userId", 7))},
		{"user is null", hs(t, with("userId", json.RawMessage("null")))},
		{"user is an object", hs(t, with("userId", map[string]string{"id": "u1"}))},
		{"sub is a number", hs(t, with("userId", nil, "sub", 7))},
		{"user too long", hs(t, with("userId", strings.Repeat("u", 129)))},
		{"user of 5 KB", hs(t, with("userId", strings.Repeat("u", 5000)))},
		{"user with a control character", hs(t, with("userId", "a\nb"))},
		{"user with a replacement character", hs(t, with("userId", "a\ufffd"))},
		{"user with half an emoji", raw(strings.Replace(text(t, "", ""), `"u1"`, `"a\ud83d"`, 1))},
		{"device is a number", hs(t, with("deviceId", 7))},
		{"device too long", hs(t, with("deviceId", strings.Repeat("d", 129)))},
		{"name too long", hs(t, with("name", strings.Repeat("n", 600)))},
		{"name is a list", hs(t, with("name", []string{"Ann"}))},
		{"avatar too long", hs(t, with("avatar", strings.Repeat("a", 3000)))},
		{"jti is an object", hs(t, with("jti", map[string]int{"a": 1}))},
		{"jti too long", hs(t, with("jti", strings.Repeat("j", 600)))},
	})
}

// looseBits changes the bits behind the last whole byte of the signature: a lax decoder
// takes it for the same.
func looseBits(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	return token[:len(token)-1] + string(alphabet[last^1])
}
