package guard

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// Bounds of one request.
const (
	DefaultTimeout = 10 * time.Second
	MaxBody        = 16 << 10 // of an answer; the rest is not read
)

// Options is how a client is made. The zero value is the strict one.
type Options struct {
	// Allow is hosts, addresses and networks that need not be public, for which
	// http will do as well.
	Allow []string
	// Trusted is for endpoints that the operator has set: any address will do.
	Trusted bool
	Timeout time.Duration  // of a whole request; DefaultTimeout if zero
	Roots   *x509.CertPool // the system's if nil
}

// Client is an http.Client for addresses that users give.
type Client struct {
	*http.Client
	allowed allowed
}

// New makes a client. Close it when it is done with.
func New(o Options) *Client {
	c := &Client{allowed: newAllowed(o.Allow)}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	d := &dialer{allowed: c.allowed, trusted: o.Trusted}
	d.checked.Timeout, d.free.Timeout = o.Timeout/2, o.Timeout/2
	d.checked.ControlContext = d.control
	c.Client = &http.Client{
		Timeout: o.Timeout,
		// A redirect is an answer: where it leads was registered by nobody.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: bounded{&http.Transport{
			Proxy:                  nil, // it would connect instead of us, to anywhere
			DialContext:            d.dial,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.Roots},
			TLSHandshakeTimeout:    o.Timeout / 2,
			MaxResponseHeaderBytes: MaxBody,
			MaxIdleConns:           256, MaxIdleConnsPerHost: 64,
			IdleConnTimeout:    90 * time.Second,
			ForceAttemptHTTP2:  true,
			HTTP2:              &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second}, // finds connections that are dead
			DisableCompression: true,                                                                               // a small body stays small
		}},
	}
	return c
}

// Close lets go of idle connections.
func (c *Client) Close() { c.CloseIdleConnections() }

type dialer struct {
	allowed allowed
	trusted bool
	checked net.Dialer // judges every address
	free    net.Dialer
}

func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, ErrForbidden
	}
	if d.trusted || d.allowed.host(host) {
		return d.free.DialContext(ctx, network, address)
	}
	return d.checked.DialContext(ctx, network, address)
}

// control sees the address that is connected to, after names are resolved: there is
// no moment between the check and the use at which another answer could come.
func (d *dialer) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || network != "tcp4" && network != "tcp6" {
		return ErrForbidden
	}
	if !Public(at.Addr()) && !d.allowed.address(at.Addr()) {
		return ErrForbidden
	}
	return nil
}

// bounded cuts every answer's body.
type bounded struct{ *http.Transport }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := b.Transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	res.Body = &body{io.LimitReader(res.Body, MaxBody), res.Body}
	return res, nil
}

type body struct {
	io.Reader
	io.Closer
}

// Answer is a request's outcome: the status, the headers, and the bounded body.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Ask makes a request and reads the answer.
func (c *Client) Ask(r *http.Request) (*Answer, error) {
	res, err := c.Do(r) //nolint:gosec // this client is the guard: its dialer judges every address
	if err != nil {
		return nil, plain(err)
	}
	defer func() { _ = res.Body.Close() }()
	return Read(res)
}

// Read is the answer of a response that somebody else closes. Where the status says
// that all is done, a body that does not come to its end changes nothing.
func Read(res *http.Response) (*Answer, error) {
	content, err := io.ReadAll(res.Body)
	if err != nil && res.StatusCode >= http.StatusMultipleChoices {
		return nil, plain(err)
	}
	return &Answer{Status: res.StatusCode, Header: res.Header, Body: content}, nil
}

// plain is an error without the address that net/http and net put in it: a path
// may be a secret, and a host is somebody's.
func plain(err error) error { return fmt.Errorf("%s%w", Reason(err), hidden{err}) }

// hidden is in the chain of an error, and not in its text.
type hidden struct{ error }

func (hidden) Error() string   { return "" }
func (h hidden) Unwrap() error { return h.error }

// Reason is what went wrong with a request, in words that name no address.
func Reason(err error) string {
	var dns *net.DNSError
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var verification *tls.CertificateVerificationError
	switch {
	case errors.Is(err, ErrForbidden):
		return ErrForbidden.Error()
	case errors.Is(err, context.Canceled):
		return "cut short"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), timedOut(err):
		return "timed out"
	case errors.As(err, &dns):
		return "no such host"
	case errors.As(err, &unknown), errors.As(err, &name), errors.As(err, &verification):
		return "bad certificate"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return "connection lost"
	}
	return "connection failed"
}

func timedOut(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
