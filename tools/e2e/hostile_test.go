package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/tools/e2e/mesh"
)

// Malformed input of every kind: a clean error or a close, never a panic, and the neighbours carry on. Edge 57.
func TestMalformedInput(t *testing.T) {
	t.Parallel()
	m := mesh.Start(t, mesh.Options{})
	m.PutChat(t, "room", "ann", "bob")
	bob := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "bob", ""))
	send := func(payload string) string { return `421["message:new",` + payload + `]` }
	deep := strings.Repeat("[", 1000) + strings.Repeat("]", 1000)

	acked := map[string]struct{ frame, code, field string }{
		"wrong type":       {send(`{"chatId":7,"encryptedContent":"x"}`), "INVALID_PAYLOAD", "chatId"},
		"null payload":     {send(`null`), "INVALID_PAYLOAD", "chatId"},
		"no payload":       {`421["message:new"]`, "INVALID_PAYLOAD", "chatId"},
		"array payload":    {send(`[1]`), "INVALID_PAYLOAD", ""},
		"missing field":    {send(`{"chatId":"room"}`), "INVALID_PAYLOAD", "encryptedContent"},
		"empty id":         {send(`{"chatId":"","encryptedContent":"x"}`), "INVALID_PAYLOAD", "chatId"},
		"long id":          {send(`{"chatId":"` + strings.Repeat("i", 5000) + `","encryptedContent":"x"}`), "INVALID_PAYLOAD", "chatId"},
		"bad tempId":       {send(`{"chatId":"room","encryptedContent":"x","tempId":"a b"}`), "INVALID_PAYLOAD", "tempId"},
		"bad type":         {send(`{"chatId":"room","encryptedContent":"x","messageType":"smell"}`), "INVALID_PAYLOAD", "messageType"},
		"bad metadata":     {send(`{"chatId":"room","encryptedContent":"x","metadata":[1]}`), "INVALID_PAYLOAD", "metadata"},
		"large metadata":   {send(`{"chatId":"room","encryptedContent":"x","metadata":{"a":"` + strings.Repeat("m", 9<<10) + `"}}`), "PAYLOAD_TOO_LARGE", "metadata"},
		"duplicate key":    {send(`{"chatId":"room","chatId":"other","encryptedContent":"x"}`), "INVALID_PAYLOAD", ""},
		"deep nesting":     {send(deep), "INVALID_PAYLOAD", ""},
		"deep metadata":    {send(`{"chatId":"room","encryptedContent":"x","metadata":{"a":` + deep + `}}`), "INVALID_PAYLOAD", ""},
		"half an emoji id": {send(`{"chatId":"\ud83d","encryptedContent":"x"}`), "INVALID_PAYLOAD", "chatId"},
		"unknown event":    {`421["no:such",{}]`, "UNKNOWN_EVENT", ""},
		"event of backend": {`421["rpc.chat.put",{}]`, "UNKNOWN_EVENT", ""},
	}
	wire := mesh.DialWire(t, m.Gateways[0].URL)
	wire.Login(t, mesh.Token(t, "ann", ""))
	for name, c := range acked {
		wire.Write(t, c.frame)
		got := wire.Next(t)
		require.True(t, strings.HasPrefix(got, "431[{"), "%s: %s", name, got)
		require.Contains(t, got, `"code":"`+c.code+`"`, name)
		if c.field != "" {
			require.Contains(t, got, `"field":"`+c.field+`"`, name)
		}
	}
	// The same socket, after all that.
	wire.Write(t, send(`{"chatId":"room","encryptedContent":"fine","unknownField":{"a":[1,2]}}`))
	require.Contains(t, wire.Next(t), `"success":true`)

	closing := map[string]string{
		"not json":           `42{`,
		"not an array":       `42{"a":1}`,
		"empty array":        `42[]`,
		"name not a string":  `42[1,{}]`,
		"reserved name":      `42["disconnect"]`,
		"reserved connect":   `42["connect_error",{}]`,
		"unknown type":       `49[]`,
		"eleven attachments": `4511-["message:new",{"_placeholder":true,"num":0}]`,
		"nesting unclosed":   `42["message:new",` + deep[:1000] + `]`,
		"invalid utf-8":      "42[\"message:new\",\"\xff\"]",
		"huge ack id":        `42999999999999999999["message:new",{}]`,
		"unknown packet":     `9`,
	}
	for name, frame := range closing {
		w := mesh.DialWire(t, m.Gateways[0].URL)
		w.Login(t, mesh.Token(t, "ann", ""))
		w.Write(t, frame)
		w.AwaitClose(t)
		t.Log("closed as it should:", name)
	}

	w := mesh.DialWire(t, m.Gateways[0].URL)
	w.Write(t, `40/admin,{"token":"x"}`)
	require.Equal(t, `44/admin,{"message":"Invalid namespace"}`, w.Next(t))

	for frame, code := range map[string]int{"{": 4500, `{"data":{}}`: 4500, "[]": 4500} {
		p := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "ann", ""))
		for range 25 { // each is an error to this socket alone; over 20 a minute close it
			p.TryWrite([]byte(frame))
		}
		require.EqualValues(t, code, p.CloseCode(t), "frame %s", frame)
		require.NotEmpty(t, p.Events("error"))
	}
	binary := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "ann", ""))
	binary.WriteBinary(t, []byte("x"))
	require.EqualValues(t, 1003, binary.CloseCode(t))

	require.Len(t, bob.Await(t, "message:new", 1), 1, "only the good message was stored")
	require.True(t, bob.Emit(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": "unmoved"}).Success)
	require.Len(t, mesh.History(t, bob, "room"), 2)
}

// Text that an app has cut in the middle of an emoji is taken, edited, found again and read by every client, as U+FFFD in
// place of the half; the same tempId again is the same message.
func TestHalfAnEmojiIsTaken(t *testing.T) {
	t.Parallel()
	o := mesh.StartOne(t, nil)
	o.PutChat(t, "room", "ann", "bob", "cat")
	url := o.Gateways[0].URL
	bob := mesh.DialPlain(t, url, mesh.Token(t, "bob", ""))
	clients := map[string]mesh.Client{
		"ann": mesh.StartNode(t).Dial(t, url, mesh.Token(t, "ann", ""), nil),
		"cat": mesh.DialPlain(t, url, mesh.Token(t, "cat", "")),
	}
	n := 0
	for name, c := range clients {
		// A raw message keeps the escape that JSON.stringify makes of a half.
		body := json.RawMessage(`{"chatId":"room","encryptedContent":"cut \ud83d","metadata":{"\ud83d":["\ude00"]},"tempId":"t-1"}`)
		ack := c.Emit(t, "message:new", body)
		first := sent(t, ack)
		require.Equal(t, "cut \ufffd", first.Message.EncryptedContent, name)
		var stored struct {
			Message struct{ Metadata map[string][]string }
		}
		require.NoError(t, json.Unmarshal(ack.Raw, &stored), name)
		require.Equal(t, map[string][]string{"\ufffd": {"\ufffd"}}, stored.Message.Metadata, name)
		again := sent(t, c.Emit(t, "message:new", body))
		require.True(t, again.Duplicate, name)
		n++
		got := bob.Await(t, "message:new", n)
		require.Contains(t, string(got[n-1].Data), "cut \ufffd", name)
		edit := json.RawMessage(`{"chatId":"room","messageId":"` + first.Message.ID + `","encryptedContent":"\ude00 cut"}`)
		require.True(t, c.Emit(t, "message:edit", edit).Success, name)
		bob.Await(t, "message:edited", n)
	}
	for _, s := range mesh.History(t, bob, "room") {
		require.Equal(t, "\ufffd cut", s.Message.EncryptedContent)
	}
}

// Without an ack id, a failure goes to its own socket as an error event that names the message.
func TestErrorEvents(t *testing.T) {
	t.Parallel()
	m := mesh.Start(t, mesh.Options{})
	m.PutChat(t, "room", "ann", "bob")
	node := mesh.StartNode(t)
	ann := node.Dial(t, m.Gateways[0].URL, mesh.Token(t, "ann", ""), nil)
	bob := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "bob", ""))
	ann.EmitNoAck(t, "message:new", map[string]any{"chatId": "room", "tempId": "t-9"})
	var e struct{ Code, Event, Message, TempID, RequestID string }
	ann.Await(t, "error", 1)[0].Decode(t, &e)
	require.Equal(t, "INVALID_PAYLOAD", e.Code)
	require.Equal(t, "message:new", e.Event)
	require.Equal(t, "t-9", e.TempID)
	require.Len(t, e.RequestID, 32)
	require.Empty(t, bob.Events("error"))
}

