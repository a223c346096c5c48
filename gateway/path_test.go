package gateway

import (
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

func TestSendAndFanOut(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	m.chat.add("c1", "ann", "bob", "cat")
	ann, bob, bob2 := m.socketIO("ann", "phone"), m.socketIO("bob", "laptop"), m.plain("bob", "phone")
	stranger := m.plain("eve", "")
	require.Equal(t, "ann", ann.hello.UserID)
	require.Equal(t, "phone", ann.hello.DeviceID)
	require.Contains(t, ann.hello.Features, "message:new")
	require.Equal(t, 100000, ann.hello.Limits["message:new"].Limit)
	require.Empty(t, stranger.hello.DeviceID)

	send := func(c *client, seq uint64) {
		g := c.ask("message:new", `{"chatId":"c1","encryptedContent":"hello","tempId":"t1"}`)
		var ack struct {
			Success   bool `json:"success"`
			Message   proto.Message
			Sender    proto.Sender
			RequestID string `json:"requestId"`
		}
		g.into(t, &ack)
		require.True(t, ack.Success, "%s", g.data)
		require.Equal(t, seq, ack.Message.Seq)
		require.Equal(t, "t1", ack.Message.TempID)
		require.Equal(t, c.hello.UserID, ack.Sender.ID)
		require.Len(t, ack.RequestID, 32)
	}
	send(ann, 1)
	for _, c := range []*client{bob, bob2} {
		text, seq := c.message()
		require.Equal(t, "hello", text)
		require.EqualValues(t, 1, seq)
	}
	send(bob2, 2)
	for _, c := range []*client{ann, bob} {
		_, seq := c.message()
		require.EqualValues(t, 2, seq)
	}
	for _, c := range []*client{ann, bob, bob2, stranger} {
		c.quiet()
	}
}
