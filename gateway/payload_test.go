package gateway

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

// nested is a message whose metadata brings the payload to that many levels.
func nested(levels int) string {
	inner := strings.Repeat("[", levels-2) + strings.Repeat("]", levels-2)
	return `{"chatId":"c1","encryptedContent":"x","tempId":"t.1","metadata":{"a":` + inner + `}}`
}

// payloads are valid JSON of every kind that one of the two profiles has judged otherwise.
var payloads = map[string]struct{ text, field string }{
	"a name twice":               {`{"chatId":"c1","tempId":"t.1","encryptedContent":"a","encryptedContent":"b"}`, "encryptedContent"},
	"a name twice, in metadata":  {`{"chatId":"c1","encryptedContent":"x","tempId":"t.1","metadata":{"a":1,"a":2}}`, "metadata.a"},
	"a name twice, unknown":      {`{"chatId":"c1","encryptedContent":"x","tempId":"t.1","x":1,"x":2}`, "x"},
	"33 levels":                  {nested(33), ""},
	"65 levels":                  {nested(65), ""},
	"5,000 levels":               {nested(5000), ""},
	"a wrong type":               {`{"chatId":1,"tempId":"t.1"}`, "chatId"},
	"a chat of half an emoji":    {`{"chatId":"\ud83d","encryptedContent":"x","tempId":"t.1"}`, "chatId"},
	"two halves the wrong way":   {`{"chatId":"\ude00\ud83d","encryptedContent":"x","tempId":"t.1"}`, "chatId"},
	"a name that is half twice":  {`{"chatId":"c1","encryptedContent":"x","tempId":"t.1","metadata":{"\ud83d":1,"\ud83e":2}}`, "metadata.\ufffd"},
	"text in place of an object": {`"t.1"`, ""},
}

// TestRefusedPayloads: what is refused is answered in both profiles alike, with the ack id
// or with an error that names the event and the message, and however often it is repeated
// the connection stays.
func TestRefusedPayloads(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.chat.add("c1", "ann")
	for _, c := range []*client{m.socketIO("ann", ""), m.plain("ann", "")} {
		for range 3 { // 33 in all, more than the strikes of a minute
			for name, p := range payloads {
				g := c.ask("message:new", p.text)
				require.Equal(t, proto.InvalidPayload, g.code(t), name)
				var f proto.Failure
				g.into(t, &f)
				require.Equal(t, p.field, f.Field, name)

				c.emitOnly("message:new", p.text)
				g = c.next()
				require.Equal(t, "error", g.event, name)
				var e proto.ErrorEvent
				g.into(t, &e)
				require.Equal(t, "message:new", e.Event, name)
				require.Equal(t, p.field, e.Field, name)
				if p.text[0] == '{' {
					require.Equal(t, "t.1", e.TempID, name)
				}
			}
		}
		c.emitOnly("no:such", `{"tempId":"t.2","x":1,"x":2}`)
		g := c.next()
		require.JSONEq(t, `"t.2"`, field(t, g.data, "tempId"))
		c.quiet()
	}
}

// TestFramesThatAreNone: what can be read of a malformed frame is answered.
func TestFramesThatAreNone(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	c := m.plain("ann", "")
	for frame, want := range map[string]struct{ ack, event, tempID string }{
		`{"event":5,"ack":3}`: {"3", "", ""},
		`{"ack":3,"event":"message:new","data":{"tempId":"t.1"},"data":{}}`:            {"3", "", ""},
		`{"ack":4,"event":"message:new","data":{"a":}}`:                                {"4", "", ""},
		`{"event":"message:new","data":{"tempId":"t.1"},"ack":{}}`:                     {"", "message:new", "t.1"},
		`{"event":"message:new","data":{"tempId":"t.1"},"ack":1,"ack":1}`:              {"", "message:new", "t.1"},
		`{"event":"message:new","data":{"tempId":"t.1"},"data":{"tempId":"t.1"}}`:      {"", "message:new", "t.1"},
		`{"event":"message:new","data":{"tempId":"t.1"}} and more`:                     {"", "message:new", "t.1"},
		`{"event":"` + strings.Repeat("n", 200) + `","event":"x","data":{"tempId":1}}`: {"", "", ""},
	} {
		c.write(frame)
		g := c.next()
		require.Equal(t, proto.InvalidPayload, g.code(t), frame)
		require.Equal(t, want.ack, g.ack, frame)
		if want.ack != "" {
			continue
		}
		var e proto.ErrorEvent
		g.into(t, &e)
		require.Equal(t, want.event, e.Event, frame)
		require.Equal(t, want.tempID, e.TempID, frame)
	}
	c.write(`{"event":"` + strings.Repeat("n", 200) + `","ack":"\ud83d"}`)
	g := c.next()
	require.Equal(t, proto.UnknownEvent, g.code(t), "a long name is a name")
	require.Equal(t, `"\ud83d"`, g.ack, "an ack id goes back as it came")
}

