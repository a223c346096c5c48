package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
	"supmesh.dev/proto/schema"
)

const adminToken = "admin-token-of-the-tests"

// backend makes requests of a gateway's admin API.
type backend struct {
	t      *testing.T
	addr   string
	client http.Client
}

func (m *mesh) backend(t *testing.T) *backend {
	t.Helper()
	addr, err := m.svc.AdminAddr(t.Context())
	require.NoError(t, err)
	b := &backend{t: t, addr: addr, client: http.Client{
		Transport: &http.Transport{}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	t.Cleanup(b.client.CloseIdleConnections)
	return b
}

// call makes one request; headers in pairs replace the token's or add to it.
func (b *backend) call(method, path, body string, header ...string) (*http.Response, json.RawMessage) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, "http://"+b.addr+path, strings.NewReader(body))
	require.NoError(b.t, err)
	req.Header.Set("Authorization", "Bearer "+adminToken)
	for i := 0; i < len(header); i += 2 {
		if i > 0 && header[i] == header[i-2] {
			req.Header.Add(header[i], header[i+1])
		} else {
			req.Header.Set(header[i], header[i+1])
		}
	}
	res, err := b.client.Do(req)
	require.NoError(b.t, err)
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	require.NoError(b.t, err)
	require.Equal(b.t, "application/json", res.Header.Get("Content-Type"))
	return res, bytes.TrimSpace(data)
}

func TestAdmin(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	b := m.backend(t)
	ann := m.plain("ann", "")

	res, body := b.call("PUT", "/v1/chats/c%2F1", `{"chatId":"other","members":[{"userId":"ann"}],"unknown":{"a":[1]}}`, "Idempotency-Key", "key-1")
	require.Equal(t, http.StatusOK, res.StatusCode, "%s", body)
	require.Equal(t, `"c/1"`, field(t, body, "chatId"), "the path wins")
	require.Equal(t, `"key-1"`, field(t, body, "name"), "the key is handed on")
	require.Equal(t, "true", field(t, body, "success"))
	require.Empty(t, res.Header.Get("Idempotency-Replayed"))
	ann.joined("ann")

	res, body = b.call("GET", "/v1/chats/c%2F1?cursor=ann&limit=7&unknown=1", "")
	require.Equal(t, http.StatusOK, res.StatusCode, "%s", body)
	require.Equal(t, "1", field(t, body, "memberCount"))
	require.Equal(t, `"ann 7"`, field(t, body, "name"), "the query is part of the request")
	res, body = b.call("DELETE", "/v1/chats/c%2F1/members/ann?reason=banned", `{"reason":"left","userId":"bob"}`)
	require.Equal(t, http.StatusOK, res.StatusCode, "%s", body)
	require.Equal(t, `"c/1 ann banned"`, field(t, body, "chatId"), "path over query over body")
	res, body = b.call("DELETE", "/v1/chats/%2E%2E/members/%C3%A9", "")
	require.Equal(t, http.StatusOK, res.StatusCode, "%s", body)
	require.Equal(t, `".. é "`, field(t, body, "chatId"))
}

