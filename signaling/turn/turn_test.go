package turn

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/services/servicestest"
)

func TestMain(m *testing.M) { servicestest.Leak(m) }

func token(t *testing.T, id string) proto.Token {
	t.Helper()
	out, err := proto.EncodeID(id)
	require.NoError(t, err)
	return out
}

func TestConfig(t *testing.T) {
	t.Parallel()
	secret := []byte("s")
	for _, url := range []string{
		"stun:stun.example.org", "stun:stun.example.org:3478", "stuns:10.0.0.1:5349", "turn:turn.example.org", "turns:turn.example.org:5349",
		"turn:turn.example.org:3478?transport=udp", "turns:turn_1.example.org?transport=tcp", "turn:[2001:db8::1]:3478", "turn:[::1]", "turn:[::1]?transport=tcp", "stun:localhost",
	} {
		_, err := New(Config{URLs: []string{url}, Secret: secret, TTL: time.Hour})
		require.NoError(t, err, url)
	}
	for _, url := range []string{
		"", "stun", "stun:", "turn:", "turn::3478", "turn:?transport=udp", "http://example.org", "turn://example.org", "TURN:example.org",
		"turn:example.org:0", "turn:example.org:65536", "turn:example.org:", "turn:example.org:port", "turn:a:b:1", "turn:2001:db8::1",
		"turn:example.org?transport=tls", "turn:example.org?", "turn:example.org?x=y", "turn:example.org?transport=udp&transport=tcp", "stun:example.org?transport=udp",
		"turn:user@example.org", "turn:exa mple.org", "turn: example.org", "turn:example.org ", "turn:example.org/path", "turn:[::1", "turn:[]", "turn:[]:3478", "turn:[example.org]:3478", "turn:[::1]:", "turn:]",
	} {
		_, err := New(Config{URLs: []string{"stun:stun.example.org", url}, Secret: secret, TTL: time.Hour})
		require.ErrorContains(t, err, "ICE_URLS", url)
	}
	_, err := New(Config{URLs: []string{"stun:a", "turns:b"}, TTL: time.Hour})
	require.ErrorContains(t, err, "TURN_SECRET")
	for _, ttl := range []time.Duration{0, -time.Hour, time.Minute - 1, 48*time.Hour + 1} {
		_, err := New(Config{TTL: ttl})
		require.ErrorContains(t, err, "TURN_TTL", ttl)
	}
	for _, ttl := range []time.Duration{time.Minute, 48 * time.Hour} {
		_, err := New(Config{URLs: []string{"stun:a"}, TTL: ttl})
		require.NoError(t, err, "a secret is needed only by TURN")
	}
}

func TestServers(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_700_000_000_750)
	none, err := New(Config{TTL: time.Hour})
	require.NoError(t, err)
	require.Equal(t, []proto.IceServer{}, none.Servers("c", "u", now))

	m, err := New(Config{
		URLs:   []string{"turn:t1:3478?transport=udp", "stun:s1", "turns:t2", "stun:s2"},
		Secret: []byte("north"), TTL: 12 * time.Hour,
	})
	require.NoError(t, err)
	ends := proto.At(time.Unix(1_700_043_200, 0))
	want := []proto.IceServer{
		{URLs: []string{"stun:s1", "stun:s2"}},
		{
			URLs: []string{"turn:t1:3478?transport=udp", "turns:t2"}, Username: "1700043200:call-1.ann",
			Credential: "37z9lR0qSopn/1oc0wDHrNzV+BY=", ExpiresAt: &ends,
		},
	}
	got := m.Servers("call-1", "ann", now)
	require.Equal(t, want, got)
	got[0].URLs[0], got[1].URLs[0] = "", ""
	require.Equal(t, want, m.Servers("call-1", "ann", now), "nobody shares the list")

	other := m.Servers("call-1", "bob", now)[1]
	require.NotEqual(t, want[1].Credential, other.Credential)
	later := m.Servers("call-1", "ann", now.Add(25*time.Hour))[1]
	require.Equal(t, ends.Add(25*time.Hour), later.ExpiresAt.Time, "none is kept")
}

// Values of openssl dgst -sha1 -hmac; the last is RFC 2202's second case.
func TestCredential(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ secret, username, want string }{
		{"north", "1700043200:call-1.ann", "37z9lR0qSopn/1oc0wDHrNzV+BY="},
		{"logen", "1433895918:user", "KFLl1sC4biIDkeiqymyJDFWZuhc="},
		{"Jefe", "what do ya want for nothing?", "7/zfauXrL6LSdBbV8YTfnCWafHk="},
	} {
		require.Equal(t, c.want, credential([]byte(c.secret), c.username))
	}
}

// A user name never outgrows STUN's bound, and always opens with its end.
func TestLongNames(t *testing.T) {
	t.Parallel()
	call := token(t, strings.Repeat(":", 64))
	seen := map[string]bool{}
	for _, id := range []string{strings.Repeat("é", 128), strings.Repeat("\U0001F600", 128), strings.Repeat("\U0001F600", 127) + "\U0001F601"} {
		name := username(time.Unix(1_700_043_200, 0), call, token(t, id))
		require.LessOrEqual(t, len(name), maxUsername)
		require.True(t, strings.HasPrefix(name, "1700043200:"+string(call)+"."))
		require.Equal(t, 1, strings.Count(name, ":"))
		require.False(t, seen[name])
		seen[name] = true
	}
}
