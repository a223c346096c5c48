package gateway

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"supmesh.dev/proto"
)

func TestAdmin(t *testing.T) {
	m := runMesh(t)
	addr, err := m.svc.AdminAddr(t.Context())
	require.NoError(t, err)
	call := func(method, path, body string, header ...string) (int, json.RawMessage) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+addr+path, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer admin-token-of-the-tests")
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer res.Body.Close()
		data, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.Equal(t, "application/json", res.Header.Get("Content-Type"))
		return res.StatusCode, bytes.TrimSpace(data)
	}
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	ann := m.plain("ann", "")

	status, body := call("PUT", "/v1/chats/c%2F1", `{"chatId":"other","members":[{"userId":"ann"}]}`, "Idempotency-Key", "key-1")
	require.Equal(t, http.StatusOK, status, "%s", body)
	require.Equal(t, `"c/1"`, field(t, body, "chatId"), "the path wins")
	require.Equal(t, `"key-1"`, field(t, body, "name"), "the key is handed on")
	require.Equal(t, "true", field(t, body, "success"))
	ann.joined("ann")

	status, body = call("GET", "/v1/chats/c%2F1", "")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "1", field(t, body, "memberCount"))

	for _, row := range []struct {
		method, path, body string
		status             int
		code               proto.Code
		header             []string
	}{
		{"GET", "/v1/chats/none", "", 404, proto.ChatNotFound, nil},
		{"PUT", "/v1/chats/c1", "[]", 400, proto.InvalidPayload, nil},
		{"PUT", "/v1/chats/c1", "{", 400, proto.InvalidPayload, nil},
		{"PUT", "/v1/chats/c1", `{"a":1,"a":2}`, 400, proto.InvalidPayload, nil},
		{"PUT", "/v1/chats/c1", `{"name":"` + strings.Repeat("x", maxAdminBody) + `"}`, 413, proto.PayloadTooLarge, nil},
		{"PUT", "/v1/chats/c1", "{}", 400, proto.InvalidPayload, []string{"Idempotency-Key", strings.Repeat("k", 200)}},
		{"PATCH", "/v1/chats/c1", "{}", 503, proto.ServiceUnavailable, nil}, // nobody serves it in this test
		{"GET", "/v1/nothing", "", 404, proto.UnknownEvent, nil},
		{"POST", "/v1/chats/c1", "", 404, proto.UnknownEvent, nil},
		{"GET", "/v1/chats/c1", "", 401, proto.AuthenticationRequired, []string{"Authorization", "Bearer admin-token-of-the-test"}},
		{"GET", "/v1/chats/c1", "", 401, proto.AuthenticationRequired, []string{"Authorization", ""}},
		{"GET", "/v1/nothing", "", 401, proto.AuthenticationRequired, []string{"Authorization", "Basic x"}},
	} {
		status, body := call(row.method, row.path, row.body, row.header...)
		require.Equal(t, row.status, status, "%s %s: %s", row.method, row.path, body)
		var f proto.Failure
		require.NoError(t, json.Unmarshal(body, &f))
		require.Equal(t, row.code, f.Code)
		require.Len(t, f.RequestID, 32)
	}
}

func TestAdminIsOffWithoutToken(t *testing.T) {
	m := runMesh(t, func(c *Config) { c.AdminToken = "" })
	_, err := m.svc.AdminAddr(t.Context())
	require.Error(t, err)
}
