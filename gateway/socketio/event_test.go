package socketio

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestParseEvent(t *testing.T) {
	t.Parallel()
	for payload, want := range map[string]Event{
		`["x"]`:                    {Name: "x"},
		`["x",null]`:               {Name: "x", Args: []byte(`null`)},
		`["x",{"a":1}]`:            {Name: "x", Data: []byte(`{"a":1}`), Args: []byte(`{"a":1}`)},
		`["x",{"a":1},"more",[2]]`: {Name: "x", Data: []byte(`{"a":1}`), Args: []byte(`{"a":1},"more",[2]`)},
		"[ \"x\" ,\t{ } , 1\r\n]":  {Name: "x", Data: []byte(`{ }`), Args: []byte(`{ } , 1`)},
		`["x",false]`:              {Name: "x", Data: []byte(`false`), Args: []byte(`false`)},
		`["",1e5]`:                 {Name: "", Data: []byte(`1e5`), Args: []byte(`1e5`)},
		`["a\u0062\n",-0.5E-7]`:    {Name: "ab\n", Data: []byte(`-0.5E-7`), Args: []byte(`-0.5E-7`)},
		`["x","\ud800"]`:           {Name: "x", Data: []byte(`"\ud800"`), Args: []byte(`"\ud800"`)},
		`["x",{"a":1,"a":2}]`:      {Name: "x", Data: []byte(`{"a":1,"a":2}`), Args: []byte(`{"a":1,"a":2}`)},
		`["Connect"]`:              {Name: "Connect"},
		`["b",{"_placeholder":true,"num":0}]`: {
			Name: "b", Data: []byte(`{"_placeholder":true,"num":0}`), Args: []byte(`{"_placeholder":true,"num":0}`),
		},
	} {
		got, err := parseEvent([]byte(payload), nil)
		require.NoError(t, err, payload)
		want.AckID = NoAck
		require.Equal(t, want, got, payload)
	}
}

func TestParseEventRefuses(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", 1000)
	for payload, want := range map[string]error{
		``:                         errJSON,
		`{}`:                       errJSON,
		`"x"`:                      errJSON,
		`null`:                     errJSON,
		`[`:                        errJSON,
		`[]`:                       errEvent,
		`[1]`:                      errEvent,
		`[null,"x"]`:               errEvent,
		`[["x"]]`:                  errEvent,
		`["connect"]`:              errReserved,
		`["connect_error",{}]`:     errReserved,
		`["disconnect"]`:           errReserved,
		`["disconnecting"]`:        errReserved,
		`["newListener"]`:          errReserved,
		`["removeListener"]`:       errReserved,
		`["disc\u006fnnect"]`:      errReserved,
		`["x",]`:                   errJSON,
		`["x" 1]`:                  errJSON,
		`["x",1]]`:                 errJSON,
		`["x",{"a"}]`:              errJSON,
		`["x",{a:1}]`:              errJSON,
		`["x",{"a":1,}]`:           errJSON,
		`["x",01]`:                 errJSON,
		`["x",1.]`:                 errJSON,
		`["x",.5]`:                 errJSON,
		`["x",1e]`:                 errJSON,
		`["x",-]`:                  errJSON,
		`["x",+1]`:                 errJSON,
		`["x",NaN]`:                errJSON,
		`["x",tru]`:                errJSON,
		`["x",undefined]`:          errJSON,
		`["x","\x"]`:               errJSON,
		`["x","\u12g4"]`:           errJSON,
		`["x","\u12`:               errJSON,
		"[\"x\",\"a\nb\"]":         errJSON,
		`["x","`:                   errJSON,
		`["x\`:                     errJSON,
		`["x",` + deep + `]`:       errJSON,
		`["x",{"a":` + deep + `}]`: errJSON,
	} {
		_, err := parseEvent([]byte(payload), nil)
		require.ErrorIs(t, err, want, payload)
	}
	deep += strings.Repeat("]", 1000)
	got, err := parseEvent([]byte(`["x",`+deep+`]`), nil)
	require.NoError(t, err, "depth is judged by who decodes")
	require.Equal(t, deep, string(got.Data))
	got, err = parseEvent([]byte(`["half \ud83d",1]`), nil)
	require.NoError(t, err)
	require.Equal(t, "half \ufffd", got.Name)
}

func TestKnownNamesCostNothing(t *testing.T) { //nolint:paralleltest // measures allocations
	known := map[string]string{"message:new": "message:new"}
	payload := []byte(`["message:new",{"chatId":"c","n":[1,2,3]}]`)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, err := parseEvent(payload, known); err != nil {
			t.Error(err)
		}
	}))
}

func TestParseAck(t *testing.T) {
	t.Parallel()
	for payload, want := range map[string]Ack{
		`[]`:            {ID: 3},
		`[null]`:        {ID: 3, Args: []byte(`null`)},
		`[{"a":1}]`:     {ID: 3, Data: []byte(`{"a":1}`), Args: []byte(`{"a":1}`)},
		`[ 1 , "two" ]`: {ID: 3, Data: []byte(`1`), Args: []byte(`1 , "two"`)},
	} {
		got, err := parseAck(Packet{Type: AckPacket, AckID: 3, Data: []byte(payload)})
		require.NoError(t, err, payload)
		require.Equal(t, want, got, payload)
	}
	for _, p := range []Packet{
		{Type: AckPacket, AckID: NoAck, Data: []byte(`[]`)},
		{Type: AckPacket, AckID: 3},
		{Type: AckPacket, AckID: 3, Data: []byte(`{}`)},
		{Type: AckPacket, AckID: 3, Data: []byte(`[`)},
	} {
		_, err := parseAck(p)
		require.Error(t, err)
	}
}

func TestCheckObject(t *testing.T) {
	t.Parallel()
	require.NoError(t, checkObject([]byte(` {"a":{"b":[]}} `)))
	for _, bad := range []string{``, `null`, `[]`, `"x"`, `{`, `{}x`, `{}{}`} {
		require.ErrorIs(t, checkObject([]byte(bad)), errJSON, bad)
	}
}

// FuzzEvent checks the splitter against encoding/json: the same texts are valid, and the parts are the parts.
func FuzzEvent(f *testing.F) {
	for _, seed := range []string{
		`["x"]`, `["x",{"a":1},2]`, ` [ "a\u0062" , null ] `, `[]`, `[1]`, `{}`, `["x",[[[]]]]`, `["x","\ud83d\ude00"]`, `["x",-1.5e+3]`,
		`["x",tru]`, `["x",01]`, `["x","`, `["connect"]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		if !utf8.Valid(payload) {
			return // refused before it gets here
		}
		first, second, rest, err := splitArray(payload)
		var want []json.RawMessage
		wantErr := json.Unmarshal(payload, &want)
		if want == nil && wantErr == nil { // null
			require.Error(t, err)
			return
		}
		require.Equal(t, wantErr == nil, err == nil, "%v %v", wantErr, err)
		if err != nil {
			return
		}
		var parts [2]string
		for i := range min(len(want), 2) {
			parts[i] = string(want[i])
		}
		require.Equal(t, [2]string{string(first), string(second)}, parts)
		if len(want) > 2 {
			require.True(t, json.Valid(append(append([]byte{'['}, rest...), ']')))
		}
		_, _ = parseEvent(payload, nil)
	})
}
