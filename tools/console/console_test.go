package console

import (
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func ask(method, target, body string, header ...string) *httptest.ResponseRecorder {
	h := Handler(Options{GatewayPort: 3001, Mint: func(user, device, name string) (string, error) {
		if user == "" {
			return "", errors.New("user: must not be empty")
		}
		return user + "/" + device + "/" + name, nil
	}})
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestPageIsLockedDown(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"/", "/js/app.js", "/nothing-here", "/config.json"} {
		w := ask(http.MethodGet, "http://localhost:8080"+target, "")
		policy := w.Header().Get("Content-Security-Policy")
		require.Contains(t, policy, "default-src 'none'; script-src 'self'; style-src 'self';", target)
		require.Contains(t, policy, "connect-src 'self' http://localhost:3001 ws://localhost:3001;", target)
		require.Contains(t, policy, "frame-ancestors 'none'", target)
		require.NotContains(t, policy, "unsafe", target)
		require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"), target)
	}
}

// TestWorkerMayShowPushes: a worker of the page's own, for all of the page.
func TestWorkerMayShowPushes(t *testing.T) {
	t.Parallel()
	policy := ask(http.MethodGet, "http://localhost:8080/", "").Header().Get("Content-Security-Policy")
	require.Contains(t, policy, "worker-src 'self';")
	require.Contains(t, policy, "trusted-types push-worker")
	w := ask(http.MethodGet, "http://localhost:8080/push.js", "")
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "text/javascript; charset=utf-8", w.Header().Get("Content-Type"))
	require.Equal(t, "no-cache", w.Header().Get("Cache-Control"))
}

// TestPageHoldsNothingInline keeps the files inside the policy, and text of
// others out of markup.
func TestPageHoldsNothingInline(t *testing.T) {
	t.Parallel()
	inline := regexp.MustCompile(`(?i)<script(?:>|[^>]*[^c]>[^<])|<style|\sstyle=|\son[a-z]+=|javascript:|https?://`)
	markup := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|srcdoc|https?://`)
	require.NoError(t, fs.WalkDir(files, "static", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.Contains(name, "/vendor/") {
			return err
		}
		content, err := files.ReadFile(name)
		require.NoError(t, err)
		switch path.Ext(name) {
		case ".html":
			require.Empty(t, inline.FindAllString(string(content), -1), name)
		case ".js":
			require.Empty(t, markup.FindAllString(string(content), -1), name)
		}
		return nil
	}))
}

func TestConfigNamesTheGatewayAsTheBrowserSeesIt(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"localhost:8080": "http://localhost:3001",
		"127.0.0.1:8080": "http://127.0.0.1:3001",
		"[::1]:8080":     "http://[::1]:3001",
	} {
		w := ask(http.MethodGet, "http://"+host+"/config.json", "")
		require.Equal(t, http.StatusOK, w.Code)
		require.JSONEq(t, `{"gateway":"`+want+`"}`, w.Body.String())
	}
}

func TestToken(t *testing.T) {
	t.Parallel()
	w := ask(http.MethodPost, "http://localhost:8080/token", `{"userId":"alice","deviceId":"web-1","name":"Alice"}`)
	require.Equal(t, http.StatusOK, w.Code)
	require.JSONEq(t, `{"token":"alice/web-1/Alice"}`, w.Body.String())
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
}

func TestTokenRefusals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		target, body string
		header       []string
		status       int
	}{
		"rebound name":    {"http://evil.example:8080/token", `{"userId":"alice"}`, nil, http.StatusMisdirectedRequest},
		"foreign address": {"http://192.0.2.1:8080/token", `{"userId":"alice"}`, nil, http.StatusMisdirectedRequest},
		"cross origin":    {"http://localhost:8080/token", `{"userId":"alice"}`, []string{"Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
		"foreign origin":  {"http://localhost:8080/token", `{"userId":"alice"}`, []string{"Origin", "http://evil.example"}, http.StatusForbidden},
		"no user":         {"http://localhost:8080/token", `{}`, nil, http.StatusBadRequest},
		"not JSON":        {"http://localhost:8080/token", `user=alice`, nil, http.StatusBadRequest},
		"too big":         {"http://localhost:8080/token", `{"userId":"` + strings.Repeat("a", maxTokenRequest) + `"}`, nil, http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			w := ask(http.MethodPost, c.target, c.body, c.header...)
			require.Equal(t, c.status, w.Code)
			require.NotContains(t, w.Body.String(), `"token"`)
		})
	}
	require.Equal(t, http.StatusNotFound, ask(http.MethodGet, "http://localhost:8080/token", "").Code)
}

// TestVendoredClientIsTheStockOne compares it with what npm installed for the
// end-to-end tests: same version, same bytes.
func TestVendoredClientIsTheStockOne(t *testing.T) {
	t.Parallel()
	stock, err := os.Open("../e2e/node/node_modules/socket.io-client/dist/socket.io.esm.min.js")
	require.NoError(t, err, "run `make deps`")
	defer stock.Close()
	want, err := io.ReadAll(stock)
	require.NoError(t, err)
	got, err := files.ReadFile("static/vendor/socket.io.esm.min.js")
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))
	require.True(t, strings.HasPrefix(string(got), "/*!\n * Socket.IO v4.8.4\n"), "licence header")
}
