package engineio

import (
	"net/http"
	"net/url"
	"strings"
)

// Request is what a session keeps of its handshake. It is a copy, so that nothing of net/http lives as long as a session.
type Request struct {
	RemoteAddr    string // host:port of the peer of the TCP connection
	RawQuery      string
	Authorization string
	Origin        string
	UserAgent     string
	ForwardedFor  string // X-Forwarded-For, as received: believe it only behind a proxy of your own
}

// Query parses the query string with ParseQuery.
func (r *Request) Query() url.Values { return ParseQuery(r.RawQuery) }

func copyRequest(r *http.Request) *Request {
	return &Request{
		RemoteAddr:    r.RemoteAddr,
		RawQuery:      strings.Clone(r.URL.RawQuery),
		Authorization: r.Header.Get("Authorization"),
		Origin:        r.Header.Get("Origin"),
		UserAgent:     r.Header.Get("User-Agent"),
		ForwardedFor:  r.Header.Get("X-Forwarded-For"),
	}
}
