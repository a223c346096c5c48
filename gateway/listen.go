package gateway

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"supmesh.dev/gateway/engineio/slowhttp"
)

// Bounds on HTTP connections and requests before a handler sees them.
const (
	// proxyIdleTimeout is how long a connection of a trusted proxy or a backend may be without a
	// request; one of a client may for AUTH_TIMEOUT. It is longer than the time for which proxies keep
	// a connection for the next request, often 60 s: a request that meets the end of its connection is
	// an error for the client.
	proxyIdleTimeout = 75 * time.Second
	maxHeaderBytes   = 16 << 10
	shutdownTimeout  = 2 * time.Second
	// writeTimeout is how long the next 16 KiB of an answer to a backend may take.
	writeTimeout = 10 * time.Second
)

// Addr is where clients connect, once Run has bound it.
func (svc *Service) Addr(ctx context.Context) (string, error) {
	return bound(ctx, svc.clientAddr)
}

// AdminAddr is where backends connect, once Run has bound it; an error where
// the admin side is off.
func (svc *Service) AdminAddr(ctx context.Context) (string, error) {
	if svc.cfg.AdminToken.Reveal() == "" {
		return "", errors.New("gateway: the admin API is off: ADMIN_TOKEN is not set")
	}
	return bound(ctx, svc.adminAddr)
}

func bound(ctx context.Context, addr chan string) (string, error) {
	select {
	case a := <-addr:
		addr <- a
		return a, nil
	case <-ctx.Done():
		return "", fmt.Errorf("gateway: not listening yet: %w", ctx.Err())
	}
}

// socketIOPath is where the Socket.IO profile is; a client may leave out the final slash.
const socketIOPath = "/socket.io/"

// clientHandler is what clients reach: two paths, each with and without a final slash. It never redirects, as ServeMux
// would: no transport of the stock client follows a redirect.
func (svc *Service) clientHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch strings.TrimSuffix(r.URL.Path, "/") + "/" {
		case socketIOPath:
			svc.engine.ServeHTTP(w, r)
		case "/ws/":
			if r.Method != http.MethodGet {
				w.Header().Set("Allow", http.MethodGet)
				http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
				return
			}
			svc.serveWS(w, r)
		default:
			http.NotFound(w, r)
		}
	})
}

// listen binds an address and serves it until stop is called, which waits.
func (svc *Service) listen(host string, port int, handler http.Handler, addr chan string) (stop func(), err error) {
	l, err := svc.bind(host, port)
	if err != nil {
		return nil, err
	}
	stop = svc.serve(l, handler, proxyIdleTimeout)
	addr <- l.Addr().String()
	return stop, nil
}

// listenClients is listen for clients. Connections of trusted proxies are served beside those of
// clients, since they may be idle for longer and may begin with a PROXY header.
func (svc *Service) listenClients() (stop func(), err error) {
	l, err := svc.bind(svc.cfg.Host, svc.cfg.Port)
	if err != nil {
		return nil, err
	}
	trusted, handler, idleTimeout := svc.admission.proxies, svc.clientHandler(), svc.cfg.AuthTimeout
	if len(trusted) == 0 {
		stop = svc.serve(l, handler, idleTimeout)
	} else {
		direct, proxied := splitProxied(l, trusted, svc.cfg.ReadTimeout)
		stopDirect, stopProxied := svc.serve(direct, handler, idleTimeout), svc.serve(proxied, handler, proxyIdleTimeout)
		stop = func() { stopDirect(); stopProxied() }
	}
	svc.clientAddr <- l.Addr().String()
	return stop, nil
}

func (svc *Service) bind(host string, port int) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(svc.ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return l, nil
}

// serve serves a listener until stop is called, which waits.
func (svc *Service) serve(l net.Listener, handler http.Handler, idle time.Duration) (stop func()) {
	bodies := slowhttp.Rule{Timeout: svc.cfg.ReadTimeout, Part: svc.cfg.readPart()}
	server := &http.Server{
		Handler: slowhttp.Guard(handler, bodies), ReadHeaderTimeout: min(svc.cfg.ReadTimeout, idle), IdleTimeout: idle,
		MaxHeaderBytes: maxHeaderBytes, ErrorLog: nil,
	}
	done := make(chan struct{})
	started := svc.host.Go("listener "+l.Addr().String(), func(context.Context) error {
		defer close(done)
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	if !started { // the host stops
		close(done)
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(svc.ctx), shutdownTimeout)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			_ = server.Close()
		}
		_ = l.Close()
		<-done
	}
}

// randomID is 128 random bits, base64url.
func randomID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand since Go 1.24)
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// newSID names an Engine.IO session; its beginning says which gateway has it.
func (svc *Service) newSID() string { return svc.host.InstanceID() + "." + randomID() }

// newSocketID names a socket of the plain profile.
func (svc *Service) newSocketID() string { return randomID() }
