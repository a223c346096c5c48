package guard

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// ErrForbidden says that an address is none that a push may go to.
var ErrForbidden = errors.New("the address is not allowed")

// What is refused beside what netip knows as not global: IANA's special-purpose
// registries, and addresses where clouds tell machines their credentials.
var special = prefixes(
	"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24",
	"198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
	"168.63.129.16/32",           // Azure's host, public by its looks
	"2001::/23", "2001:db8::/32", // protocol assignments with Teredo, documentation
	"2002::/16", "3fff::/20", // 6to4, documentation
)

var (
	global = netip.MustParsePrefix("2000::/3")
	nat64  = netip.MustParsePrefix("64:ff9b::/96")
)

func prefixes(texts ...string) []netip.Prefix {
	all := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// Public says whether an address is one that anybody may be at. A network's
// translation of an IPv4 address is judged as what it stands for.
func Public(ip netip.Addr) bool {
	ip = ip.Unmap()
	if nat64.Contains(ip.WithZone("")) {
		b := ip.As16()
		ip = netip.AddrFrom4([4]byte(b[12:]))
	}
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.Zone() != "" || ip.Is6() && !global.Contains(ip) {
		return false
	}
	for _, p := range special {
		if p.Contains(ip) {
			return false
		}
	}
	return true
}

// allowed is what an operator lets through: names of hosts, addresses, networks.
type allowed struct {
	hosts    map[string]bool
	networks []netip.Prefix
}

func newAllowed(list []string) allowed {
	a := allowed{hosts: map[string]bool{}}
	for _, entry := range list {
		entry = strings.ToLower(strings.TrimSpace(entry))
		if p, err := netip.ParsePrefix(entry); err == nil {
			a.networks = append(a.networks, p.Masked())
		} else if ip, err := netip.ParseAddr(strings.Trim(entry, "[]")); err == nil {
			a.networks = append(a.networks, netip.PrefixFrom(ip.Unmap(), ip.Unmap().BitLen()))
		} else if entry != "" {
			a.hosts[entry] = true
		}
	}
	return a
}

func (a allowed) host(name string) bool {
	if ip, err := netip.ParseAddr(name); err == nil {
		return a.address(ip)
	}
	return a.hosts[strings.ToLower(strings.TrimSuffix(name, "."))]
}

func (a allowed) address(ip netip.Addr) bool {
	for _, p := range a.networks {
		if p.Contains(ip.Unmap().WithZone("")) {
			return true
		}
	}
	return false
}

// CheckURL says whether pushes may go to a URL, as far as its text tells: https (or
// http to a host of the allow list), no user, no fragment, and no address or name
// that is this network's own. What its name resolves to is judged at each connection.
func (c *Client) CheckURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Opaque != "" || u.User != nil || u.Fragment != "" {
		return ErrForbidden
	}
	host := strings.ToLower(u.Hostname())
	if host == "" {
		return ErrForbidden
	}
	if c.allowed.host(host) {
		if u.Scheme != "https" && u.Scheme != "http" {
			return ErrForbidden
		}
		return nil
	}
	if u.Scheme != "https" {
		return ErrForbidden
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if !Public(ip) {
			return ErrForbidden
		}
		return nil
	}
	name := strings.TrimSuffix(host, ".")
	// One without a dot is this network's, or a number that resolvers read as an address.
	if !strings.Contains(name, ".") || net.ParseIP(name) != nil || numeric(name) {
		return ErrForbidden
	}
	for _, suffix := range []string{".localhost", ".local", ".internal", ".localdomain", ".home.arpa", ".lan", ".intranet"} {
		if strings.HasSuffix(name, suffix) {
			return ErrForbidden
		}
	}
	return nil
}

// numeric says whether the last label could be read as part of an IPv4 address
// (0x7f.1, 127.1): no public name ends so.
func numeric(name string) bool {
	last := name[strings.LastIndexByte(name, '.')+1:]
	if last == "" {
		return true
	}
	return last[0] >= '0' && last[0] <= '9'
}
