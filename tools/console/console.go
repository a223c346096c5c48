package console

import (
	"embed"
	"encoding/json"
	"io/fs"
	"net"
	"net/http"
	"strconv"
	"time"
)

//go:embed static
var files embed.FS

// Options are what the page stands on.
type Options struct {
	// GatewayPort is where the gateway listens, on the host the page came from.
	GatewayPort int
	// Mint makes a token; its error is shown to the user.
	Mint func(user, device, name string) (string, error)
}

// maxTokenRequest bounds the body of a token request: three ids and JSON.
const maxTokenRequest = 8 << 10

// Handler serves the page, its settings and its tokens.
func Handler(opts Options) http.Handler {
	static, err := fs.Sub(files, "static")
	if err != nil {
		panic(err) // the folder is embedded above
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(static))
	mux.HandleFunc("GET /config.json", func(w http.ResponseWriter, r *http.Request) {
		answer(w, map[string]string{"gateway": "http://" + opts.gateway(r)})
	})
	mux.HandleFunc("POST /token", opts.token)
	// A foreign page may send a form here; it must not even cause a token.
	guarded := http.NewCrossOriginProtection().Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !local(r.Host) {
			http.Error(w, "this page is for localhost only", http.StatusMisdirectedRequest)
			return
		}
		opts.secure(w.Header(), r)
		guarded.ServeHTTP(w, r)
	})
}

// Origins are the origins that a browser shows for a page served on this port.
func Origins(port int) []string {
	p := strconv.Itoa(port)
	return []string{"http://localhost:" + p, "http://127.0.0.1:" + p, "http://[::1]:" + p}
}

// local says whether a Host header names this machine's loopback.
func local(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// gateway is the gateway's address as the browser of r reaches it.
func (o Options) gateway(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	return net.JoinHostPort(host, strconv.Itoa(o.GatewayPort))
}

// secure sets what the browser may do with the page: its own files and the
// gateway, nothing inline, nowhere else, and in no frame.
func (o Options) secure(h http.Header, r *http.Request) {
	gateway := o.gateway(r)
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; worker-src 'self'; "+
		"connect-src 'self' http://"+gateway+" ws://"+gateway+"; "+
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types push-worker")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache")
}

// token answers {userId, deviceId?, name?} with {token}.
func (o Options) token(w http.ResponseWriter, r *http.Request) {
	var req struct {
		UserID   string `json:"userId"`
		DeviceID string `json:"deviceId"`
		Name     string `json:"name"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxTokenRequest)).Decode(&req); err != nil {
		http.Error(w, "not a token request", http.StatusBadRequest)
		return
	}
	token, err := o.Mint(req.UserID, req.DeviceID, req.Name)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	answer(w, map[string]string{"token": token})
}

func answer(w http.ResponseWriter, body map[string]string) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // the browser has gone
}

// Server is a bounded http.Server for Handler; serve it on a loopback listener.
func Server(opts Options) *http.Server {
	return &http.Server{
		Handler:           Handler(opts),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
}
