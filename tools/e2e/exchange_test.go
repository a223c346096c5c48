package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/tools/e2e/mesh"
)

// transports are the three ways a stock client connects.
var transports = map[string]map[string]any{
	"websocket":         {"transports": []string{"websocket"}},
	"polling, upgrade":  {"transports": []string{"polling", "websocket"}},
	"polling only":      {"transports": []string{"polling"}},
	"defaults of stock": {},
}

// Two stock clients of every transport and two plain websockets talk in one chat; each sees all of it once, in one order,
// without an echo of its own. Edges 1, 19, 20: nobody ever calls chat:join.
func TestClientsOfEveryKindExchangeMessages(t *testing.T) {
	t.Parallel()
	for _, gateways := range []int{1, 2} {
		t.Run(fmt.Sprintf("%d gateways as separate processes", gateways), func(t *testing.T) {
			m := mesh.Start(t, mesh.Options{Gateways: gateways})
			url := func(i int) string { return m.Gateways[i%gateways].URL }
			exchange(t, url, func(users []string) { m.PutChat(t, "room", users...) })
		})
	}
}

func exchange(t *testing.T, url func(i int) string, create func(users []string)) {
	t.Helper()
	node := mesh.StartNode(t)
	type party struct {
		name string
		dial func(i int, token string) mesh.Client
	}
	var parties []party
	for name, options := range transports {
		for n := range 2 {
			parties = append(parties, party{fmt.Sprintf("%s %d", name, n), func(i int, token string) mesh.Client {
				return node.Dial(t, url(i), token, options)
			}})
		}
	}
	for n := range 2 {
		parties = append(parties, party{fmt.Sprintf("plain %d", n), func(i int, token string) mesh.Client {
			return mesh.DialPlain(t, url(i), token)
		}})
	}
	users := make([]string, len(parties))
	for i := range parties {
		users[i] = fmt.Sprintf("user-%d", i)
	}
	create(users)
	clients := make([]mesh.Client, len(parties))
	for i, p := range parties {
		clients[i] = p.dial(i, mesh.Token(t, users[i], "phone"))
	}

	for i, c := range clients {
		ack := c.Emit(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": "from " + parties[i].name, "tempId": "t-1"})
		require.True(t, ack.Success, "%s: %s", parties[i].name, ack.Raw)
	}
	for i, c := range clients {
		c.Await(t, "message:new", len(parties)-1)
		var last uint64
		for _, got := range c.Messages(t) {
			require.Greater(t, got.Message.Seq, last, "%s sees a rising order", parties[i].name)
			require.NotEqual(t, users[i], got.Message.SenderID, "%s gets no echo", parties[i].name)
			require.Empty(t, got.Message.TempID, "a tempId is for its sender only")
			require.Equal(t, "Name of "+got.Message.SenderID, got.Sender.Username)
			last = got.Message.Seq
		}
		for _, e := range c.Events("message:new") {
			require.Len(t, e.Offset, 22, "a durable event carries its offset")
		}
		require.Len(t, c.Messages(t), len(parties)-1, parties[i].name)
	}
}

// The sender's other devices get the message, the sending socket does not; each socket has a pid of its own. Edges 15, 19.
func TestOneUserWithFiveSockets(t *testing.T) {
	t.Parallel()
	m := mesh.Start(t, mesh.Options{Gateways: 2})
	m.PutChat(t, "room", "ann", "bob")
	node := mesh.StartNode(t)
	var sockets []mesh.Client
	pids := map[string]bool{}
	for i := range 4 {
		sockets = append(sockets, node.Dial(t, m.Gateways[i%2].URL, mesh.Token(t, "ann", "laptop"), nil))
	}
	sockets = append(sockets, mesh.DialPlain(t, m.Gateways[1].URL, mesh.Token(t, "ann", "phone")))
	bob := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "bob", ""))
	for _, s := range sockets {
		var hello struct{ UserID, PID string }
		s.Await(t, "connected", 1)[0].Decode(t, &hello)
		require.Equal(t, "ann", hello.UserID)
		require.NotEmpty(t, hello.PID)
		pids[hello.PID] = true
	}
	require.Len(t, pids, len(sockets), "each socket has its own pid")

	ack := sockets[2].Emit(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": "hi", "tempId": "own-1"})
	require.True(t, ack.Success, "%s", ack.Raw)
	bob.Await(t, "message:new", 1)
	for i, s := range sockets {
		if i != 2 {
			s.Await(t, "message:new", 1)
		}
	}
	require.Empty(t, sockets[2].Messages(t), "no echo to the sending socket")

	// Closing one tab changes nothing for the others.
	sockets[0].(*mesh.Stock).Disconnect(t)
	require.True(t, bob.Emit(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": "still there?"}).Success)
	for i, s := range sockets[1:] {
		s.Await(t, "message:new", map[bool]int{true: 1, false: 2}[i == 1])
	}
}

// Large content passes on the websocket, 2 MiB closes only the one who sent it. Edge 2.
func TestLargeMessages(t *testing.T) {
	t.Parallel()
	m := mesh.Start(t, mesh.Options{})
	m.PutChat(t, "room", "ann", "bob")
	node := mesh.StartNode(t)
	ann := node.Dial(t, m.Gateways[0].URL, mesh.Token(t, "ann", ""), nil)
	plain := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "ann", "second"))
	bob := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "bob", ""))

	content := strings.Repeat("x", 60<<10)
	ack := ann.Emit(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": content})
	require.True(t, ack.Success, "%.200s", ack.Raw)
	bob.Await(t, "message:new", 1)
	require.Equal(t, content, bob.Messages(t)[0].Message.EncryptedContent)

	ack = ann.Emit(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": strings.Repeat("x", 65<<10)})
	require.Equal(t, "PAYLOAD_TOO_LARGE", ack.Code)
	require.Equal(t, "encryptedContent", ack.Field)

	ann.EmitNoAck(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": strings.Repeat("x", 2<<20)})
	require.Equal(t, "transport close", ann.AwaitNote(t, "disconnect", 1).Reason)
	plain.Write(t, []byte(`{"event":"message:new","data":{"chatId":"room","encryptedContent":"`+strings.Repeat("x", 2<<20)+`"}}`))
	require.EqualValues(t, 1009, plain.CloseCode(t))
	require.True(t, bob.Emit(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": "unmoved"}).Success)
	ann.AwaitNote(t, "connect", 2)
}

// A polling POST over the limit is answered 413 and concerns nobody else. Edge 2 on polling.
func TestLargePost(t *testing.T) {
	t.Parallel()
	m := mesh.Start(t, mesh.Options{})
	node := mesh.StartNode(t)
	ann := node.Dial(t, m.Gateways[0].URL, mesh.Token(t, "ann", ""), transports["polling only"])
	ann.EmitNoAck(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": strings.Repeat("x", 2<<20)})
	ann.AwaitNote(t, "disconnect", 1)
	ann.AwaitNote(t, "connect", 2)
}
