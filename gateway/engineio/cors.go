package engineio

import "net/http"

// allowOrigin applies CORS (Fetch, section 3.2) to a request and reports whether its origin may talk to us. An allowed
// origin is reflected, never replaced by "*", because credentials are allowed with it. A browser sends one Origin; of two it
// cannot be told which one is its own.
func (srv *Server) allowOrigin(w http.ResponseWriter, r *http.Request) bool {
	origins := r.Header.Values("Origin")
	if len(origins) == 0 || len(origins) == 1 && origins[0] == "" {
		return true
	}
	h := w.Header()
	h.Add("Vary", "Origin")
	if len(origins) > 1 || !srv.cfg.CheckOrigin(r) {
		return false
	}
	h.Set("Access-Control-Allow-Origin", origins[0])
	h.Set("Access-Control-Allow-Credentials", "true")
	return true
}

// preflight answers OPTIONS of an allowed origin.
func preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
	if want := r.Header.Get("Access-Control-Request-Headers"); want != "" {
		h.Add("Vary", "Access-Control-Request-Headers")
		h.Set("Access-Control-Allow-Headers", want)
	}
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
}
