package socketio

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPacketRoundTrip(t *testing.T) {
	t.Parallel()
	for wire, want := range map[string]Packet{
		`0`:                            {Connect, "/", NoAck, nil, 0},
		`0{"token":"123"}`:             {Connect, "/", NoAck, []byte(`{"token":"123"}`), 0},
		`0/admin,{"token":"123"}`:      {Connect, "/admin", NoAck, []byte(`{"token":"123"}`), 0},
		`0/admin,`:                     {Connect, "/admin", NoAck, nil, 0},
		`1`:                            {Disconnect, "/", NoAck, nil, 0},
		`1/admin,`:                     {Disconnect, "/admin", NoAck, nil, 0},
		`2["foo"]`:                     {EventPacket, "/", NoAck, []byte(`["foo"]`), 0},
		`2/admin,["bar"]`:              {EventPacket, "/admin", NoAck, []byte(`["bar"]`), 0},
		`212["foo"]`:                   {EventPacket, "/", 12, []byte(`["foo"]`), 0},
		`2/admin,13["bar"]`:            {EventPacket, "/admin", 13, []byte(`["bar"]`), 0},
		`24294967296["x"]`:             {EventPacket, "/", 1 << 32, []byte(`["x"]`), 0},
		`29007199254740991["x"]`:       {EventPacket, "/", MaxAckID, []byte(`["x"]`), 0},
		`313["bar"]`:                   {AckPacket, "/", 13, []byte(`["bar"]`), 0},
		`3/admin,0[]`:                  {AckPacket, "/admin", 0, []byte(`[]`), 0},
		`4{"message":"Not"}`:           {ConnectErrorPacket, "/", NoAck, []byte(`{"message":"Not"}`), 0},
		`51-["b",{"_placeholder":1}]`:  {BinaryEvent, "/", NoAck, []byte(`["b",{"_placeholder":1}]`), 1},
		`52-/admin,7["b"]`:             {BinaryEvent, "/admin", 7, []byte(`["b"]`), 2},
		`61-15[{"_placeholder":true}]`: {BinaryAck, "/", 15, []byte(`[{"_placeholder":true}]`), 1},
	} {
		got, err := Decode([]byte(wire))
		require.NoError(t, err, wire)
		require.Equal(t, want, got, wire)
		require.Equal(t, wire, string(got.Append(nil)))
	}
}

func TestDecodeWithoutComma(t *testing.T) {
	t.Parallel()
	p, err := Decode([]byte("0/custom"))
	require.NoError(t, err)
	require.Equal(t, Packet{Connect, "/custom", NoAck, nil, 0}, p)
	p, err = Decode([]byte("0/,{}"))
	require.NoError(t, err)
	require.Equal(t, Packet{Connect, "/", NoAck, []byte("{}"), 0}, p)
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	for wire, want := range map[string]error{
		"":                              errType,
		"7":                             errType,
		"abc":                           errType,
		"5":                             errAttachments,
		`5["x"]`:                        errAttachments,
		`51["x"]`:                       errAttachments,
		`5-["x"]`:                       errAttachments,
		`5-1-["x"]`:                     errAttachments,
		`51.5-["x"]`:                    errAttachments,
		`599999999999-["x"]`:            errAttachments,
		`6abc-["x"]`:                    errAttachments,
		`29007199254740992["x"]`:        errAckID,
		`299999999999999999999["x"]`:    errAckID,
		"0/" + strings.Repeat("n", 300): errNamespace,
		"2/" + strings.Repeat("n", 300) + `,["x"]`: errNamespace,
	} {
		_, err := Decode([]byte(wire))
		require.ErrorIs(t, err, want, wire)
	}
}

func TestFrames(t *testing.T) {
	t.Parallel()
	require.Equal(t, `42["x",{"a":1}]`, string(EventPayload("x", []byte(`{"a":1}`))))
	require.Equal(t, `42["x",{}]`, string(EventPayload("x", nil)), "never ends in a string")
	require.Equal(t, `42["a\"b",{}]`, string(EventPayload(`a"b`, nil)))
	require.Equal(t, `42["x",{}]`, string(EventFrame("x", nil).Payload()))
	require.Equal(t, `437[{"ok":true}]`, string(AckPayload(7, []byte(`{"ok":true}`))))
	require.Equal(t, `430[]`, string(AckPayload(0, nil)))

	durable := DurableEventFrame("x", []byte(`{"a":1}`), 77)
	require.Equal(t, `42["x",{"a":1},"position 0000000000077"]`, string(durable.AppendPayload(nil, fixed{})))
}

// fixed stamps a readable position.
type fixed struct{}

func (fixed) Stamp(dst []byte, position uint64) {
	copy(dst, "position 0000000000000")
	for i := len(dst) - 1; position > 0; i-- {
		dst[i] = '0' + byte(position%10)
		position /= 10
	}
}

func TestConnectErrorPayload(t *testing.T) {
	t.Parallel()
	require.JSONEq(t, `{"message":"Invalid namespace"}`, string(invalidNamespace.payload()))
	refusal := &ConnectError{Message: `say "no"`, Data: []byte(`{"code":"X"}`)}
	require.JSONEq(t, `{"message":"say \"no\"","data":{"code":"X"}}`, string(refusal.payload()))
	require.ErrorContains(t, refusal, `say "no"`)
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`0`, `0/admin,{"a":1}`, `1`, `2["a"]`, `2/n,12["a",{}]`, `313["b"]`, `4{"message":"x"}`, `52-/n,3["a",{"_placeholder":true,"num":0}]`,
		`610-5[]`, `5-`, `2/`, `0/,/`, `2/,`, `2999999999999`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		p, err := Decode(src)
		if err != nil || len(p.Data) > 0 && p.Data[0] == '/' { // not JSON, and read as a namespace if it comes first
			return
		}
		again, err := Decode(p.Append(nil))
		require.NoError(t, err)
		require.Equal(t, p, again)
	})
}

func BenchmarkDecodeEvent(b *testing.B) {
	small := []byte(`212["typing:start",{"chatId":"chat_01J9Z3K4M5N6P7Q8R9S0T1U2V3"}]`)
	large := []byte(`2134["message:new",{"chatId":"chat_01J9Z3K4M5N6P7Q8R9S0T1U2V3","encryptedContent":"` +
		strings.Repeat("QUJD", 40) + `","messageType":"text","tempId":"tmp_123","metadata":{"a":[1,2,3]}}]`)
	known := map[string]string{"typing:start": "typing:start", "message:new": "message:new"}
	for name, src := range map[string][]byte{"small": small, "large": large} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(src)))
			for b.Loop() {
				p, err := Decode(src)
				if err != nil {
					b.Fatal(err)
				}
				if _, err = parseEvent(p.Data, known); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEventFrame(b *testing.B) {
	data := []byte(`{"chatId":"chat_01J9Z3K4M5N6P7Q8R9S0T1U2V3","userId":"u1"}`)
	b.ReportAllocs()
	for b.Loop() {
		EventFrame("typing:start", data)
	}
}
