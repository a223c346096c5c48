package chat

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"supmesh.dev/chat/eventlog"
	"supmesh.dev/proto"
	"supmesh.dev/services/wire"
)

// drawMessage draws messages of every shape that a request and a stored entry can have.
func drawMessage(t *rapid.T) (proto.Message, proto.Sender) {
	text := rapid.String()
	when := rapid.Custom(func(t *rapid.T) proto.Timestamp {
		return proto.At(time.UnixMilli(rapid.Int64Range(0, 4102444800000).Draw(t, "ms")))
	})
	m := proto.Message{
		ID: text.Draw(t, "id"), ChatID: text.Draw(t, "chat"), SenderID: text.Draw(t, "sender"),
		EncryptedContent: text.Draw(t, "content"), MessageType: rapid.SampledFrom(proto.MessageTypes).Draw(t, "type"),
		ReplyToID: text.Draw(t, "reply"), CreatedAt: when.Draw(t, "created"), Status: "sent", TempID: text.Draw(t, "temp"),
		Seq: rapid.Uint64().Draw(t, "seq"), ThreadID: text.Draw(t, "thread"), Mentions: rapid.SliceOfN(text, 0, 3).Draw(t, "mentions"),
	}
	if rapid.Bool().Draw(t, "has metadata") {
		raw, err := wire.Marshal(rapid.MapOfN(text, rapid.Int(), 0, 3).Draw(t, "metadata"))
		require.NoError(t, err)
		m.Metadata = raw
	}
	if rapid.Bool().Draw(t, "forwarded") {
		m.ForwardedFrom = &proto.ForwardedFrom{ChatID: text.Draw(t, "f chat"), MessageID: text.Draw(t, "f id"), SenderID: text.Draw(t, "f sender")}
	}
	for _, at := range []**proto.Timestamp{&m.EditedAt, &m.DeletedAt, &m.ExpiresAt} {
		if rapid.Bool().Draw(t, "has time") {
			v := when.Draw(t, "time")
			*at = &v
		}
	}
	return m, proto.Sender{ID: text.Draw(t, "s id"), Username: text.Draw(t, "s name"), Avatar: text.Draw(t, "s avatar")}
}

func TestEncodersEqualWire(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m, s := drawMessage(t)
		want, err := wire.Marshal(proto.NewMessage{Message: m, Sender: s})
		require.NoError(t, err)
		require.Equal(t, string(want), string(appendNewMessage(nil, &m, &s)))

		ack := proto.SendMessageRes{Message: m, Sender: s, Duplicate: rapid.Bool().Draw(t, "duplicate")}
		want, err = wire.Marshal(ack)
		require.NoError(t, err)
		require.Equal(t, string(want), "{"+string((*sendRes)(&ack).AppendAck(nil))+"}")
	})
}

func TestStoredBodyIsFoundByID(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m, s := drawMessage(t)
		m.ID = messageID(m.CreatedAt.Time, m.Seq&maxSeq, [5]byte{1, 2, 3, 4, 5})
		m.SenderID = rapid.StringOfN(rapid.RuneFrom([]rune(`ab."\*> é,{}:senderId`)), 1, 40, -1).Draw(t, "sender id")
		m.ChatID = rapid.SampledFrom([]string{`c`, `,"senderId":"eve"`, `\",\"senderId\":\"eve`}).Draw(t, "chat id")
		body := appendNewMessage(nil, &m, &s)
		require.True(t, hasMessageID(body, m.ID))
		require.False(t, hasMessageID(body, m.ID[:len(m.ID)-1]))
		require.False(t, hasMessageID(body, m.ID+"x"))
		want, err := proto.EncodeID(m.SenderID)
		if err != nil {
			want = ""
		}
		require.Equal(t, want, senderIn(body))
		e := eventlog.Entry{Position: 7, Event: proto.MessageNew.Name, Seq: m.Seq, Body: body}
		if found := (said{seq: m.Seq, position: 7, id: m.ID, author: m.SenderID}); m.Seq > 0 {
			require.Equal(t, found, saidIn(e))
		}
		e.Event = "message:edited"
		require.Zero(t, saidIn(e), "what is no message has no author")
	})
}

