package gateway

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
)

// clientAddr is where a request comes from, as far as that can be known.
type clientAddr struct {
	// key is the address that admission counts: the client's, or the proxy's where the client's is
	// unknown. Of IPv6 it is the /64, which is what one customer gets.
	key netip.Addr
	// known means that key is the address of one client, or of one network of clients.
	known bool
}

// proxies are the networks whose word on client addresses is taken: TRUSTED_PROXIES.
type proxies []netip.Prefix

// parseProxies reads networks (10.0.0.0/8) and single addresses.
func parseProxies(list []string) (proxies, error) {
	var out proxies
	for _, text := range list {
		text = strings.TrimSpace(text)
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			addr, addrErr := netip.ParseAddr(text)
			if addrErr != nil {
				return nil, fmt.Errorf("TRUSTED_PROXIES: %q is neither a network such as 10.0.0.0/8 nor an address", text)
			}
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		out = append(out, prefix.Masked())
	}
	return out, nil
}

func (p proxies) trust(addr netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// clientOf returns where a request comes from. X-Forwarded-For counts only if a trusted proxy sent
// the request: it is read from the right, and the first address that is no trusted proxy is the
// client, since all that stands left of it is the client's own word. Without a trusted proxy a
// request that names a proxy comes from an unknown one. So may one from a private address, which a
// balancer that hides its clients has.
func (p proxies) clientOf(r *http.Request) clientAddr {
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return clientAddr{}
	}
	peer := remote.Addr().Unmap().WithZone("")
	if !p.trust(peer) {
		return clientAddr{network(peer), !isPrivate(peer) && !namesProxy(r.Header)}
	}
	hops := r.Header["X-Forwarded-For"]
	for i := len(hops) - 1; i >= 0; i-- {
		for rest, more := hops[i], true; more; {
			var hop string
			if comma := strings.LastIndexByte(rest, ','); comma >= 0 {
				rest, hop = rest[:comma], rest[comma+1:]
			} else {
				hop, more = rest, false
			}
			addr, ok := parseHop(hop)
			switch {
			case !ok: // a trusted proxy wrote it, but what it means is unknown
				return clientAddr{network(peer), false}
			case !p.trust(addr):
				return clientAddr{network(addr), !isPrivate(addr)}
			}
		}
	}
	return clientAddr{network(peer), false}
}

// parseHop reads an entry of X-Forwarded-For. Some proxies add the port, or put IPv6 in brackets.
func parseHop(hop string) (netip.Addr, bool) {
	hop = strings.TrimSpace(hop)
	if withPort, err := netip.ParseAddrPort(hop); err == nil {
		return withPort.Addr().Unmap().WithZone(""), true
	}
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(hop, "["), "]"))
	return addr.Unmap().WithZone(""), err == nil
}

func namesProxy(h http.Header) bool {
	for _, name := range [...]string{"X-Forwarded-For", "Forwarded", "Via", "X-Real-Ip"} {
		if len(h[name]) > 0 {
			return true
		}
	}
	return false
}

// sharedSpace is the address space of carrier-grade NAT (RFC 6598); clouds use it inside, too.
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

// isPrivate reports whether an address is not one of the public internet.
func isPrivate(addr netip.Addr) bool {
	return addr.IsPrivate() || addr.IsLoopback() || addr.IsLinkLocalUnicast() || sharedSpace.Contains(addr)
}

// network is the address of an IPv4 client, and the /64 of an IPv6 client.
func network(addr netip.Addr) netip.Addr {
	if addr.Is6() {
		if prefix, err := addr.Prefix(64); err == nil {
			return prefix.Addr()
		}
	}
	return addr
}
