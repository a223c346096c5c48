package wsconn

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// Engine runs the connections of one process.
type Engine struct {
	cfg Config

	mu      sync.Mutex
	stopped bool
	conns   map[*Conn]struct{}
	wg      sync.WaitGroup
}

// New checks the configuration. Nothing runs before Run.
func New(cfg Config) (*Engine, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Engine{cfg: cfg, conns: map[*Conn]struct{}{}}, nil
}

// Run serves the connections until ctx ends; then it aborts those that are left with ErrStopped and returns when all of them,
// and every goroutine, have ended.
func (e *Engine) Run(ctx context.Context) error {
	<-ctx.Done()
	e.mu.Lock()
	e.stopped = true
	open := make([]*Conn, 0, len(e.conns))
	for c := range e.conns {
		open = append(open, c)
	}
	e.mu.Unlock()
	for _, c := range open {
		c.Abort(ErrStopped)
	}
	e.wg.Wait()
	return nil
}

// Accept upgrades the request. On an error the response has been written. The HTTP handler must return soon after Accept, so
// that its memory is released; the connection lives on. Until Serve is called nothing is read.
func (e *Engine) Accept(w http.ResponseWriter, r *http.Request, opts AcceptOptions) (*Conn, error) {
	options, ok := acceptOptions(r, opts)
	if !ok {
		http.Error(w, http.StatusText(http.StatusForbidden), http.StatusForbidden)
		return nil, fmt.Errorf("accept websocket: origin %q is not allowed", r.Header.Get("Origin"))
	}
	h := &hijack{ResponseWriter: w}
	ws, err := websocket.Accept(h, r, options)
	if err != nil {
		return nil, fmt.Errorf("accept websocket: %w", err)
	}
	ws.SetReadLimit(e.cfg.ReadLimit)
	c := &Conn{engine: e, ws: ws, nc: h.nc, wake: make(chan struct{}, 1), gone: make(chan struct{})}
	c.seen.Store(time.Now().UnixNano())
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped {
		_ = ws.CloseNow()
		return nil, ErrStopped
	}
	e.conns[c] = struct{}{}
	e.wg.Go(c.writeLoop)
	return c, nil
}

type hijack struct {
	http.ResponseWriter
	nc net.Conn
}
