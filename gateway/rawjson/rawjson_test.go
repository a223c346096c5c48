package rawjson

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func isValue(src string) bool {
	b := []byte(src)
	end, ok := Value(b, Space(b, 0))
	return ok && Space(b, end) == len(b)
}

func TestValue(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`[{"a":`, 100_000) + "1" + strings.Repeat("}]", 100_000)
	for _, good := range []string{
		`null`, `true`, `false`, `0`, `-0`, `10.5E-7`, `1e+3`, `""`, `"a\"\\\/\b\f\n\r\t\u00e9"`, `"\ud83d"`, `"é😀"`, "\"\x7f\"",
		`{}`, `[]`, ` { } `, "[\n]", `{"a":1,"a":2}`, `{"a":[{},[],{"b":{}}],"c":"}"}`, "\t[ 1 ,\r\n2 ]", `{"":0}`, `[[],[[]],{"a":[]}]`, deep,
	} {
		require.True(t, isValue(good), "%.80s", good)
	}
	for _, bad := range []string{
		``, ` `, `nul`, `nulll`, `tru`, `+1`, `01`, `1.`, `.5`, `1e`, `1e+`, `-`, `- 1`, `NaN`, `0x1`, `"`, `"\`, `"\x"`, `"\u12g4"`, `"\u12"`, "\"\n\"", "\"\x00\"", `'a'`,
		`{`, `[`, `}`, `]`, `{]`, `[}`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{a:1}`, `{1:1}`, `{"a" 1}`, `{"a":1 "b":2}`, `[1 2]`, `[1,]`, `[,1]`, `[1]]`, `{}{}`, `[]1`, "[1\v]",
		`[{"a":1]}`, `{"a":[1}]`, deep[:len(deep)-1], deep + "]", strings.Replace(deep, "}]", "]}", 1),
	} {
		require.False(t, isValue(bad), "%.80s", bad)
	}
}

func TestObjectAndArray(t *testing.T) {
	t.Parallel()
	members := func(src string) (all []string, ok bool) {
		ok = Object([]byte(src), func(name, value []byte) { all = append(all, string(name)+"="+string(value)) })
		return all, ok
	}
	items := func(src string) (all []string, ok bool) {
		ok = Array([]byte(src), func(from, to int) { all = append(all, src[from:to]) })
		return all, ok
	}
	for src, want := range map[string][]string{
		`{}`: nil, " {\n} ": nil, ` { "a" : {"b":[1, 2]} , "a":2 } `: {`"a"={"b":[1, 2]}`, `"a"=2`},
	} {
		got, ok := members(src)
		require.True(t, ok, src)
		require.Equal(t, want, got, src)
	}
	for src, want := range map[string][]string{
		``: nil, `[]`: nil, `{`: nil, `{}x`: nil, `{"a"}`: nil, `{"a":1`: {`"a"=1`}, `{"a":1}x`: {`"a"=1`}, `{"a":1,}`: {`"a"=1`}, `{"a":1;"b":2}`: {`"a"=1`}, `{"a":1,"b":}`: {`"a"=1`},
	} {
		got, ok := members(src)
		require.False(t, ok, src)
		require.Equal(t, want, got, src)
	}
	for src, want := range map[string][]string{`[]`: nil, " [\t] ": nil, ` [ 1 , {"a":[2]},null]`: {`1`, `{"a":[2]}`, `null`}} {
		got, ok := items(src)
		require.True(t, ok, src)
		require.Equal(t, want, got, src)
	}
	for src, want := range map[string][]string{``: nil, `{}`: nil, `[`: nil, `[]x`: nil, `[1`: {"1"}, `[1]x`: {"1"}, `[1,]`: {"1"}, `[1;2]`: {"1"}, `[1,x]`: {"1"}} {
		got, ok := items(src)
		require.False(t, ok, src)
		require.Equal(t, want, got, src)
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{`""`: "", `"a"`: "a", `"\u0061\n"`: "a\n", `"\ud83d"`: "\ufffd", `"\ud83d\ude00"`: "😀"} {
		got, ok := Text([]byte(value))
		require.True(t, ok, value)
		require.Equal(t, want, string(got), value)
	}
	for _, other := range []string{``, `1`, `null`, `{}`, `["a"]`} {
		_, ok := Text([]byte(other))
		require.False(t, ok, other)
	}
}

func TestValueAllocatesNothing(t *testing.T) { //nolint:paralleltest // measures allocations
	src := []byte(`{"chatId":"c","a":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, ok := Value(src, 0); !ok {
			t.Error("not valid")
		}
	}))
}

// FuzzValue checks against encoding/json, which knows a depth of 10,000.
func FuzzValue(f *testing.F) {
	for _, seed := range []string{`{"a":[1,{"b":"\ud83d"}],"c":null}`, ` [ -0.5E+7 , "é" ] `, `{"a":1,}`, `[[[[]]]`, `"\u12`, `nul`, `{"a":1,"a":{}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		if !utf8.Valid(src) || len(src) > 10_000 {
			return
		}
		require.Equal(t, json.Valid(src), isValue(string(src)))
		var members map[string]json.RawMessage
		got := map[string]string{}
		ok := Object(src, func(name, value []byte) { key, _ := Text(name); got[string(key)] = string(value) })
		if err := json.Unmarshal(src, &members); err != nil || members == nil {
			require.False(t, ok)
			return
		}
		require.True(t, ok)
		require.Len(t, got, len(members))
		for name, value := range members {
			require.Equal(t, string(value), got[name])
		}
	})
}
