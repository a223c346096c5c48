package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/tools/e2e/mesh"
)

// Ten senders, fifty messages each at once, into one chat, over two gateways and two chat instances: every member sees one dense
// order, and the acks say the same. Edge 18.
func TestTenSendersSeeOneDenseOrder(t *testing.T) {
	t.Parallel()
	const senders, each = 10, 50
	m := mesh.Start(t, mesh.Options{Gateways: 2, Chats: 2})
	users := make([]string, senders)
	for i := range users {
		users[i] = fmt.Sprintf("user-%d", i)
	}
	m.PutChat(t, "room", slices.Concat(users, []string{"reader"})...)
	node := mesh.StartNode(t)
	clients := make([]mesh.Client, senders)
	for i, u := range users {
		if i%2 == 0 {
			clients[i] = node.Dial(t, m.Gateways[i/2%2].URL, mesh.Token(t, u, ""), nil)
		} else {
			clients[i] = mesh.DialPlain(t, m.Gateways[i/2%2].URL, mesh.Token(t, u, ""))
		}
	}
	reader := mesh.DialPlain(t, m.Gateways[1].URL, mesh.Token(t, "reader", ""))

	acks := make([][]<-chan json.RawMessage, senders)
	var wg sync.WaitGroup
	for i, c := range clients {
		wg.Go(func() {
			for n := range each {
				acks[i] = append(acks[i], c.EmitAsync(t, "message:new", map[string]any{
					"chatId": "room", "encryptedContent": fmt.Sprintf("%d/%d", i, n), "tempId": fmt.Sprintf("temp-%d", n),
				}))
			}
		})
	}
	wg.Wait()
	bySeq := map[uint64]string{}
	for i := range acks {
		var last uint64
		for n, ack := range acks[i] {
			got := mesh.AwaitAck(t, "message:new", ack)
			require.True(t, got.Success, "%s", got.Raw)
			var sent mesh.SentMessage
			require.NoError(t, json.Unmarshal(got.Raw, &sent))
			require.Equal(t, fmt.Sprintf("temp-%d", n), sent.Message.TempID, "the ack carries the sender's tempId")
			require.Greater(t, sent.Message.Seq, last, "one socket's events are processed in arrival order")
			last = sent.Message.Seq
			require.Empty(t, bySeq[last], "no seq twice")
			bySeq[last] = sent.Message.ID
		}
	}
	require.Len(t, bySeq, senders*each)
	reader.Await(t, "message:new", senders*each)
	for i, got := range reader.Messages(t) {
		require.EqualValues(t, i+1, got.Message.Seq, "dense from 1")
		require.Equal(t, bySeq[got.Message.Seq], got.Message.ID, "acks and events agree")
	}
	for i, c := range clients {
		c.Await(t, "message:new", (senders-1)*each)
		var last uint64
		for _, got := range c.Messages(t) {
			require.Greater(t, got.Message.Seq, last)
			require.Equal(t, bySeq[got.Message.Seq], got.Message.ID)
			require.NotEqual(t, users[i], got.Message.SenderID)
			last = got.Message.Seq
		}
	}
}