func TestAdminRefusals(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	b := m.backend(t)
	const noToken, badToken = `Bearer realm="admin"`, `Bearer realm="admin", error="invalid_token"`
	for _, row := range []struct {
		method, path, body string
		status             int
		code               proto.Code
		want               string // field, Allow or WWW-Authenticate
		header             []string
	}{
		{"GET", "/v1/chats/none", "", 404, proto.ChatNotFound, "", nil},
		{"PUT", "/v1/chats/c1", "[]", 400, proto.InvalidPayload, "", nil},
		{"PUT", "/v1/chats/c1", "{", 400, proto.InvalidPayload, "", nil},
		{"PUT", "/v1/chats/c1", `{"a":1,"a":2}`, 400, proto.InvalidPayload, "a", nil},
		{"PUT", "/v1/chats/c1", `{"name":5}`, 400, proto.InvalidPayload, "name", nil},
		{"PUT", "/v1/chats/c1", `{"name":"` + strings.Repeat("x", 257) + `"}`, 413, proto.PayloadTooLarge, "name", nil},
		{"PUT", "/v1/chats/c1", `{"members":[{"userId":"a","role":"king"}]}`, 400, proto.InvalidPayload, "members.role", nil},
		{"PUT", "/v1/chats/c1", `{"members":[{"role":"owner"}]}`, 400, proto.InvalidPayload, "members.userId", nil},
		{"PUT", "/v1/chats/" + strings.Repeat("c", 129), "{}", 400, proto.InvalidPayload, "chatId", nil},
		{"PUT", "/v1/chats/%FF", "{}", 400, proto.InvalidPayload, "chatId", nil},
		{"PUT", "/v1/chats/%00", "{}", 400, proto.InvalidPayload, "chatId", nil},
		{"GET", "/v1/chats/c1?limit=many", "", 400, proto.InvalidPayload, "limit", nil},
		{"GET", "/v1/chats/c1?limit=1001", "", 400, proto.InvalidPayload, "limit", nil},
		{"GET", "/v1/chats/c1?limit=1&limit=2", "", 400, proto.InvalidPayload, "limit", nil},
		{"GET", "/v1/chats/c1?cursor=a.b", "", 400, proto.InvalidPayload, "cursor", nil},
		{"GET", "/v1/chats/c1?limit=%zz", "", 400, proto.InvalidPayload, "", nil},
		{"DELETE", "/v1/chats/c1/members/ann?reason=bored", "", 400, proto.InvalidPayload, "reason", nil},
		{"PUT", "/v1/chats/c1", `{"name":"` + strings.Repeat("x", maxAdminBody) + `"}`, 413, proto.PayloadTooLarge, "", nil},
		{"PUT", "/v1/chats/c1", "{}", 400, proto.InvalidPayload, "Idempotency-Key", []string{"Idempotency-Key", strings.Repeat("k", 256)}},
		{"PUT", "/v1/chats/c1", "{}", 400, proto.InvalidPayload, "Idempotency-Key", []string{"Idempotency-Key", ""}},
		{"PUT", "/v1/chats/c1", "{}", 400, proto.InvalidPayload, "Idempotency-Key", []string{"Idempotency-Key", "a b"}},
		{"PUT", "/v1/chats/c1", "{}", 400, proto.InvalidPayload, "Idempotency-Key", []string{"Idempotency-Key", "a", "Idempotency-Key", "b"}},
		{"PATCH", "/v1/chats/c1", "{}", 503, proto.ServiceUnavailable, "1", nil}, // nobody serves it in this test
		{"GET", "/v1/nothing", "", 404, proto.UnknownEvent, "", nil},
		{"GET", "/", "", 404, proto.UnknownEvent, "", nil},
		{"PUT", "/v1/chats/c1/", "{}", 404, proto.UnknownEvent, "", nil},
		{"PUT", "/v1//chats/c1", "{}", 404, proto.UnknownEvent, "", nil},
		{"PUT", "/v1/x/../chats/c1", "{}", 404, proto.UnknownEvent, "", nil},
		{"POST", "/v1/chats/c1", "", 405, proto.UnknownEvent, "GET, HEAD, PATCH, PUT", nil},
		{"OPTIONS", "/v1/chats/c1", "", 405, proto.UnknownEvent, "GET, HEAD, PATCH, PUT", nil},
		{"PUT", "/v1/chats/c1/members", "", 405, proto.UnknownEvent, "POST", nil},
		{"GET", "/v1/chats/c1/members/ann", "", 405, proto.UnknownEvent, "DELETE", nil},
		{"POST", "/openapi.json", "", 405, proto.UnknownEvent, "GET, HEAD", []string{"Authorization", ""}},
		{"GET", "/v1/chats/c1", "", 401, proto.AuthenticationRequired, badToken, []string{"Authorization", "Bearer " + adminToken[1:]}},
		{"GET", "/v1/chats/c1", "", 401, proto.AuthenticationRequired, noToken, []string{"Authorization", ""}},
		{"GET", "/v1/nothing", "", 401, proto.AuthenticationRequired, noToken, []string{"Authorization", "Basic x"}},
		{"POST", "/v1/chats/c1", "", 401, proto.AuthenticationRequired, noToken, []string{"Authorization", ""}},
	} {
		name := row.method + " " + row.path[:min(40, len(row.path))] + " " + row.body[:min(40, len(row.body))]
		res, body := b.call(row.method, row.path, row.body, row.header...)
		require.Equal(t, row.status, res.StatusCode, "%s: %s", name, body)
		var f proto.Failure
		require.NoError(t, json.Unmarshal(body, &f), name)
		require.Equal(t, row.code, f.Code, name)
		require.Len(t, f.RequestID, 32)
		got := f.Field
		switch row.status {
		case 401:
			got = res.Header.Get("WWW-Authenticate")
		case 405:
			got = res.Header.Get("Allow")
		case 503:
			got = res.Header.Get("Retry-After")
		}
		require.Equal(t, row.want, got, "%s: %s", name, body)
	}
}

