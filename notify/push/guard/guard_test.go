package guard_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/notify/push/guard"
)

func TestPublic(t *testing.T) {
	t.Parallel()
	for _, ip := range []string{"8.8.8.8", "93.184.215.14", "100.63.255.255", "100.128.0.0", "172.15.0.1", "172.32.0.1", "2606:2800:220:1::1", "2a00::1", "::ffff:8.8.8.8", "64:ff9b::808:808"} {
		require.True(t, guard.Public(netip.MustParseAddr(ip)), ip)
	}
	for _, ip := range []string{
		"0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.0", "100.127.255.255", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.0", "172.31.255.255",
		"192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "168.63.129.16",
		"::", "::1", "::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1",
		"5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "2606:2800::1%eth0",
	} {
		require.False(t, guard.Public(netip.MustParseAddr(ip)), ip)
	}
	require.False(t, guard.Public(netip.Addr{}))
}

func get(t *testing.T, c *guard.Client, url string) (*guard.Answer, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	require.NoError(t, err)
	return c.Ask(r) //nolint:wrapcheck // the test's own
}

func client(t *testing.T, o guard.Options) *guard.Client {
	t.Helper()
	if o.Timeout == 0 {
		o.Timeout = 3 * time.Second
	}
	c := guard.New(o)
	t.Cleanup(c.Close)
	return c
}

// The check is of the address that is connected to: a name that resolves to one of
// ours, whatever it looked like when it was registered, is refused as well.
func TestNamesAreJudgedByTheirAddress(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "in") }))
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(strings.TrimPrefix(server.URL, "http://"))
	require.NoError(t, err)
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0"} {
		_, err := get(t, client(t, guard.Options{}), "http://"+host+":"+port)
		require.ErrorIs(t, err, guard.ErrForbidden, host)
		require.Equal(t, guard.ErrForbidden.Error(), err.Error(), "no address in it")
	}
	for _, o := range []guard.Options{{Allow: []string{"127.0.0.1"}}, {Allow: []string{"127.0.0.0/8"}}, {Trusted: true}} {
		answer, err := get(t, client(t, o), "http://127.0.0.1:"+port)
		require.NoError(t, err)
		require.Equal(t, "in", string(answer.Body))
	}
	for _, allow := range []string{"localhost", "LocalHost", "127.0.0.1"} { // by name, or by what it resolves to
		answer, err := get(t, client(t, guard.Options{Allow: []string{" ", allow}}), "http://localhost:"+port)
		require.NoError(t, err, allow)
		require.Equal(t, "in", string(answer.Body))
	}
	_, err = get(t, client(t, guard.Options{Allow: []string{"10.0.0.0/8", "example.com"}}), "http://127.0.0.1:"+port)
	require.ErrorIs(t, err, guard.ErrForbidden)
}

// A proxy would connect instead of us: the environment's is not used.
func TestNoProxy(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	c := client(t, guard.Options{Trusted: true})
	_, err := get(t, c, server.URL)
	require.NoError(t, err)
}

func TestErrorsNameNoAddress(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	closed := httptest.NewServer(nil)
	closed.Close()
	c := client(t, guard.Options{Trusted: true, Timeout: 10 * time.Second})
	for url, want := range map[string]string{
		server.URL + "/secret":                                      "bad certificate",
		closed.URL + "/secret":                                      "connection refused",
		"http://nowhere.invalid/secret":                             "no such host",
		strings.Replace(server.URL, "https", "http", 1) + "/secret": "", // an answer, 400
	} {
		_, err := get(t, c, url)
		if want == "" {
			require.NoError(t, err)
			continue
		}
		require.Error(t, err)
		text := fmt.Sprintf("%v %s", err, err)
		require.NotContains(t, text, "secret")
		require.NotContains(t, text, "127.0.0.1")
		require.NotContains(t, text, "invalid")
		if want != "no such host" { // a resolver that does not answer is another reason
			require.Equal(t, want, err.Error())
		}
	}
	roots := client(t, guard.Options{Trusted: true, Timeout: 300 * time.Millisecond, Roots: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs})
	_, err := get(t, roots, server.URL)
	require.EqualError(t, err, "timed out")
	require.ErrorIs(t, err, context.DeadlineExceeded)
}
