package plain

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"supmesh.dev/proto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSplit(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", 1000) + strings.Repeat("]", 1000)
	for in, want := range map[string]Frame{
		`{"event":"ping"}`: {Event: []byte("ping")},
		"\t{ \"event\" : \"message:new\" , \"data\" : {\"a\":[1,{\"b\":\"}\\\"\"}]} , \"ack\" : 7 }\n": {Event: []byte("message:new"), Data: []byte(`{"a":[1,{"b":"}\""}]}`), Ack: []byte("7")},
		`{"ack":"x-1","meta":{"traceparent":"y"},"event":"a"}`:                                         {Event: []byte("a"), Ack: []byte(`"x-1"`)},
		`{"event":"aé\u0042","data":null,"ack":null}`:                                                  {Event: []byte("aéB")},
		`{"event":"a","data":"text"}`:                                                                  {Event: []byte("a"), Data: []byte(`"text"`)},
		`{"event":"a","data":-1.5e3,"ack":-1}`:                                                         {Event: []byte("a"), Data: []byte("-1.5e3"), Ack: []byte("-1")},
		`{"data":[],"event":"a","x":{"event":"b"}}`:                                                    {Event: []byte("a"), Data: []byte("[]")},
		`{"event":"","x":1,"x":2}`:                                                                     {Event: []byte("")},
		`{"\u0065vent":"a","EVENT":"b"}`:                                                               {Event: []byte("a")},
		`{"event":"a","data":` + deep + `,"ack":1}`:                                                    {Event: []byte("a"), Data: []byte(deep), Ack: []byte("1")},
		`{"event":"a","data":{"b":1,"b":"\ud83d"},"ack":"\ud83d"}`:                                     {Event: []byte("a"), Data: []byte(`{"b":1,"b":"\ud83d"}`), Ack: []byte(`"\ud83d"`)},
	} {
		got, err := Split([]byte(in))
		require.NoError(t, err, in)
		require.Equal(t, want, got, in)
	}
}

func TestSplitRefuses(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"", " ", "null", "[]", `"event"`, "{", `{"event"}`, `{"event":1}`, `{"event":null}`, `{"data":{}}`, `{"event":"a","event":"b"}`,
		`{"event":"a","ack":{}}`, `{"event":"a","ack":true}`, `{"event":"a","ack":"` + strings.Repeat("x", 70) + `"}`,
		`{"event":"a"}{}`, `{"event":"a",}`, `{"event":"a" "ack":1}`, `{"event":"a","data":1,"data":1}`, `{"event":"a","ack":1,"ack":1}`,
	} {
		_, err := Split([]byte(in))
		var e *proto.Error
		require.ErrorAs(t, err, &e, in)
		require.Equal(t, proto.InvalidPayload, e.Code, in)
	}
	for in, want := range map[string]Frame{ // what can be read is known all the same
		`{"event":5,"ack":3}`:                   {Ack: []byte("3")},
		`{"ack":3,"event":"a","data":{"b":}}`:   {Ack: []byte("3"), Event: []byte("a")},
		`{"event":"a","data":{"b":1},"ack":[]}`: {Event: []byte("a"), Data: []byte(`{"b":1}`)},
		`{"event":"a","ack":1}x`:                {Event: []byte("a"), Ack: []byte("1")},
	} {
		got, err := Split([]byte(in))
		require.Error(t, err, in)
		require.Equal(t, want, got, in)
	}
}

func TestFrames(t *testing.T) {
	t.Parallel()
	require.JSONEq(t, `{"event":"a","data":{}}`, string(EventFrame("a", nil).Payload()))
	require.JSONEq(t, `{"event":"a","data":{"x":1},"offset":"0000000000000000000007"}`,
		string(DurableEventFrame("a", []byte(`{"x":1}`), 7).AppendPayload(nil, seven{})))
	require.JSONEq(t, `{"ack":"k","data":{"success":true}}`, string(AckFrame(`"k"`, []byte(`{"success":true}`)).Payload()))
}

type seven struct{}

func (seven) Stamp(dst []byte, position uint64) {
	copy(dst, strings.Repeat("0", len(dst)))
	dst[len(dst)-1] = '0' + byte(position)
}

func FuzzSplit(f *testing.F) {
	f.Add([]byte(`{"event":"a","data":{"b":[1,"\""]},"ack":1}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		if !utf8.Valid(in) {
			return // refused before it gets here
		}
		got, err := Split(in)
		if err != nil || !json.Valid(in) { // which knows a depth
			return
		}
		var want struct {
			Event string
			Data  json.RawMessage
		}
		var all map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(in, &all))
		require.NoError(t, json.Unmarshal(all["event"], &want.Event))
		require.Equal(t, want.Event, string(got.Event))
		if want.Data = all["data"]; string(want.Data) == "null" {
			want.Data = nil
		}
		require.Equal(t, string(want.Data), string(got.Data))
	})
}

func BenchmarkSplit(b *testing.B) {
	in := []byte(`{"event":"message:new","data":{"chatId":"c1","encryptedContent":"` + strings.Repeat("x", 250) + `"},"ack":12}`)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = Split(in)
	}
}