func TestMessageID(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		at := time.UnixMilli(rapid.Int64Range(0, 1<<47).Draw(t, "ms")).UTC()
		seq := rapid.Uint64Range(0, maxSeq).Draw(t, "seq")
		var mark [5]byte
		copy(mark[:], rapid.SliceOfN(rapid.Byte(), 5, 5).Draw(t, "mark"))
		id := messageID(at, seq, mark)
		gotAt, gotSeq, ok := parseMessageID(id)
		require.True(t, ok)
		require.True(t, at.Equal(gotAt))
		require.Equal(t, seq, gotSeq)
		require.NoError(t, proto.CheckID(id))
		require.Less(t, id, messageID(at.Add(time.Millisecond), 0, [5]byte{}), "sorts by time")
		_, _, ok = parseMessageID(rapid.String().Draw(t, "other"))
		require.False(t, ok)
	})
	for _, bad := range []string{"", "msg_", "ntf_01M83E8NHH000000026QFWJGEG", "msg_01m83e8nhh000000026qfwjgeg", "msg_91M83E8NHH000000026QFWJGEG", "msg_01M83E8NHH000000026QFWJGEGX"} {
		_, _, ok := parseMessageID(bad)
		require.False(t, ok, bad)
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	base := proto.SendMessageReq{ChatID: "c", EncryptedContent: "x", TempID: "t"}
	of := func(user string, change func(*proto.SendMessageReq)) identity {
		r := base
		change(&r)
		return identify(user, &r, "request")
	}
	first := of("ann", func(*proto.SendMessageReq) {})
	require.Equal(t, first, of("ann", func(r *proto.SendMessageReq) { r.MessageType = "text"; r.Metadata = proto.Raw("null") }), "defaults are no difference")
	for what, id := range map[string]identity{
		"user":   of("bob", func(*proto.SendMessageReq) {}),
		"chat":   of("ann", func(r *proto.SendMessageReq) { r.ChatID = "d" }),
		"tempId": of("ann", func(r *proto.SendMessageReq) { r.TempID = "u" }),
		"shift":  of("annc", func(r *proto.SendMessageReq) { r.ChatID = "" }),
		"none":   of("ann", func(r *proto.SendMessageReq) { r.TempID = "" }),
		"request": func() identity {
			r := base
			r.TempID = ""
			return identify("ann", &r, "t")
		}(),
	} {
		require.NotEqual(t, first.key, id.key, what)
	}
	for what, change := range map[string]func(*proto.SendMessageReq){
		"content": func(r *proto.SendMessageReq) { r.EncryptedContent = "y" }, "type": func(r *proto.SendMessageReq) { r.MessageType = "image" },
		"reply": func(r *proto.SendMessageReq) { r.ReplyToID = "m" }, "metadata": func(r *proto.SendMessageReq) { r.Metadata = proto.Raw("{}") },
		"thread": func(r *proto.SendMessageReq) { r.ThreadID = "m" }, "ttl": func(r *proto.SendMessageReq) { r.TTLSec = new(5) },
		"forward":  func(r *proto.SendMessageReq) { r.ForwardFrom = &proto.ForwardedFrom{} },
		"mentions": func(r *proto.SendMessageReq) { r.Mentions = []string{"a"} },
	} {
		id := of("ann", change)
		require.Equal(t, first.key, id.key, what)
		require.NotEqual(t, first.content, id.content, what)
	}
}

// TestContentOfForwardsAndLists: each field of what is forwarded, and where one entry of a
// list ends and the next begins, makes another content.
func TestContentOfForwardsAndLists(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for what, change := range map[string]func(*proto.SendMessageReq){
		"nothing":            func(*proto.SendMessageReq) {},
		"forward":            func(r *proto.SendMessageReq) { r.ForwardFrom = &proto.ForwardedFrom{ChatID: "a", MessageID: "b"} },
		"of another chat":    func(r *proto.SendMessageReq) { r.ForwardFrom = &proto.ForwardedFrom{ChatID: "x", MessageID: "b"} },
		"of another message": func(r *proto.SendMessageReq) { r.ForwardFrom = &proto.ForwardedFrom{ChatID: "a", MessageID: "x"} },
		"swapped":            func(r *proto.SendMessageReq) { r.ForwardFrom = &proto.ForwardedFrom{ChatID: "b", MessageID: "a"} },
		"run together":       func(r *proto.SendMessageReq) { r.ForwardFrom = &proto.ForwardedFrom{ChatID: "ab"} },
		"with a sender": func(r *proto.SendMessageReq) {
			r.ForwardFrom = &proto.ForwardedFrom{ChatID: "a", MessageID: "b", SenderID: "c"}
		},
		"two mentions":         func(r *proto.SendMessageReq) { r.Mentions = []string{"a", "b"} },
		"another order":        func(r *proto.SendMessageReq) { r.Mentions = []string{"b", "a"} },
		"one mention":          func(r *proto.SendMessageReq) { r.Mentions = []string{"ab"} },
		"an empty one":         func(r *proto.SendMessageReq) { r.Mentions = []string{"a", "", "b"} },
		"the first of two":     func(r *proto.SendMessageReq) { r.Mentions = []string{"a"} },
		"the second of two":    func(r *proto.SendMessageReq) { r.Mentions = []string{"b"} },
		"a reply":              func(r *proto.SendMessageReq) { r.ReplyToID = "a" },
		"a thread":             func(r *proto.SendMessageReq) { r.ThreadID = "a" },
		"content of the lists": func(r *proto.SendMessageReq) { r.EncryptedContent = "xab" },
	} {
		r := proto.SendMessageReq{ChatID: "c", EncryptedContent: "x", TempID: "t"}
		change(&r)
		id := identify("ann", &r, "request")
		require.Empty(t, seen[id.content], "%s is as %s", what, seen[id.content])
		seen[id.content] = what
		require.Equal(t, id, identify("ann", &r, "another request"), "the same again is the same")
	}
}

func BenchmarkEncode(b *testing.B) {
	m := proto.Message{
		ID: messageID(time.Now(), 1, [5]byte{}), ChatID: "chat-1", SenderID: "user-1", EncryptedContent: strings.Repeat("x", 200),
		MessageType: "text", CreatedAt: proto.At(time.Now()), Status: "sent", Seq: 12345, Metadata: proto.Raw(`{"k":"v"}`),
	}
	s := proto.Sender{ID: "user-1", Username: "User One"}
	b.Run("append", func(b *testing.B) {
		var buf []byte
		for b.Loop() {
			buf = appendNewMessage(buf[:0], &m, &s)
		}
	})
	b.Run("wire", func(b *testing.B) {
		for b.Loop() {
			if _, err := wire.Marshal(proto.NewMessage{Message: m, Sender: s}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		for b.Loop() {
			if _, err := json.Marshal(proto.NewMessage{Message: m, Sender: s}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
