package e2e

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/tools/e2e/mesh"
)

// A service of the next version writes fields, headers and event kinds that this version does not know: they pass through or
// are left alone, and the order goes on. Edge 56.
func TestANewerServiceBesideThisOne(t *testing.T) {
	t.Parallel()
	m := mesh.Start(t, mesh.Options{})
	m.PutChat(t, "room", "ann", "bob")
	ann := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "ann", ""))
	bob := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "bob", ""))
	sent(t, ann.Emit(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": "old", "fieldOfTheNextVersion": []int{1}}))
	bob.Await(t, "message:new", 1)

	nc, err := nats.Connect(m.NATSURL)
	require.NoError(t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	newer := func(kind proto.Kind, event, seq, body string) {
		msg := nats.NewMsg(proto.ChatLog("room", kind))
		msg.Header.Set(proto.HeaderEvent, event)
		if seq != "" {
			msg.Header.Set(proto.HeaderSeq, seq)
		}
		msg.Header.Set("Sup-Header-Of-The-Next-Version", "1")
		msg.Data = []byte(body)
		_, err := js.PublishMsg(t.Context(), msg)
		require.NoError(t, err)
	}
	newer("poll", "poll:new", "", `{"chatId":"room","question":"?"}`)
	newer(proto.KindMessage, "message:new", "2", `{"message":{"id":"msg_01JZZZZZZZZZZZZZZZZZZZZZZZ","chatId":"room","senderId":"ann","encryptedContent":"new","messageType":"text","createdAt":"2026-01-01T00:00:00.000Z","status":"sent","seq":2,"mood":"sunny"},"sender":{"id":"ann","username":"Ann"},"extra":{}}`)
	got := bob.Await(t, "message:new", 2)[1]
	require.Contains(t, string(got.Data), `"mood":"sunny"`)

	var third mesh.SentMessage
	mesh.Eventually(t, 10*time.Second, "this version goes on after the newer entry", func() bool {
		ack := ann.Emit(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": "old again", "tempId": "t-3"})
		if ack.Success {
			third = sent(t, ack)
		}
		return ack.Success
	})
	require.EqualValues(t, 3, third.Message.Seq)
	bob.Await(t, "message:new", 3)
	require.Len(t, mesh.History(t, ann, "room"), 3)
	require.Empty(t, bob.Events("error"))
}
