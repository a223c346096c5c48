package proto_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

func TestActorHeader(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		actor  proto.Actor
		header string
	}{
		{"client", proto.Actor{User: "alice", Device: "phone", Socket: "s1", Gateway: "gw1", Name: "Alice", Avatar: "https://x/a.png"}, "client alice phone s1 gw1 Alice https://x/a.png"},
		{"backend", proto.Actor{Backend: true}, "backend - - - - - -"},
		{"spaces and percent", proto.Actor{User: "a b", Name: "100 % Ä"}, "client a%20b - - - 100%20%25%20%C3%84 -"},
		{"a field that looks empty", proto.Actor{User: "-"}, "client %2D - - - - -"},
		{"line break", proto.Actor{User: "u", Name: "a\r\nSup-Actor: backend"}, "client u - - - a%0D%0ASup-Actor:%20backend -"},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.header, c.actor.Header())
			got, err := proto.ParseActor(c.header)
			require.NoError(t, err)
			require.Equal(t, c.actor, got)
		})
	}
}

func TestParseActorRefuses(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]string{
		"empty":        "",
		"six fields":   "client a b c d e",
		"eight fields": "client a b c d e f g",
		"empty field":  "client a  c d e f",
		"unknown role": "root a b c d e f",
		"cut escape":   "client a%2 b c d e f",
		"bare percent": "client a% b c d e f",
		"lower case":   "client a%c3 b c d e f",
		"bad escape":   "client a%GG b c d e f",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := proto.ParseActor(header)
			require.Error(t, err)
		})
	}
}

func FuzzActorHeader(f *testing.F) {
	f.Add("alice", "phone", "s1", "gw1", "Alice B", "https://x/é?a=%20", false)
	f.Add("", "", "", "", "\r\n", "\x00\xff", true)
	f.Fuzz(func(t *testing.T, user, device, socket, gateway, name, avatar string, backend bool) {
		a := proto.Actor{User: user, Device: device, Socket: socket, Gateway: gateway, Name: name, Avatar: avatar, Backend: backend}
		h := a.Header()
		require.Equal(t, strings.TrimSpace(h), h, "NATS trims header values")
		require.Equal(t, -1, strings.IndexFunc(h, func(r rune) bool { return r < ' ' || r > '~' }), "header %q", h)
		got, err := proto.ParseActor(h)
		require.NoError(t, err)
		require.Equal(t, a, got)
	})
}

func FuzzParseActor(f *testing.F) {
	f.Add("client alice phone s1 gw1 Alice https://x/a.png")
	f.Add("backend - - - - - -")
	f.Add("client %25%2 b c d e f")
	f.Fuzz(func(t *testing.T, header string) {
		a, err := proto.ParseActor(header)
		if err != nil {
			return
		}
		again, err := proto.ParseActor(a.Header())
		require.NoError(t, err)
		require.Equal(t, a, again)
	})
}
