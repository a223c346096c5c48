package mesh

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// AdminAnswer is an answer of the admin HTTP API.
type AdminAnswer struct {
	Status int
	Header http.Header
	Body   string
}

// AdminAt makes one request of the admin HTTP API of a gateway; header is beside the token's.
func (m *Mesh) AdminAt(t testing.TB, gateway int, method, path string, body any, header http.Header) AdminAnswer {
	t.Helper()
	raw, err := json.Marshal(body)
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), method, m.Gateways[gateway].AdminURL+path, bytes.NewReader(raw))
	require.NoError(t, err)
	maps.Copy(req.Header, header)
	req.Header.Set("Authorization", "Bearer "+AdminToken)
	req.Header.Set("Content-Type", "application/json")
	client := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	res, err := client.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return AdminAnswer{Status: res.StatusCode, Header: res.Header, Body: string(data)}
}

// Admin makes one request of the admin HTTP API of gateway 0 and decodes the answer.
func (m *Mesh) Admin(t testing.TB, method, path string, body any) (status int, answer map[string]any) {
	t.Helper()
	a := m.AdminAt(t, 0, method, path, body, nil)
	require.NoError(t, json.Unmarshal([]byte(a.Body), &answer), "admin answered %q", a.Body)
	return a.Status, answer
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
