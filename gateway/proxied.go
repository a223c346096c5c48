package gateway

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pires/go-proxyproto"
)

// proxiedListener accepts the connections of trusted proxies. One may begin with a header of the
// PROXY protocol (version 1 or 2), which says who the client is; without one it is plain HTTP. A
// proxy that passes TCP on and sends no header must not be trusted: its clients could send one.
type proxiedListener struct {
	net.Listener
	headerTimeout time.Duration // of the PROXY header
	conns         chan net.Conn
	closed        chan struct{}
	once          sync.Once
}

// directListener accepts all others, as they are.
type directListener struct {
	net.Listener
	trusted proxies
	proxied *proxiedListener
}

// splitProxied splits what l accepts. Both listeners must be served, and both must be closed.
// headerTimeout is how long a PROXY header may take.
func splitProxied(l net.Listener, trusted proxies, headerTimeout time.Duration) (direct, proxied net.Listener) {
	p := &proxiedListener{Listener: l, headerTimeout: headerTimeout, conns: make(chan net.Conn), closed: make(chan struct{})}
	return &directListener{l, trusted, p}, p
}

// Accept implements net.Listener. It passes connections of trusted proxies to the other listener.
func (d *directListener) Accept() (net.Conn, error) {
	for {
		conn, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if !d.isProxy(conn.RemoteAddr()) {
			return conn, nil
		}
		select {
		case d.proxied.conns <- conn:
		case <-d.proxied.closed:
			_ = conn.Close()
		}
	}
}

func (d *directListener) isProxy(peer net.Addr) bool {
	remote, err := netip.ParseAddrPort(peer.String())
	return err == nil && d.trusted.trust(remote.Addr().Unmap().WithZone(""))
}

// Accept implements net.Listener. The header is read by the goroutine that serves the connection,
// within headerTimeout.
func (p *proxiedListener) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return proxyproto.NewConn(conn, proxyproto.WithPolicy(proxyproto.USE), proxyproto.SetReadHeaderTimeout(p.headerTimeout)), nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p *proxiedListener) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}
