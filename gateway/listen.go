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

// Bounds on HTTP requests before anything of ours sees them.
const (
	idleTimeout     = 75 * time.Second
	maxHeaderBytes  = 16 << 10
	shutdownTimeout = 2 * time.Second
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
	l, err := (&net.ListenConfig{}).Listen(svc.ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	bodies := slowhttp.Rule{Timeout: svc.cfg.ReadTimeout, Part: svc.cfg.readPart()}
	server := &http.Server{
		Handler: slowhttp.Guard(handler, bodies), ReadHeaderTimeout: svc.cfg.ReadTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaderBytes, ErrorLog: nil,
	}
	done := make(chan struct{})
	svc.host.Go("listener "+l.Addr().String(), func(context.Context) error {
		defer close(done)
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	addr <- l.Addr().String()
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(svc.ctx), shutdownTimeout)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			_ = server.Close()
		}
		<-done
	}, nil
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
