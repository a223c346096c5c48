package mesh

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Admin makes one request of the admin HTTP API of gateway 0 and decodes the answer.
func (m *Mesh) Admin(t testing.TB, method, path string, body any) (status int, answer map[string]any) {
	t.Helper()
	raw, err := json.Marshal(body)
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), method, m.Gateways[0].AdminURL+path, bytes.NewReader(raw))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+AdminToken)
	req.Header.Set("Content-Type", "application/json")
	client := http.Client{Timeout: 20 * time.Second}
	defer client.CloseIdleConnections()
	res, err := client.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &answer), "admin answered %q", data)
	return res.StatusCode, answer
}

// PutChat creates a chat with members.
func (m *Mesh) PutChat(t testing.TB, chat string, users ...string) {
	t.Helper()
	members := []map[string]string{}
	for _, u := range users {
		members = append(members, map[string]string{"userId": u})
	}
	status, answer := m.Admin(t, http.MethodPut, "/v1/chats/"+url.PathEscape(chat), map[string]any{"members": members})
	require.Equal(t, http.StatusOK, status, "put chat %s: %v", chat, answer)
}
