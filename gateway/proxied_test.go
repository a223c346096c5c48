package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/pires/go-proxyproto"
	"github.com/stretchr/testify/require"

	"supmesh.dev/services/servicestest"
)

const (
	trustedProxy = "127.0.0.2"
	anyoneElse   = "127.0.0.3"
)

// proxyHeader is what a proxy sends first for a client.
func proxyHeader(t *testing.T, version byte, client string) []byte {
	t.Helper()
	h := proxyproto.HeaderProxyFromAddrs(version, &net.TCPAddr{IP: net.ParseIP(client), Port: 4000}, &net.TCPAddr{IP: net.ParseIP("192.0.2.1"), Port: 443})
	b, err := h.Format()
	require.NoError(t, err)
	return b
}

// preambleConn sends a preamble in one write with the first bytes of the request: a refusal of the
// preamble alone would come before there is a request that it could answer.
type preambleConn struct {
	net.Conn
	preamble []byte
}

func (c *preambleConn) Write(b []byte) (int, error) {
	if len(c.preamble) == 0 {
		return c.Conn.Write(b)
	}
	n, err := c.Conn.Write(append(c.preamble, b...))
	n, c.preamble = max(0, n-len(c.preamble)), nil
	return n, err
}

// dialProxied connects a websocket from an address that sends preamble first.
func (m *mesh) dialProxied(source string, preamble []byte, header http.Header) (*websocket.Conn, int) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	transport := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dialerFrom(source).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &preambleConn{conn, preamble}, nil
	}}
	defer transport.CloseIdleConnections()
	conn, res, err := websocket.Dial(ctx, "ws://"+m.addr+"/ws?token="+tokenFor(m.t, "ann", "", time.Hour), &websocket.DialOptions{
		HTTPHeader: header, HTTPClient: &http.Client{Transport: transport},
	})
	if err == nil {
		m.t.Cleanup(func() { _ = conn.CloseNow() })
		return conn, res.StatusCode
	}
	require.NotNil(m.t, res, "%v", err)
	_ = res.Body.Close()
	return nil, res.StatusCode
}

// TestBoundOfAnAddress: no more than so many connections of one client's address, which a trusted
// proxy tells by the PROXY protocol or by X-Forwarded-For. Others are not bound by it.
func TestBoundOfAnAddress(t *testing.T) {
	t.Parallel()
	m := runMesh(t, func(c *Config) { c.MaxPerAddress, c.TrustedProxies = 2, []string{trustedProxy} })
	tells := func(client string) map[string]func() (*websocket.Conn, int) {
		return map[string]func() (*websocket.Conn, int){
			"version 1": func() (*websocket.Conn, int) {
				return m.dialProxied(trustedProxy, proxyHeader(t, 1, client), nil)
			},
			"version 2": func() (*websocket.Conn, int) {
				return m.dialProxied(trustedProxy, proxyHeader(t, 2, client), nil)
			},
			"X-Forwarded-For": func() (*websocket.Conn, int) {
				return m.dialProxied(trustedProxy, nil, http.Header{"X-Forwarded-For": {"1.1.1.1, " + client}})
			},
		}
	}
	const client = "203.0.113.77"
	var conns []*websocket.Conn
	for range 2 {
		conn, status := tells(client)["version 1"]()
		require.Equal(t, http.StatusSwitchingProtocols, status)
		conns = append(conns, conn)
	}
	servicestest.Eventually(t, patience, "both are counted", func() bool {
		m.svc.admission.mu.Lock()
		defer m.svc.admission.mu.Unlock()
		return slices.Equal(slices.Collect(maps.Values(m.svc.admission.connected)), []int{2})
	})
	for name, dial := range tells(client) {
		_, status := dial()
		require.Equal(t, http.StatusServiceUnavailable, status, name)
	}
	for name, dial := range tells("203.0.113.78") {
		conn, status := dial()
		require.Equal(t, http.StatusSwitchingProtocols, status, name)
		require.NoError(t, conn.CloseNow())
		servicestest.Eventually(t, patience, "it is counted no more", func() bool {
			m.svc.admission.mu.Lock()
			defer m.svc.admission.mu.Unlock()
			return len(m.svc.admission.connected) == 1
		})
	}
	for range 5 { // private addresses, and what an unknown proxy says, have no bound
		_, status := m.dialProxied(anyoneElse, nil, nil)
		require.Equal(t, http.StatusSwitchingProtocols, status)
		_, status = m.dialProxied(anyoneElse, nil, http.Header{"X-Forwarded-For": {client}})
		require.Equal(t, http.StatusSwitchingProtocols, status)
	}
	_, status := m.dialProxied(anyoneElse, proxyHeader(t, 1, client), nil)
	require.Equal(t, http.StatusBadRequest, status, "only a trusted proxy may say who its client is")

	for _, conn := range conns {
		require.NoError(t, conn.CloseNow())
	}
	servicestest.Eventually(t, patience, "the address has room again", func() bool {
		conn, status := tells(client)["version 2"]()
		return status == http.StatusSwitchingProtocols && conn.CloseNow() == nil
	})
}

// TestSessionsOfAnAddressAreCounted: sessions of Socket.IO count, on whichever transport.
func TestSessionsOfAnAddressAreCounted(t *testing.T) {
	t.Parallel()
	m := runMesh(t, func(c *Config) {
		c.MaxPerAddress, c.TrustedProxies, c.ConnectTimeout = 1, []string{"127.0.0.1"}, 100*time.Millisecond
	})
	status := func() int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+m.addr+"/socket.io/?EIO=4&transport=polling", http.NoBody)
		require.NoError(t, err)
		req.Header.Set("X-Forwarded-For", "203.0.113.77")
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		return res.StatusCode
	}
	servicestest.Eventually(t, patience, "one is taken", func() bool { return status() == http.StatusOK })
	servicestest.Eventually(t, patience, "a second one is refused, or the first has ended", func() bool { return status() == http.StatusServiceUnavailable })
	servicestest.Eventually(t, patience, "the first one ends by CONNECT_TIMEOUT", func() bool { return status() == http.StatusOK })
}

// TestWebSocketBehindPROXY: a connection that began with a header works as any other, also where
// header and request come in one packet.
func TestWebSocketBehindPROXY(t *testing.T) {
	t.Parallel()
	m := runMesh(t, func(c *Config) { c.TrustedProxies = []string{trustedProxy} })
	m.chat.add("c1", "ann", "bob")
	bob := m.plain("bob", "")
	for _, version := range []byte{1, 2} {
		conn, _ := m.dialProxied(trustedProxy, proxyHeader(t, version, "203.0.113.5"), nil)
		require.NotNil(t, conn)
		conn.SetReadLimit(8 << 20)
		ann := m.newClient(conn, false)
		ann.greeted()
		require.Equal(t, "true", field(t, ann.ask("message:new", `{"chatId":"c1","encryptedContent":"x"}`).data, "success"))
		bob.message()
		require.NoError(t, ann.conn.CloseNow())
		<-ann.ended
	}

	conn, err := dialerFrom(trustedProxy).DialContext(t.Context(), "tcp", m.addr)
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	request := fmt.Sprintf("%sGET /ws?token=%s HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", proxyHeader(t, 2, "203.0.113.5"), tokenFor(t, "ann", "", time.Hour))
	_, err = io.WriteString(conn, request)
	require.NoError(t, err)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusSwitchingProtocols, res.StatusCode)
	first, err := r.Peek(4 + len(`{"event":"connected"`))
	require.NoError(t, err)
	require.Contains(t, string(first), `"connected"`)
}
