package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/stretchr/testify/require"

	"supmesh.dev/tools/e2e/mesh"
)

// Everything dies by kill -9 with traffic in flight and comes back: what was acked is all there, the offline member gets what
// they missed, in order, once.
func TestTheLogSurvivesTheDeathOfEverything(t *testing.T) {
	t.Parallel()
	m := mesh.Start(t, mesh.Options{})
	m.PutChat(t, "room", "ann", "bob")
	// Bob's phone is seen once and leaves: from here on, its queue grows.
	bob := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "bob", "phone"))
	ann := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "ann", "laptop"))
	require.True(t, ann.Emit(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": "seen"}).Success)
	bob.Await(t, "message:new", 1)
	require.True(t, bob.Emit(t, "message:delivered", map[string]any{"chatId": "room", "upToSeq": 1}).Success)
	bob.Drop()

	acked := map[uint64]string{}
	for i := range 200 {
		s := sent(t, ann.Emit(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": fmt.Sprint("missed ", i), "tempId": fmt.Sprint("m-", i)}))
		acked[s.Message.Seq] = s.Message.ID
	}
	for i := range 50 { // in flight when it all ends: each may or may not be stored
		ann.EmitAsync(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": "in flight", "tempId": fmt.Sprint("f-", i)})
	}
	m.KillAll()
	m.StartAll(t)

	ann = mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "ann", "laptop"))
	all := mesh.History(t, ann, "room")
	for i, got := range all {
		require.EqualValues(t, i+1, got.Message.Seq)
		if id := acked[got.Message.Seq]; id != "" {
			require.Equal(t, id, got.Message.ID)
		}
	}
	require.GreaterOrEqual(t, len(all), 201, "what was acked is there")

	bob = mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "bob", "phone"))
	bob.Await(t, "message:new", len(all)-1)
	after := sent(t, ann.Emit(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": "and on"}))
	got := bob.Await(t, "message:new", len(all))
	require.Len(t, got, len(all))
	for i, s := range bob.Messages(t) {
		require.EqualValues(t, i+2, s.Message.Seq, "from the first missed, in order, once, then live")
	}
	require.EqualValues(t, len(all)+1, after.Message.Seq)
}

// NATS restarts under open sockets: a send meanwhile fails as retryable or succeeds late, never falsely; sockets stay; what was
// stored arrives. Then a gateway is killed while its clients send, and nothing acked is lost.
func TestSocketsOutliveNATS(t *testing.T) {
	t.Parallel()
	m := mesh.Start(t, mesh.Options{})
	m.PutChat(t, "room", "ann", "bob")
	ann := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "ann", ""))
	bob := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "bob", ""))
	require.True(t, ann.Emit(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": "before", "tempId": "b-1"}).Success)
	m.NATS.Kill()
	pending := ann.EmitAsync(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": "meanwhile", "tempId": "b-2"})
	wait(t, seconds/2)
	m.StartNATS(t)
	if ack := mesh.AwaitAck(t, "message:new", pending); !ack.Success {
		require.True(t, ack.Retryable, "%s", ack.Raw)
	}
	mesh.Eventually(t, 20*time.Second, "sends succeed again", func() bool {
		return ann.Emit(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": "meanwhile", "tempId": "b-2"}).Success
	})
	bob.Await(t, "message:new", 2)
	require.Len(t, bob.Events("connected"), 1, "the socket stayed open")
	require.Len(t, bob.Messages(t), 2)
}

// The mesh of separate processes can be seen with the stock tools of NATS.
func TestTheMeshIsVisibleInMicro(t *testing.T) {
	t.Parallel()
	m := mesh.Start(t, mesh.Options{Chats: 2})
	nc, err := nats.Connect(m.NATSURL)
	require.NoError(t, err)
	defer nc.Close()
	inbox := nc.NewRespInbox()
	replies, err := nc.SubscribeSync(inbox)
	require.NoError(t, err)
	require.NoError(t, nc.PublishRequest("$SRV.INFO.chat", inbox, nil))
	subjects := map[string]int{}
	for range 2 {
		msg, err := replies.NextMsg(30 * time.Second)
		require.NoError(t, err)
		var info micro.Info
		decode(t, msg.Data, &info)
		require.Equal(t, "chat", info.Name)
		for _, e := range info.Endpoints {
			subjects[e.Subject]++
		}
	}
	require.Equal(t, 2, subjects["rpc.chat.send"], "both instances offer it: %v", subjects)
	require.Equal(t, 2, subjects["rpc.chat.put"])
}
