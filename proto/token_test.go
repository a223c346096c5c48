package proto_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

// maxToken is '=' and the base64url of 128 runes of four bytes.
const maxToken = 684

func TestEncodeID(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ id, token string }{
		{"alice", "alice"},
		{"A-Z_0-9", "A-Z_0-9"},
		{"a.b", "=YS5i"},
		{"*", "=Kg"},
		{">", "=Pg"},
		{"a b", "=YSBi"},
		{" ", "=IA"},
		{"a:b", "=YTpi"},
		{"{c:x}", "=e2M6eH0"},
		{"=YS5i", "=PVlTNWk"}, // an id that looks like another's token
		{"é", "=w6k"},
		{"日本", "=5pel5pys"},
		{strings.Repeat("a", 128), strings.Repeat("a", 128)},
	} {
		t.Run(c.id, func(t *testing.T) {
			token, err := proto.EncodeID(c.id)
			require.NoError(t, err)
			require.Equal(t, proto.Token(c.token), token)
			id, err := token.ID()
			require.NoError(t, err)
			require.Equal(t, c.id, id)
		})
	}
}

func TestEncodeIDRefuses(t *testing.T) {
	t.Parallel()
	for name, id := range map[string]string{
		"empty":             "",
		"129 characters":    strings.Repeat("a", 129),
		"129 wide":          strings.Repeat("😀", 129),
		"5 KB":              strings.Repeat("a", 5<<10),
		"newline":           "a\nb",
		"tab":               "a\tb",
		"NUL":               "a\x00b",
		"invalid UTF-8":     "a\xffb",
		"replacement":       "a\ufffdb",
		"no-break space":    "a\u00a0b",
		"right-to-left":     "a\u202eb",
		"byte order mark":   "\ufeffa",
		"surrogate as UTF8": "\xed\xa0\x80",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := proto.EncodeID(id)
			require.ErrorIs(t, err, &proto.Error{Code: proto.InvalidPayload})
		})
	}
}

func TestTokenIDRefusesWhatEncodeIDCannotMake(t *testing.T) {
	t.Parallel()
	for name, token := range map[string]proto.Token{
		"empty": "", "dot": "a.b", "wildcard": "*", "mark alone": "=",
		"plain id in base64": "=YWxpY2U", "padding": "=YS5i=", "stray bits": "=Kh",
		"not base64": "=!", "control inside": "=AA", "newline in base64": "=YS\n5i",
		"too long": proto.Token(strings.Repeat("a", 129)),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := token.ID()
			require.Error(t, err)
		})
	}
}

func TestLongestTokenFits(t *testing.T) {
	t.Parallel()
	token, err := proto.EncodeID(strings.Repeat("😀", proto.MaxIDRunes))
	require.NoError(t, err)
	require.Len(t, string(token), maxToken)
}

// FuzzEncodeID: whatever the id, its token is one subject token and one key
// segment, and no other id has it.
func FuzzEncodeID(f *testing.F) {
	for _, seed := range []string{"alice", "a.b", "*", ">", "a b", "=YS5i", "{c:x}", "日本", "\xff", ""} {
		f.Add(seed, "a.b")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		ta, err := proto.EncodeID(a)
		if err != nil {
			require.Error(t, proto.CheckID(a))
			return
		}
		require.NotEmpty(t, ta)
		require.LessOrEqual(t, len(ta), maxToken)
		require.False(t, strings.ContainsAny(string(ta), ".*>:{}/"), "token %q", ta)
		require.Equal(t, -1, strings.IndexFunc(string(ta), func(r rune) bool {
			return unicode.IsSpace(r) || unicode.IsControl(r) || r >= utf8.RuneSelf
		}), "token %q", ta)
		id, err := ta.ID()
		require.NoError(t, err)
		require.Equal(t, a, id)
		if tb, err := proto.EncodeID(b); err == nil {
			require.Equal(t, a == b, ta == tb, "%q and %q", a, b)
		}
		chat, kind, err := proto.ParseChatSubject(proto.ChatLog(ta, proto.KindMessage))
		require.NoError(t, err)
		require.Equal(t, ta, chat)
		require.Equal(t, proto.KindMessage, kind)
	})
}

// FuzzTokenID: a token that decodes is the one its id has.
func FuzzTokenID(f *testing.F) {
	for _, seed := range []string{"alice", "=YS5i", "=YWxpY2U", "=", "a.b", "=Kh"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := proto.Token(s).ID()
		if err != nil {
			return
		}
		back, err := proto.EncodeID(id)
		require.NoError(t, err)
		require.Equal(t, proto.Token(s), back)
	})
}

func TestCheckClientID(t *testing.T) {
	t.Parallel()
	for _, ok := range []string{"a", "tmp:1.a_b-C", strings.Repeat("x", 64)} {
		require.NoError(t, proto.CheckClientID(ok), ok)
	}
	for _, bad := range []string{"", strings.Repeat("x", 65), "a b", "é", "a/b", "a\n", "{a}", "a*"} {
		require.Error(t, proto.CheckClientID(bad), bad)
	}
}

func TestIdempotencyRecordKeyIsInjective(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, key := range []string{"a", "A", "{a}", "a}", "a:b", `"a"`, strings.Repeat("~", proto.MaxIdempotencyKey)} {
		require.NoError(t, proto.CheckIdempotencyKey(key))
		record := proto.IdempotencyRecordKey("chat", "rpc.chat.put", key)
		require.Empty(t, seen[record], "%s and %s share %s", key, seen[record], record)
		seen[record] = key
		require.Equal(t, 1, strings.Count(record, "{"))
		require.Equal(t, 1, strings.Count(record, "}"))
	}
	for _, key := range []string{"", " ", "a b", "é", "a\n", strings.Repeat("k", proto.MaxIdempotencyKey+1)} {
		err := proto.AsError(proto.CheckIdempotencyKey(key))
		require.Equal(t, proto.InvalidPayload, err.Code, "%q", key)
		require.Equal(t, proto.IdempotencyKey, err.Field)
	}
}
