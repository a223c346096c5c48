package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/tools/e2e/mesh"
)

// stockOptions are the ways in which apps set up the stock client. Each is tried with each way to reach the server. Where a
// token is not in auth, the row says where it is.
var stockOptions = map[string]struct {
	token   string // where it is: auth, function, query, header
	options map[string]any
}{
	"defaults":              {"auth", nil},
	"no trailing slash":     {"auth", map[string]any{"addTrailingSlash": false}},
	"path with a slash":     {"auth", map[string]any{"path": "/socket.io/"}},
	"path without":          {"auth", map[string]any{"path": "/socket.io", "addTrailingSlash": false}},
	"subprotocol":           {"auth", map[string]any{"protocols": []string{"app"}}},
	"subprotocols":          {"auth", map[string]any{"protocols": []string{"app.v2", "app.v1", "json"}}},
	"auth function":         {"function", nil},
	"query token":           {"query", nil},
	"query that is not URL": {"query", map[string]any{"query": map[string]any{"note": "50% off; a=b&c"}}},
	"header token":          {"header", nil},
	"more headers":          {"auth", map[string]any{"extraHeaders": map[string]any{"X-App": "1", "User-Agent": "app/1"}}},
	"origin":                {"auth", map[string]any{"extraHeaders": map[string]any{"Origin": "https://app.example.org"}}},
	"opaque origin":         {"auth", map[string]any{"extraHeaders": map[string]any{"Origin": "null"}}},
	"origin of a file":      {"auth", map[string]any{"extraHeaders": map[string]any{"Origin": "file://"}}},
	"retries":               {"auth", map[string]any{"retries": 3, "ackTimeout": 30_000}},
	"with credentials":      {"auth", map[string]any{"withCredentials": true}},
	"no timestamps":         {"auth", map[string]any{"timestampRequests": false}},
	"timestamps by name":    {"auth", map[string]any{"timestampRequests": true, "timestampParam": "when"}},
	"shared manager":        {"auth", map[string]any{"forceNew": false, "multiplex": true}},
	"remembers the upgrade": {"auth", map[string]any{"rememberUpgrade": true}},
	"base64":                {"auth", map[string]any{"forceBase64": true}},
}

// stockTransports are the ways to reach the server, each with how it ends up.
var stockTransports = map[string]map[string]any{
	"websocket": {"transports": []string{"websocket"}},
	"polling":   {"transports": []string{"polling"}, "upgrade": false},
	"upgrade":   {"transports": []string{"polling", "websocket"}},
	"fallback":  {"transports": []string{"websocket", "polling"}, "tryAllTransports": true},
}

// TestStockClient is what apps rely on: the stock client set up in every way that it offers.
func TestStockClient(t *testing.T) {
	t.Parallel()
	m := mesh.Start(t, mesh.Options{Env: map[string]string{
		"CORS_ORIGIN": "https://app.example.org,null,file://", "RATE_LIMIT_MAX_CONNECTIONS": "1000",
	}})
	node := mesh.StartNode(t)
	everyOption(t, m, node)
	secondNamespace(t, m, node)
	binaryFromAnApp(t, m, node)
}

// everyOption: the stock client with each of its options connects, sends, gets its ack, and gets what another sends.
func everyOption(t *testing.T, m *mesh.Mesh, node *mesh.Node) {
	t.Helper()
	type one struct {
		name string
		user string
		*mesh.Stock
	}
	var clients []one
	users := []string{"speaker"}
	for name, row := range stockOptions {
		for transport, reach := range stockTransports {
			user := fmt.Sprintf("user-%d", len(clients))
			users = append(users, user)
			clients = append(clients, one{name: name + " by " + transport, user: user})
			token, options, auth := mesh.Token(t, user, ""), map[string]any{}, map[string]any{}
			maps.Copy(options, row.options)
			maps.Copy(options, reach)
			switch row.token {
			case "auth":
				auth["token"] = token
			case "function":
				auth["token"], options["authFunction"] = token, true
			case "query":
				query := map[string]any{"token": token}
				if more, ok := options["query"].(map[string]any); ok {
					query["note"] = more["note"]
				}
				options["query"] = query
			case "header":
				options["extraHeaders"] = map[string]any{"Authorization": "Bearer " + token}
			}
			clients[len(clients)-1].Stock = node.Open(t, m.Gateways[0].URL, auth, options)
		}
	}
	m.PutChat(t, "room", users...)
	for _, c := range clients {
		c.AwaitNote(t, "connect", 1)
		c.Await(t, "connected", 1)
		// An upgrade that came before the CONNECT shows in its note.
		if strings.HasSuffix(c.name, "by upgrade") && c.AwaitNote(t, "connect", 1).Transport != "websocket" {
			require.Equal(t, "websocket", c.AwaitNote(t, "upgrade", 1).Transport, c.name)
		}
	}
	acks := make([]<-chan json.RawMessage, len(clients))
	for i, c := range clients {
		acks[i] = c.EmitAsync(t, "chat:join", map[string]any{"chatId": "room"})
	}
	for i, c := range clients {
		require.True(t, mesh.AckOf(<-acks[i]).Success, c.name)
	}
	speaker := mesh.DialPlain(t, m.Gateways[0].URL, mesh.Token(t, "speaker", ""))
	sent(t, speaker.Emit(t, "message:new", map[string]any{"chatId": "room", "encryptedContent": "to all"}))
	for _, c := range clients {
		require.Contains(t, string(c.Await(t, "message:new", 1)[0].Data), "to all", c.name)
		require.Empty(t, c.Notes("disconnect"), c.name)
		require.Empty(t, c.Notes("connect_error"), c.name)
	}
}

// secondNamespace: a second namespace on the same connection does not exist, says so, and the first goes on.
func secondNamespace(t *testing.T, m *mesh.Mesh, node *mesh.Node) {
	t.Helper()
	for transport, reach := range stockTransports {
		options := map[string]any{"forceNew": false}
		maps.Copy(options, reach)
		root := node.Dial(t, m.Gateways[0].URL, mesh.Token(t, "ann", ""), options)
		second := node.Open(t, m.Gateways[0].URL+"/chat", map[string]any{"token": mesh.Token(t, "ann", "")}, options)
		refusal := second.AwaitNote(t, "connect_error", 1)
		require.Equal(t, "Invalid namespace", refusal.Error.Message, transport)
		require.True(t, root.Emit(t, "session:list").Success, transport)
		require.Empty(t, root.Notes("disconnect"), transport)
		root.Disconnect(t)
	}
}

// binaryFromAnApp: an app that puts a Buffer where text belongs hears of it, with the field, and the connection goes on.
func binaryFromAnApp(t *testing.T, m *mesh.Mesh, node *mesh.Node) {
	t.Helper()
	m.PutChat(t, "binary", "ann")
	for transport, reach := range stockTransports {
		c := node.Dial(t, m.Gateways[0].URL, mesh.Token(t, "ann", ""), reach)
		ack := c.Emit(t, "message:new", map[string]any{
			"chatId": "binary", "encryptedContent": "x", "metadata": map[string]any{"thumb": map[string]any{"$buffer": 100_000}},
		})
		require.False(t, ack.Success, transport)
		require.Equal(t, "INVALID_PAYLOAD", ack.Code, transport)
		var failure struct{ Field string }
		decode(t, ack.Raw, &failure)
		require.Equal(t, "metadata", failure.Field, transport)
		require.True(t, c.Emit(t, "message:new", map[string]any{"chatId": "binary", "encryptedContent": "x"}).Success, transport)
		require.Empty(t, c.Notes("disconnect"), transport)
		c.Disconnect(t)
	}
}
