package pushtest

import (
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"supmesh.dev/notify/push"
	"supmesh.dev/notify/push/guard"
)

// forbidden wants a provider to go nowhere that a user of the internet could not.
func (s *suite) forbidden(t *testing.T) {
	if s.Endpoint == nil {
		return // the operator says where pushes go
	}
	stub := NewStub(t)
	client := guard.New(guard.Options{Timeout: 2 * time.Second})
	t.Cleanup(client.Close)
	p := s.New(t, stub, client)
	checker, ok := p.(push.Checker)
	require.True(t, ok, "a provider of endpoints checks registrations")
	u, err := url.Parse(stub.URL)
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(u.Host)
	require.NoError(t, err)
	for _, host := range []string{
		"127.0.0.1:" + port, "localhost:" + port, "localhost.:" + port, "x.localhost:" + port, "LOCALHOST:" + port, "127.1:" + port,
		"2130706433:" + port, "0x7f000001:" + port, "0177.0.0.1:" + port, "0:" + port, "0.0.0.0:" + port,
		"[::1]:" + port, "[::]:" + port, "[::ffff:127.0.0.1]:" + port, "[::ffff:7f00:1]:" + port, "[64:ff9b::7f00:1]:" + port, "[::127.0.0.1]:" + port,
		"10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.100.100.200", "169.254.169.254", "[fd00:ec2::254]",
		"168.63.129.16", "192.0.0.192", "198.18.0.1", "224.0.0.1", "239.1.1.1", "255.255.255.255", "240.0.0.1", "[fe80::1]", "[fe80::1%25eth0]",
		"[fc00::1]", "[ff02::1]", "[2002:7f00:1::]", "[2001:0:1::]", "[2001:db8::1]", "redis", "nats.internal", "printer.local", "", "metadata.google.internal",
	} {
		for _, scheme := range []string{"http", "https"} {
			to := s.Endpoint(scheme + "://" + host + "/hook")
			require.Error(t, checker.Check(to), host)
			o := p.Send(t.Context(), Push(p.Name()), to)
			require.Equal(t, push.Rejected, o.Status, "%s://%s: %s", scheme, host, o.Detail)
		}
	}
	for _, text := range []string{
		"http://example.com/hook", "ftp://example.com/", "file:///etc/passwd", "example.com", "//example.com/", "https:example.com", "gopher://example.com/",
		"https://ann:secret@example.com/", "https://example.com/#x", "https://", ":", "https://exa mple.com/",
	} {
		require.Error(t, checker.Check(s.Endpoint(text)), text)
		require.Equal(t, push.Rejected, p.Send(t.Context(), Push(p.Name()), s.Endpoint(text)).Status, text)
	}
	require.Empty(t, stub.Seen())
	for _, text := range []string{"https://example.com/hook", "https://push.example.com:8443/a/b?c=d", "https://93.184.215.14/x", "https://[2606:2800:220:1::1]/x"} {
		require.NoError(t, checker.Check(s.Endpoint(text)), text)
	}
}
