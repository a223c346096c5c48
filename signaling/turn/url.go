package turn

import (
	"errors"
	"net"
	"strconv"
	"strings"
)

var (
	errScheme    = errors.New("must be a stun:, stuns:, turn: or turns: URL")
	errHost      = errors.New("must name a host, as in turn:turn.example.org:3478")
	errPort      = errors.New("must have a port from 1 to 65535, or none")
	errTransport = errors.New("may have ?transport=udp or ?transport=tcp behind a TURN server, and nothing else")
)

// parseURL checks what a browser would refuse, and with it the whole list; relays
// says that it names a TURN server.
func parseURL(text string) (relays bool, err error) {
	scheme, rest, _ := strings.Cut(text, ":")
	switch scheme {
	case "stun", "stuns":
	case "turn", "turns":
		relays = true
	default:
		return false, errScheme
	}
	where, query, asks := strings.Cut(rest, "?")
	if asks && (!relays || query != "transport=udp" && query != "transport=tcp") {
		return false, errTransport
	}
	return relays, checkAddress(where)
}

func checkAddress(where string) error {
	host := where
	bracketed := strings.HasPrefix(where, "[")
	switch {
	case strings.HasSuffix(where, "]"): // an IPv6 address without a port
	case bracketed || strings.Contains(where, ":"):
		name, port, err := net.SplitHostPort(where)
		if err != nil {
			return errHost
		}
		host = name
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return errPort
		}
	}
	if bracketed {
		if net.ParseIP(strings.Trim(host, "[]")) == nil {
			return errHost
		}
		return nil
	}
	if host == "" || strings.ContainsFunc(host, func(r rune) bool { return !inHost(r) }) {
		return errHost
	}
	return nil
}

func inHost(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_'
}
