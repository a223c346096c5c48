package e2e

import (
	"encoding/json"
	"fmt"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/tools/e2e/mesh"
)

func sent(t *testing.T, ack mesh.Ack) mesh.SentMessage {
	t.Helper()
	require.True(t, ack.Success, "%s", ack.Raw)
	var s mesh.SentMessage
	require.NoError(t, json.Unmarshal(ack.Raw, &s))
	return s
}

// The same tempId twice, ten times at once, across a gateway's and a chat's kill -9 and after Redis lost everything: one message. Edge 16.
func TestOneTempIdIsOneMessage(t *testing.T) {
	t.Parallel()
	m := mesh.Start(t, mesh.Options{Chats: 2})
	m.PutChat(t, "room", "ann", "bob")
	ann := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "ann", ""))
	bob := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "bob", ""))
	msg := map[string]any{"chatId": "room", "encryptedContent": "once", "tempId": "tmp.1"}

	first := sent(t, ann.Emit(t, "message:new", msg))
	require.False(t, first.Duplicate)
	again := sent(t, ann.Emit(t, "message:new", msg))
	require.True(t, again.Duplicate)
	require.Equal(t, first.Message, again.Message)

	var acks []<-chan json.RawMessage
	many := map[string]any{"chatId": "room", "encryptedContent": "ten at once", "tempId": "tmp.2"}
	others := []*mesh.Plain{ann, mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "ann", "second"))}
	for i := range 10 {
		acks = append(acks, others[i%2].EmitAsync(t, "message:new", many))
	}
	ids, fresh := map[string]bool{}, 0
	for _, ack := range acks {
		s := sent(t, mesh.AwaitAck(t, "message:new", ack))
		ids[s.Message.ID] = true
		if !s.Duplicate {
			fresh++
		}
	}
	require.Len(t, ids, 1)
	require.Equal(t, 1, fresh, "one of the ten stored it")

	conflict := ann.Emit(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": "other", "tempId": "tmp.1"})
	require.Equal(t, "CONFLICT", conflict.Code)
	require.NotEqual(t, first.Message.ID, sent(t, bob.Emit(t, "message:new", msg)).Message.ID, "another user's tempId is another message")

	restart := []struct {
		name string
		do   func()
	}{
		{"gateway", func() { m.Gateways[0].Kill(); m.StartGateway(t, 0) }},
		{"chat", func() {
			for i := range m.Chats {
				m.Chats[i].Kill()
				m.StartChat(t, i)
			}
		}},
		{"redis, which keeps nothing", func() { m.Redis.Kill(); m.StartRedis(t) }},
		{"everything", func() { m.KillAll(); m.StartAll(t) }},
	}
	for _, r := range restart {
		r.do()
		ann = mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "ann", ""))
		var s mesh.SentMessage
		mesh.Eventually(t, 20*seconds, "the mesh answers after a restart of "+r.name, func() bool {
			ack := ann.Emit(t, "message:new", msg)
			if !ack.Success {
				require.True(t, ack.Retryable, "after a restart of %s: %s", r.name, ack.Raw)
				return false
			}
			s = sent(t, ack)
			return true
		})
		require.True(t, s.Duplicate, "after a restart of %s", r.name)
		require.Equal(t, first.Message, s.Message, "after a restart of %s", r.name)
	}
	require.Len(t, mesh.History(t, ann, "room"), 3)
}

// A stock client with retries and a service that hangs for three seconds: one message, and receipts and typing do not block
// its queue, since everything is acked. Edge 17.
func TestStockRetriesMakeOneMessage(t *testing.T) {
	t.Parallel()
	m := mesh.Start(t, mesh.Options{})
	m.PutChat(t, "room", "ann", "bob")
	node := mesh.StartNode(t)
	ann := node.Dial(t, m.Gateways[0].URL, mesh.Token(t, "ann", ""), map[string]any{
		"transports": []string{"websocket"}, "retries": 3, "ackTimeout": 1000,
	})
	bob := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "bob", ""))
	m.Chats[0].Signal(t, syscall.SIGSTOP)
	acks := []<-chan json.RawMessage{
		ann.EmitAsync(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": "stalled", "tempId": "r-1"}),
		ann.EmitAsync(t, "message:typing", map[string]any{"chatId": "room"}),
		ann.EmitAsync(t, "message:delivered", map[string]any{"chatId": "room", "upToSeq": 1}),
		ann.EmitAsync(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": "behind it", "tempId": "r-2"}),
	}
	wait(t, 3*seconds)
	m.Chats[0].Signal(t, syscall.SIGCONT)
	for i, ack := range acks {
		mesh.AwaitAck(t, fmt.Sprint("event ", i), ack)
	}
	bob.Await(t, "message:new", 2)
	got := bob.Messages(t)
	require.Len(t, got, 2, "%v", got)
	require.Equal(t, "stalled", got[0].Message.EncryptedContent)
	require.Equal(t, "behind it", got[1].Message.EncryptedContent)
	require.Len(t, mesh.History(t, bob, "room"), 2)
}
