package gateway

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestClientAddress(t *testing.T) {
	t.Parallel()
	trusted, err := parseProxies([]string{"10.0.0.0/8", "192.0.2.7", "2001:db8:1::/48"})
	require.NoError(t, err)
	type header = map[string][]string
	for _, row := range []struct {
		name, remote string
		header       header
		key          string
		known        bool
	}{
		{"a client without a proxy", "203.0.113.5:4000", nil, "203.0.113.5", true},
		{"IPv4 in IPv6", "[::ffff:203.0.113.5]:4000", nil, "203.0.113.5", true},
		{"IPv6 is counted by /64", "[2001:db8:2:3:4:5:6:7]:4000", nil, "2001:db8:2:3::", true},
		{"a private address may be a balancer's", "172.16.0.9:4000", nil, "172.16.0.9", false},
		{"loopback, too", "127.0.0.1:4000", nil, "127.0.0.1", false},
		{"shared address space, too", "100.64.3.4:4000", nil, "100.64.3.4", false},
		{"an unknown proxy", "203.0.113.5:4000", header{"X-Forwarded-For": {"198.51.100.1"}}, "203.0.113.5", false},
		{"an unknown proxy, by Forwarded", "203.0.113.5:4000", header{"Forwarded": {"for=198.51.100.1"}}, "203.0.113.5", false},
		{"an unknown proxy, by Via", "203.0.113.5:4000", header{"Via": {"1.1 squid"}}, "203.0.113.5", false},
		{"an unknown proxy, by X-Real-IP", "203.0.113.5:4000", header{"X-Real-Ip": {"198.51.100.1"}}, "203.0.113.5", false},
		{"a trusted proxy", "10.1.2.3:4000", header{"X-Forwarded-For": {"198.51.100.1"}}, "198.51.100.1", true},
		{"what the client wrote itself stands left", "10.1.2.3:4000", header{"X-Forwarded-For": {"1.1.1.1, 198.51.100.1"}}, "198.51.100.1", true},
		{"a chain of trusted proxies", "10.1.2.3:4000", header{"X-Forwarded-For": {"1.1.1.1, 198.51.100.1, 192.0.2.7,10.0.0.9"}}, "198.51.100.1", true},
		{"several headers are one list", "10.1.2.3:4000", header{"X-Forwarded-For": {"1.1.1.1", "198.51.100.1", "10.0.0.9"}}, "198.51.100.1", true},
		{"with a port", "10.1.2.3:4000", header{"X-Forwarded-For": {"198.51.100.1:55000"}}, "198.51.100.1", true},
		{"IPv6 in brackets", "10.1.2.3:4000", header{"X-Forwarded-For": {"[2001:db8:2:3::9]:55000"}}, "2001:db8:2:3::", true},
		{"IPv6", "[2001:db8:1::2]:4000", header{"X-Forwarded-For": {"2001:db8:2:3::9"}}, "2001:db8:2:3::", true},
		{"a client in a private network", "10.1.2.3:4000", header{"X-Forwarded-For": {"192.168.7.7"}}, "192.168.7.7", false},
		{"a trusted proxy that names nobody", "10.1.2.3:4000", nil, "10.1.2.3", false},
		{"only trusted proxies", "10.1.2.3:4000", header{"X-Forwarded-For": {"10.0.0.1"}}, "10.1.2.3", false},
		{"no address", "10.1.2.3:4000", header{"X-Forwarded-For": {"198.51.100.1, unknown"}}, "10.1.2.3", false},
		{"empty", "10.1.2.3:4000", header{"X-Forwarded-For": {""}}, "10.1.2.3", false},
		{"a trusted proxy that sends Forwarded alone", "10.1.2.3:4000", header{"Forwarded": {"for=198.51.100.1"}}, "10.1.2.3", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got := trusted.clientOf(&http.Request{RemoteAddr: row.remote, Header: row.header})
			require.Equal(t, row.key, got.key.String())
			require.Equal(t, row.known, got.known)
		})
	}
	require.False(t, trusted.clientOf(&http.Request{RemoteAddr: "pipe"}).known)
}

func TestTrustedProxiesSetting(t *testing.T) {
	t.Parallel()
	for _, wrong := range []string{"10.0.0.0/33", "proxy.example.org", "10.0.0", ""} {
		_, err := parseProxies([]string{wrong})
		require.ErrorContains(t, err, "TRUSTED_PROXIES", wrong)
	}
	p, err := parseProxies(nil)
	require.NoError(t, err)
	require.Empty(t, p)
}
