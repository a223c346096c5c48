package engineio

import (
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"supmesh.dev/gateway/wsconn"
)

func TestDecodeText(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]packet{
		"4hello": {kind: packetMessage, data: []byte("hello")},
		"4":      {kind: packetMessage, data: []byte{}},
		"2probe": {kind: packetPing, data: []byte("probe")},
		"3":      {kind: packetPong, data: []byte{}},
	} {
		got, err := decodeText([]byte(src))
		require.NoError(t, err, src)
		require.Equal(t, want, got, src)
	}
	for _, src := range []string{"", "7", "a", "b", "\x1e", "\x00"} {
		_, err := decodeText([]byte(src))
		require.ErrorIs(t, err, errPacket, "%q", src)
	}
}

func decodeAll(src []byte) ([]packet, error) {
	var all []packet
	for {
		p, rest, more, err := nextPacket(src)
		if err != nil {
			return all, err
		}
		all = append(all, p)
		if !more {
			return all, nil
		}
		src = rest
	}
}

func TestPayload(t *testing.T) {
	t.Parallel()
	got, err := decodeAll([]byte("4hello\x1ebAQIDBA==\x1e4wor\x1f\x1e2"))
	require.NoError(t, err)
	require.Equal(t, []packet{
		{kind: packetMessage, data: []byte("hello")},
		{kind: packetMessage, binary: true, data: []byte{1, 2, 3, 4}},
		{kind: packetMessage, data: []byte("wor\x1f")},
		{kind: packetPing, data: []byte{}},
	}, got)

	var payload []byte
	for _, f := range []*wsconn.Frame{wsconn.Text([]byte("4hello")), wsconn.Binary([]byte{1, 2, 3, 4}), framePing} {
		payload = appendPacket(payload, f, nil)
	}
	require.Equal(t, "4hello\x1ebAQIDBA==\x1e2", string(payload))
	require.LessOrEqual(t, len(payload), encodedLen(wsconn.Text([]byte("4hello")))+encodedLen(wsconn.Binary([]byte{1, 2, 3, 4}))+2)
}

// FuzzPayload checks that no payload makes the decoder panic or run forever, and that what it understands survives a round
// trip.
func FuzzPayload(f *testing.F) {
	for _, seed := range []string{
		"4hello", "4a\x1e4b", "bAQIDBA==", "b", "", "\x1e", "4\x1e\x1e4", "b!!!", "2probe\x1e3\x1e5\x1e6\x1e1\x1e0{}", "4€\x1eb=",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		all, err := decodeAll(append([]byte(nil), payload...))
		require.LessOrEqual(t, len(all), len(payload)+1)
		if err != nil || !utf8.Valid(payload) {
			return
		}
		var again []byte
		for _, p := range all {
			frame := wsconn.Binary(p.data)
			if !p.binary {
				frame = wsconn.Text(append([]byte{p.kind}, p.data...))
			}
			again = appendPacket(again, frame, nil)
		}
		decoded, err := decodeAll(again)
		require.NoError(t, err)
		require.Len(t, decoded, len(all))
		for i := range all {
			require.Equal(t, all[i].kind, decoded[i].kind)
			require.Equal(t, all[i].binary, decoded[i].binary)
			require.Equal(t, string(all[i].data), string(decoded[i].data))
		}
	})
}
