package e2e

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/tools/e2e/mesh"
)

// A stock client of each transport reads, sends five messages and disconnects at once, as an app that is being closed: all
// of it counts, and only the acks are lost.
func TestStockClientLeavesRightBehindItsEvents(t *testing.T) {
	t.Parallel()
	o := mesh.StartOne(t, nil)
	node := mesh.StartNode(t)
	for name, options := range transports {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ann, bob, chat := "ann "+name, "bob "+name, "chat "+name
			o.PutChat(t, chat, ann, bob)
			other := mesh.DialPlain(t, o.Gateways[0].URL, mesh.Token(t, bob, "phone"))
			first := sent(t, other.Emit(t, "message:new", map[string]any{"chatId": chat, "encryptedContent": "hello"}))
			leaving := node.Dial(t, o.Gateways[0].URL, mesh.Token(t, ann, "phone"), options)
			events := [][]any{{"message:read", map[string]any{"chatId": chat, "messageId": first.Message.ID}}}
			for i := range 5 {
				events = append(events, []any{"message:new", map[string]any{"chatId": chat, "encryptedContent": fmt.Sprint(i)}})
			}
			leaving.Leave(t, events...)
			other.Await(t, "message:new", 5)
			for i, got := range other.Messages(t) {
				require.Equal(t, fmt.Sprint(i), got.Message.EncryptedContent)
			}
			other.Await(t, "message:read", 1)
		})
	}
}
