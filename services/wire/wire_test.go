package wire_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"supmesh.dev/proto"
	"supmesh.dev/services/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func deep(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

func TestUnmarshalNamesTheField(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, in, field, message string }{
		{"string", `{"chatId":1}`, "chatId", "chatId must be a string"},
		{"null is absent", `{"chatId":null}`, "", ""},
		{"number", `{"ttlSec":"5"}`, "ttlSec", "ttlSec must be a whole number"},
		{"fraction", `{"ttlSec":5.5}`, "ttlSec", "ttlSec must be a whole number"},
		{"array", `{"mentions":{}}`, "mentions", "mentions must be an array"},
		{"element", `{"mentions":["a",2]}`, "mentions[1]", "mentions[1] must be a string"},
		{"object", `{"forwardFrom":[]}`, "forwardFrom", "forwardFrom must be an object"},
		{"inner", `{"forwardFrom":{"chatId":[]}}`, "forwardFrom.chatId", "forwardFrom.chatId must be a string"},
		{"twice", `{"chatId":"a","chatId":"b"}`, "chatId", "chatId must not stand twice"},
		{"twice in passing", `{"metadata":{"a":1,"a":2}}`, "metadata.a", "metadata.a must not stand twice"},
		{"UTF-8 in passing", "{\"metadata\":{\"a\":\"\xff\"}}", "metadata.a", "metadata.a must be valid UTF-8"},
		{"cut", `{"chatId":"a"`, "", "payload must be valid JSON"},
		{"two values", `{} {}`, "", "payload must be valid JSON"},
		{"not an object", `[1]`, "", "payload must be an object"},
		{"deep", `{"metadata":` + deep(wire.MaxDepth) + `}`, "", "nesting must be at most 32 levels"},
		{"deep enough", `{"metadata":` + deep(wire.MaxDepth-1) + `}`, "", ""},
		{"a level is given back at ]", `{"metadata":[` + strings.Repeat("[],", 2*wire.MaxDepth) + `[]]}`, "", ""},
		{"a level is given back at }", `{"metadata":[` + strings.Repeat("{},", 2*wire.MaxDepth) + `{}]}`, "", ""},
		{"a level is given back once", `{"metadata":[[],` + deep(wire.MaxDepth-1) + `]}`, "", "nesting must be at most 32 levels"},
		{"objects are levels", `{"metadata":` + strings.Repeat(`{"a":`, wire.MaxDepth) + "1" + strings.Repeat("}", wire.MaxDepth) + `}`, "", "nesting must be at most 32 levels"},
		{"a string ends at its quote", `{"chatId":"\\","metadata":` + deep(wire.MaxDepth) + `}`, "", "nesting must be at most 32 levels"},
		{"only brackets in strings", `{"chatId":"` + strings.Repeat(`[`, 100) + `"}`, "", ""},
		{"brackets in strings", `{"chatId":"` + strings.Repeat(`[\"`, 100) + `"}`, "", ""},
		{"unknown", `{"nonsense":{"a":[1]}}`, "", ""},
		{"case counts", `{"ChatID":1}`, "", ""},
		{"nothing", ``, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var req proto.SendMessageReq
			err := wire.Unmarshal([]byte(tt.in), &req)
			if tt.message == "" {
				require.NoError(t, err)
				return
			}
			var e *proto.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, proto.InvalidPayload, e.Code)
			require.Equal(t, tt.field, e.Field)
			require.Equal(t, tt.message, e.Message)
		})
	}
}

// kinds has a field of each kind that an error describes.
type kinds struct {
	Bool   bool             `json:"bool"`
	Int    int8             `json:"int"`
	Uint   uint16           `json:"uint"`
	Float  float64          `json:"float"`
	Text   *string          `json:"text"`
	List   []int            `json:"list"`
	Object map[string]int   `json:"object"`
	Struct struct{ A int }  `json:"struct"`
	Time   *proto.Timestamp `json:"time"`
}

func TestUnmarshalNamesTheType(t *testing.T) {
	t.Parallel()
	for in, message := range map[string]string{
		`{"bool":1}`:                       "bool must be true or false",
		`{"int":true}`:                     "int must be a whole number",
		`{"int":128}`:                      "int must be a whole number",
		`{"uint":"1"}`:                     "uint must be a whole number, 0 or more",
		`{"float":"1"}`:                    "float must be a number",
		`{"text":1}`:                       "text must be a string",
		`{"list":{}}`:                      "list must be an array",
		`{"list":[1,"2"]}`:                 "list[1] must be a whole number",
		`{"list":[1,1,1,1,1,1,1,1,1,"2"]}`: "list[9] must be a whole number",
		`{"list":["0"]}`:                   "list[0] must be a whole number",
		`{"object":[]}`:                    "object must be an object",
		`{"object":{"9":"x"}}`:             "object[9] must be a whole number",
		`{"object":{"9:":"x"}}`:            "object.9: must be a whole number",
		`{"object":{"/":"x"}}`:             "object./ must be a whole number",
		`{"struct":"x"}`:                   "struct must be an object",
		`{"time":"noon"}`:                  "time must be an RFC 3339 time",
	} {
		t.Run(in, func(t *testing.T) {
			var e *proto.Error
			require.ErrorAs(t, wire.Unmarshal([]byte(in), &kinds{}), &e)
			require.Equal(t, message, e.Message)
		})
	}
}

