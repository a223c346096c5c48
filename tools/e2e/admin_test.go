package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/tools/e2e/mesh"
)

// The page for backends: each of its examples is run, and answers what the page says.
func TestAdminPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(mesh.Root(), "..", "docs", "admin.md"))
	require.NoError(t, err)
	examples := regexp.MustCompile("(?s)```sh\n(.*?)```\n```text\n(.*?)```\n").FindAllStringSubmatch(string(page), -1)
	require.Len(t, examples, strings.Count(string(page), "```sh\n"), "each example says what it answers")
	require.Greater(t, len(examples), 7)
	o := mesh.StartOne(t, nil)
	for _, e := range examples {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", e[1])
		cmd.Env = append(os.Environ(), "ADMIN="+o.Gateways[0].AdminURL, "ADMIN_TOKEN="+mesh.AdminToken)
		out, err := cmd.CombinedOutput()
		cancel()
		require.NoError(t, err, "%s\n%s", e[1], out)
		want := strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(e[2])), "…", `[^"]+`)
		require.Regexp(t, "^"+want+"$", strings.TrimSpace(string(out)), e[1])
	}
}

// One key at two gateways and two chats: it runs once, whoever takes it, and its answer outlives both.
func TestOneKeyIsOneChange(t *testing.T) {
	t.Parallel()
	m := mesh.Start(t, mesh.Options{Gateways: 2, Chats: 2})
	m.PutChat(t, "room", "ann")
	ask := func(gateway int, key, user string) mesh.AdminAnswer {
		return m.AdminAt(t, gateway, http.MethodPost, "/v1/chats/room/members", map[string]any{"userId": user}, http.Header{"Idempotency-Key": {key}})
	}
	for round := range 10 {
		answers := make([]mesh.AdminAnswer, 10)
		var all sync.WaitGroup
		for i := range answers {
			all.Go(func() { answers[i] = ask(i%2, fmt.Sprint("key-", round), fmt.Sprint("user-", round)) })
		}
		all.Wait()
		replayed := 0
		for _, a := range answers {
			require.Equal(t, http.StatusOK, a.Status, "%s", a.Body)
			require.Equal(t, answers[0].Body, a.Body)
			if a.Header.Get("Idempotency-Replayed") == "true" {
				replayed++
			}
		}
		require.Equal(t, len(answers)-1, replayed, "one of them ran")
		require.Contains(t, answers[0].Body, `"changed":1`)
	}
	first := ask(0, "key-0", "user-0")
	m.Gateways[0].Kill()
	for i := range m.Chats {
		m.Chats[i].Kill()
		m.StartChat(t, i)
	}
	again := ask(1, "key-0", "user-0")
	require.Equal(t, first.Body, again.Body)
	require.Equal(t, http.StatusConflict, ask(1, "key-0", "user-1").Status)

	// Chats die while they run: each key is free again after the row's time, and each change is made.
	m.StartGateway(t, 0)
	const late = 20
	statuses := make(chan int, late)
	for i := range late {
		go func() { statuses <- ask(i%2, fmt.Sprint("crash-", i), fmt.Sprint("late-", i)).Status }()
	}
	wait(t, seconds/100)
	for i := range m.Chats {
		m.Chats[i].Kill()
		m.StartChat(t, i)
	}
	for range late {
		require.Contains(t, []int{http.StatusOK, http.StatusServiceUnavailable, http.StatusGatewayTimeout}, <-statuses)
	}
	for i := range late {
		mesh.Eventually(t, 20*seconds, "the repeat is answered", func() bool {
			return ask(0, fmt.Sprint("crash-", i), fmt.Sprint("late-", i)).Status == http.StatusOK
		})
	}
	require.Contains(t, m.AdminAt(t, 0, http.MethodGet, "/v1/chats/room", nil, nil).Body, fmt.Sprintf(`"memberCount":%d`, 1+10+late))
}