// Ids that mean something to NATS, Redis or a log: each user gets what is theirs and nothing else. Edge 58.
func TestIdsThatMeanSomethingElsewhere(t *testing.T) {
	t.Parallel()
	m := mesh.Start(t, mesh.Options{})
	ids := []string{"a.b", "*", ">", "a b", "a.*", "live.>", "{x}", "a:b", "%2e", "=YS5i", "ünï", "😀", strings.Repeat("z", 128)}
	clients := map[string]*mesh.Plain{}
	for _, id := range ids {
		clients[id] = mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, id, ""))
		m.PutChat(t, id, id, "writer")
	}
	writer := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "writer", ""))
	for _, id := range ids {
		s := sent(t, writer.Emit(t, "message:new", map[string]any{"chatId": id, "encryptedContent": "for " + id}))
		require.EqualValues(t, 1, s.Message.Seq, "chat %q has its own order", id)
	}
	for id, c := range clients {
		c.Await(t, "message:new", 1)
		got := c.Messages(t)
		require.Len(t, got, 1, "user %q", id)
		require.Equal(t, "for "+id, got[0].Message.EncryptedContent)
		require.Equal(t, id, got[0].Message.ChatID)
	}
	for _, id := range []string{"", strings.Repeat("z", 129), "a\nb", "a\x00b"} {
		ack := writer.Emit(t, "message:new", map[string]any{"chatId": id, "encryptedContent": "x"})
		require.Equal(t, "INVALID_PAYLOAD", ack.Code, "%q", id)
		require.Equal(t, "chatId", ack.Field, "%q", id)
	}
}