func TestALongFieldIsCut(t *testing.T) {
	t.Parallel()
	field := func(name string) string {
		var e *proto.Error
		require.ErrorAs(t, wire.Unmarshal([]byte(`{"`+name+`":1,"`+name+`":1}`), &kinds{}), &e)
		return e.Field
	}
	require.Equal(t, strings.Repeat("x", 256), field(strings.Repeat("x", 256)))
	require.Equal(t, strings.Repeat("x", 256), field(strings.Repeat("x", 257)))
	require.Equal(t, strings.Repeat("x", 255), field(strings.Repeat("x", 255)+"é"), "no half a character")
}

// A string that does not end is refused, however the bytes end.
func TestAStringWithoutAnEnd(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"", `\`, `\\`} {
		in := []byte(`{"chatId":"` + strings.Repeat("x", wire.MaxDepth) + end)
		require.ErrorIs(t, wire.Unmarshal(in, &kinds{}), &proto.Error{Code: proto.InvalidPayload})
	}
}

func TestAppendString(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": `""`, "a ~": `"a ~"`, "\x1f": `"\u001f"`, `"`: `"\""`, `\`: `"\\"`, "é": `"é"`, "a\n": `"a\n"`,
	} {
		require.Equal(t, "x"+want, string(wire.AppendString([]byte("x"), in)))
	}
}

func TestCanonical(t *testing.T) {
	t.Parallel()
	require.Equal(t, `{"a":12345678901234567890,"b":[1]}`, string(wire.Canonical([]byte(` {"b":[ 1 ],"a":12345678901234567890} `)))) //nolint:testifylint // the very bytes
	in := []byte(`{"b":`)
	require.Equal(t, string(in), string(wire.Canonical(in)), "what is not JSON stays")
}

func TestRestoreKnowsNoDepth(t *testing.T) {
	t.Parallel()
	var v proto.NewMessage
	require.NoError(t, wire.Restore([]byte(`{"message":{"metadata":{"a":`+deep(100)+`}}}`), &v))
	require.Error(t, wire.Restore([]byte(`{"message":1}`), &v))
}

func TestMarshal(t *testing.T) {
	t.Parallel()
	body, err := wire.Marshal(proto.PutChatReq{ChatID: "c", Settings: map[string]proto.Raw{"b": proto.Raw(`1`), "a": proto.Raw(`{"x":"<&>"}`)}})
	require.NoError(t, err)
	require.Equal(t, `{"chatId":"c","settings":{"a":{"x":"<&>"},"b":1}}`, string(body)) //nolint:testifylint // the very bytes: sorted, nothing escaped
	body, err = wire.Append([]byte("x"), proto.HistoryRes{ChatID: "c"})
	require.NoError(t, err)
	require.Equal(t, `x{"chatId":"c","messages":[],"lastSeq":0,"hasMore":false}`, string(body))
	_, err = wire.Marshal(map[string]proto.Raw{"a": proto.Raw("{")})
	require.Error(t, err)
}

// TestHalfSurrogates: the escape of half a pair is read as U+FFFD, in text and in what stays raw.
func TestHalfSurrogates(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`\ud83d`:              "\ufffd",
		`\uDE00`:              "\ufffd",
		`a\ud83db`:            "a\ufffdb",
		`\ud83d\ude00`:        "😀",
		`\uD83D\uDE00`:        "😀",
		`\ude00\ud83d`:        "\ufffd\ufffd",
		`\ud83d\ud83d\ude00`:  "\ufffd😀",
		`\ud83d\n`:            "\ufffd\n",
		`\ud83d\u0041`:        "\ufffdA",
		`\ud83d\\ude00`:       "\ufffd\\ude00",
		`\\ud83d`:             `\ud83d`,
		`\\\ud83d`:            "\\\ufffd",
		`\ufffd\ue000\ud7ff`:  "\ufffd\ue000\ud7ff",
		`😀\ud83d`:             "😀\ufffd",
		`\ud83d\ud83d\ud83d`:  "\ufffd\ufffd\ufffd",
		`\ud83d\u00e9\ude00z`: "\ufffdé\ufffdz",
	} {
		data := []byte(`{"encryptedContent":"` + in + `","metadata":{"` + in + `":["` + in + `"]},"unknown":"` + in + `"}`)
		before := string(data)
		var req proto.SendMessageReq
		require.NoError(t, wire.Unmarshal(data, &req), in)
		require.Equal(t, before, string(data), "the text itself is another's")
		require.Equal(t, want, req.EncryptedContent, in)
		var metadata map[string][]string
		require.NoError(t, wire.Restore(req.Metadata, &metadata), "%s: what stays raw is valid", in)
		require.Equal(t, map[string][]string{want: {want}}, metadata, in)
	}
	for _, in := range []string{`\ud83`, `\ud83g`, `\ud83d\u`, `\ud83d\`, `\u`, `\`} {
		var req proto.SendMessageReq
		require.ErrorIs(t, wire.Unmarshal([]byte(`{"encryptedContent":"`+in+`"}`), &req), &proto.Error{Code: proto.InvalidPayload}, in)
		require.Error(t, wire.Unmarshal([]byte(`{"encryptedContent":"`+in), &req), in)
	}
	require.ErrorIs(t, wire.Unmarshal([]byte(`{"a":{"\ud83d":1,"\ud83e":2}}`), &proto.SendMessageReq{}), &proto.Error{Code: proto.InvalidPayload}, "they are one name now")
	var e *proto.Error
	require.ErrorAs(t, wire.Unmarshal([]byte(`{"a":1,"a":2}`), &kinds{}), &e)
	require.Equal(t, "a must not stand twice", e.Message)
}

func FuzzAppendString(f *testing.F) {
	f.Add("plain")
	f.Add("q\"\\\n\x00\x7f é \u2028 \xff")
	f.Fuzz(func(t *testing.T, s string) {
		out := wire.AppendString(nil, s)
		var back string
		require.NoError(t, json.Unmarshal(out, &back), "%q", out)
		require.True(t, utf8.Valid(out))
		require.Len(t, out, proto.EncodedLen(s))
		if utf8.ValidString(s) {
			require.Equal(t, s, back)
		}
	})
}

// FuzzUnmarshal: whatever arrives is a value or an error for a client, and
// what is accepted the standard library accepts too.
func FuzzUnmarshal(f *testing.F) {
	f.Add([]byte(`{"chatId":"c","metadata":{"a":[1,{"b":null}]},"mentions":["x"]}`))
	f.Add([]byte(`{"a":1,"a":2}`))
	f.Add([]byte(deep(40)))
	f.Add([]byte(`{"encryptedContent":"\ud83d","metadata":{"\ude00":"\\ud83d\ud83d\ude00"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var req proto.SendMessageReq
		if err := wire.Unmarshal(data, &req); err != nil {
			var e *proto.Error
			require.ErrorAs(t, err, &e)
			require.True(t, utf8.ValidString(e.Field) && utf8.ValidString(e.Message))
			require.LessOrEqual(t, len(e.Field), 256)
			return
		}
		require.True(t, len(data) == 0 || json.Valid(data))
		require.True(t, utf8.Valid(data))
		_, err := wire.Marshal(req)
		require.NoError(t, err, "what was taken can be stored")
	})
}

func BenchmarkUnmarshal(b *testing.B) {
	body := []byte(`{"chatId":"c1","encryptedContent":"0123456789012345678901234567890123456789012345678901234567890123456789","messageType":"text","tempId":"t-123456","metadata":{"a":1}}`)
	b.ReportAllocs()
	for b.Loop() {
		var req proto.SendMessageReq
		if err := wire.Unmarshal(body, &req); err != nil {
			b.Fatal(err)
		}
	}
}

func TestCanonicalIsOneSpelling(t *testing.T) {
	t.Parallel()
	want := `{"a":[1,2.5,"é"],"b":12345678901234567890}`
	for _, data := range []string{want, ` { "b" : 12345678901234567890, "a":[ 1,2.50 , "\u00e9"]} `} {
		require.Equal(t, want, string(wire.Canonical([]byte(data))))
	}
	require.NotEqual(t, want, string(wire.Canonical([]byte(`{"a":[2.5,1,"é"],"b":12345678901234567890}`))), "order in a list counts")
	require.Equal(t, "{", string(wire.Canonical([]byte("{"))))
}

func TestCompact(t *testing.T) {
	t.Parallel()
	require.Equal(t, `{"b":"A<é\u0001\"","a":[1,2.50,12345678901234567890]}`, //nolint:testifylint // the very bytes
		string(wire.Compact([]byte(` { "b" : "\u0041\u003c\u00e9\u0001\"", "a":[ 1, 2.50,12345678901234567890]} `))))
	require.Equal(t, `{"a"`, string(wire.Compact([]byte(`{"a"`))))
}

func TestLargest(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]string{
		`{"a":1,"long":{"x":"yyyyyyyyyy"},"c":"zz"}`: "long", `{}`: "", `[1]`: "", `{"a"`: "", ``: "",
		`{"` + strings.Repeat("n", 200) + `":1}`: "",
	} {
		require.Equal(t, want, wire.Largest([]byte(data)), data)
	}
}

// TestEncodedLen: what proto counts is what is written.
func TestEncodedLen(t *testing.T) {
	t.Parallel()
	for c := range rune(0x3000) {
		s := "a" + string(c) + "b"
		require.Len(t, wire.AppendString(nil, s), proto.EncodedLen(s), "%q", s)
	}
	for _, s := range []string{"", "\xff", "\xf0\x9f\x98", "😀", "a\xc3", "\xed\xa0\xbd"} {
		require.Len(t, wire.AppendString(nil, s), proto.EncodedLen(s), "%q", s)
	}
}