// TestHalfAnEmoji: content and metadata that an app has cut are taken, and every receiver
// gets U+FFFD in place of the half.
func TestHalfAnEmoji(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.chat.add("c1", "ann", "bob")
	bob := m.plain("bob", "")
	var metadata proto.Raw
	m.chat.with(func() {
		m.chat.judge = func(r *proto.SendMessageReq) error {
			m.chat.with(func() { metadata = r.Metadata })
			return nil
		}
	})
	for _, connect := range []func(string, string) *client{m.socketIO, m.plain} {
		c := connect("ann", "")
		g := c.ask("message:new", `{"chatId":"c1","encryptedContent":"cut \ud83d","metadata":{"a":["\ude00","\\ud83d","\ud83d\ude00"]},"x":"\udead"}`)
		require.Equal(t, "true", field(t, g.data, "success"), "%s", g.data)
		text, _ := bob.message()
		require.Equal(t, "cut \ufffd", text)
		var got string
		m.chat.with(func() { got = string(metadata) })
		require.JSONEq(t, `{"a":["\ufffd","\\ud83d","😀"]}`, got)
		_ = c.conn.CloseNow() // the next one would get a copy
	}
}

// TestProfilesAgree: the same payload is the same request, or the same error, in both
// profiles; so are payloads with a byte changed, as long as they are JSON.
func TestProfilesAgree(t *testing.T) {
	t.Parallel()
	var seeds []string
	for _, p := range payloads {
		seeds = append(seeds, p.text)
	}
	for _, levels := range []int{2, 3, 30, 31, 32, 34, 63, 64, 66, 256, 257, 1000} {
		seeds = append(seeds, nested(levels))
	}
	seeds = append(seeds,
		"null", "{}", " { } ", "[]", "1", `"x"`, "true", "-0.5E-7", `{"chatId":null}`, `{"\u0063hatId":"c1","encryptedContent":"\u0000"}`,
		`{"chatId":"c1","encryptedContent":"a\ud83db","metadata":{"a":"\ud83d\ud83d\ude00"}}`, `{"chatId":"c1","encryptedContent":"x","ttlSec":1e400}`,
	)
	m := runMesh(t)
	var taken []proto.SendMessageReq
	m.chat.with(func() {
		m.chat.judge = func(r *proto.SendMessageReq) error {
			m.chat.with(func() { taken = append(taken, *r) })
			return proto.Errorf(proto.PermissionDenied, "taken")
		}
	})
	clients := [profiles]*client{m.socketIO("ann", "a"), m.plain("ann", "b")}
	agree := func(payload string) {
		if !utf8.ValidString(payload) || !json.Valid([]byte(payload)) {
			return
		}
		m.chat.with(func() { taken = nil })
		var failures [profiles]proto.Failure
		for i, c := range clients {
			g := c.ask("message:new", payload)
			g.into(t, &failures[i])
			failures[i].RequestID = ""
		}
		require.Equal(t, failures[profileSocketIO], failures[profilePlain], payload)
		if failures[0].Code != proto.PermissionDenied {
			return
		}
		var both []proto.SendMessageReq
		m.chat.with(func() { both = taken })
		require.Len(t, both, profiles)
		require.Equal(t, both[0], both[1], payload)
	}
	const bytes = `{}[]",:\ud8d0e1 nt`
	for _, seed := range seeds {
		agree(seed)
		for range 30 {
			changed := []byte(seed)
			changed[rand.N(len(changed))] = bytes[rand.N(len(bytes))]
			agree(string(changed))
		}
	}
}