// The document says what is served: each of its operations is, and needs no
// more than the document says.
func TestAdminDocument(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	b := m.backend(t)
	res, body := b.call("GET", "/openapi.json", "", "Authorization", "")
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Equal(t, string(bytes.TrimSpace(schema.OpenAPI)), string(body))
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct{ Responses map[string]json.RawMessage }
	}
	require.NoError(t, json.Unmarshal(body, &doc))
	require.Equal(t, "3.1.0", doc.OpenAPI)
	operations := 0
	for path, item := range doc.Paths {
		path = strings.NewReplacer("{chatId}", "none", "{userId}", "ann", "{callId}", "none").Replace(path)
		require.NotContains(t, path, "{")
		for method, op := range item {
			res, body := b.call(strings.ToUpper(method), path, "{}")
			require.NotContains(t, string(body), `"code":"UNKNOWN_EVENT"`, "%s %s", method, path)
			require.Contains(t, op.Responses, strconv.Itoa(res.StatusCode), "%s %s: %s", method, path, body)
			operations++
		}
	}
	require.Greater(t, operations, 5)
}

// A repeat is answered with the first's bytes whichever gateway it comes to,
// and whichever instance of the service it reaches.
func TestAdminReplays(t *testing.T) {
	t.Parallel()
	m := runMesh(t)
	first := m.backend(t)
	m.runGateway()
	second := m.backend(t)
	require.NotEqual(t, first.addr, second.addr)
	key := []string{"Idempotency-Key", `"one"`}
	res, want := first.call("PUT", "/v1/chats/c1", `{"members":[{"userId":"ann"}]}`, key...)
	require.Equal(t, http.StatusOK, res.StatusCode)
	for _, b := range []*backend{first, second} {
		res, got := b.call("PUT", "/v1/chats/c1", ` {"members" : [ {"userId":"ann"} ]}`, key...)
		require.Equal(t, http.StatusOK, res.StatusCode)
		require.Equal(t, "true", res.Header.Get("Idempotency-Replayed"))
		require.Equal(t, string(want), string(got))
		for path, body := range map[string]string{"/v1/chats/c1": `{"members":[{"userId":"bob"}]}`, "/v1/chats/c2": `{"members":[{"userId":"ann"}]}`} {
			res, got := b.call("PUT", path, body, key...)
			require.Equal(t, http.StatusConflict, res.StatusCode, "another body or path")
			require.Equal(t, `"Idempotency-Key"`, field(t, got, "field"))
		}
	}
	// A failure that stays one is kept too.
	res, want = first.call("GET", "/v1/chats/none", "", key...)
	require.Equal(t, http.StatusNotFound, res.StatusCode)
	res, got := second.call("GET", "/v1/chats/none", "", key...)
	require.Equal(t, http.StatusNotFound, res.StatusCode)
	require.Equal(t, "true", res.Header.Get("Idempotency-Replayed"))
	require.Equal(t, string(want), string(got))
}

func TestAdminIsOffWithoutToken(t *testing.T) {
	t.Parallel()
	m := runMesh(t, func(c *Config) { c.AdminToken = "" })
	_, err := m.svc.AdminAddr(t.Context())
	require.Error(t, err)
}
