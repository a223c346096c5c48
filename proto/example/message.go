package example

import (
	"time"

	"supmesh.dev/proto"
)

// stored is a message as it stands in the log: it passes through as bytes.
var stored = proto.Raw(`{"message":{"id":"msg_01KK8Y8Z0G0000000A00BWY4SB","chatId":"chat-7","senderId":"alice",` +
	`"encryptedContent":"b3BhcXVl","messageType":"text","createdAt":"2026-03-09T12:30:05.000Z","status":"sent","seq":5},` +
	`"sender":{"id":"alice","username":"Alice"}}`)

// message has every field; only its sender sees the tempId.
func message(own bool) proto.Message {
	m := proto.Message{
		ID: "msg_01KK8Y8Z0G0000000A00BWY4SB", ChatID: "chat-7", SenderID: "alice",
		EncryptedContent: "b3BhcXVl <&> é\u2028", MessageType: "text", ReplyToID: "msg_01KK8Y8Z0G0000000400AVX3RA",
		Metadata:  proto.Raw(`{"width":640,"ratio":1.50,"note":"<b>"}`),
		CreatedAt: When, Status: "sent", Seq: 5, ThreadID: "msg_01KK8Y8Z0G0000000400AVX3RA",
		ForwardedFrom: forwarded(), Mentions: []string{"bob"},
		EditedAt: ptr(after(time.Minute)), DeletedAt: ptr(after(2 * time.Minute)), ExpiresAt: ptr(after(time.Hour)),
	}
	if own {
		m.TempID = "tmp:1.a_b-C"
	}
	return m
}

func sender() proto.Sender {
	return proto.Sender{ID: "alice", Username: "Alice", Avatar: "https://example.com/a.png"}
}

func forwarded() *proto.ForwardedFrom {
	return &proto.ForwardedFrom{ChatID: "chat-3", MessageID: "msg_01KK8Y8Z0G0000000100CXZ5TC", SenderID: "carol"}
}
