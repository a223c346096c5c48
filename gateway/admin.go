package gateway

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"math"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"

	"supmesh.dev/gateway/auth"
	"supmesh.dev/gateway/engineio/slowhttp"
	"supmesh.dev/proto"
	"supmesh.dev/proto/schema"
	"supmesh.dev/services"
)

// replayedHeader is on an answer that an earlier request with the same
// Idempotency-Key made.
const replayedHeader = "Idempotency-Replayed"

// adminHandler is the admin HTTP API: every row of the catalogue that has an
// HTTP route, as a request with a backend's rights to the row's subject, and
// the document that describes them, which needs no token.
func (svc *Service) adminHandler() (http.Handler, error) {
	mux := http.NewServeMux()
	for _, e := range proto.Endpoints {
		row, req, _ := e.Describe()
		if row.HTTP == "" {
			continue
		}
		if row.Subject == "" {
			return nil, errors.New("catalogue: " + row.HTTP + " has no subject")
		}
		route := newAdminRoute(row, req)
		mux.HandleFunc(row.HTTP, func(w http.ResponseWriter, r *http.Request) { svc.serveAdmin(w, r, route) })
	}
	public := http.NewServeMux()
	public.HandleFunc("GET /openapi.json", serveDocument)
	want := sha256.Sum256([]byte(svc.cfg.AdminToken.Reveal()))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if allowed(public, r) != nil {
			serveRoute(public, w, r)
			return
		}
		// Hashed first, so that the comparison tells nothing of the length either.
		given := auth.Bearer(r.Header.Get("Authorization"))
		got := sha256.Sum256([]byte(given))
		if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			challenge := `Bearer realm="admin"`
			if given != "" { // RFC 6750 §3.1: no error code where no token was given
				challenge += `, error="invalid_token"`
			}
			w.Header().Set("WWW-Authenticate", challenge)
			writeFailure(w, proto.Errorf(proto.AuthenticationRequired, "a bearer token of the admin API is required"))
			return
		}
		serveRoute(mux, w, r)
	}), nil
}

// serveRoute serves what the mux has, with the API's own words for what it has not.
func serveRoute(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) {
	methods := allowed(mux, r)
	switch {
	case methods == nil:
		writeFailure(w, proto.Errorf(proto.UnknownEvent, "no such route"))
	case !slices.Contains(methods, r.Method):
		// The closed list of codes has none for it; the status says which it is.
		w.Header().Set("Allow", strings.Join(methods, ", "))
		e := proto.Errorf(proto.UnknownEvent, "the route allows %s", strings.Join(methods, ", "))
		writeJSON(w, http.StatusMethodNotAllowed, failureBody(e, newRequestID()))
	default:
		mux.ServeHTTP(w, r)
	}
}

// allowed is the methods that the path has; nil: there is no such path. One
// that ServeMux would redirect to its clean form is none: what a redirect
// makes of a PUT is the client's guess.
func allowed(mux *http.ServeMux, r *http.Request) (methods []string) {
	escaped := r.URL.EscapedPath()
	if path.Clean(escaped) != escaped {
		return nil
	}
	for _, method := range []string{http.MethodDelete, http.MethodGet, http.MethodHead, http.MethodPatch, http.MethodPost, http.MethodPut} {
		probe := http.Request{Method: method, URL: r.URL, Host: r.Host}
		if _, pattern := mux.Handler(&probe); pattern != "" {
			methods = append(methods, method)
		}
	}
	return methods
}

func serveDocument(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-cache")
	_ = slowhttp.Write(w, schema.OpenAPI, writeTimeout) // a client that left is no error
}

func (svc *Service) serveAdmin(w http.ResponseWriter, r *http.Request, route *adminRoute) {
	body, err := route.read(w, r)
	if err != nil {
		writeFailure(w, proto.AsError(err))
		return
	}
	options := []services.RequestOption{services.WithRow(route.row)}
	if keys, given := r.Header[proto.IdempotencyKey]; given {
		if len(keys) > 1 {
			err = proto.FieldError(proto.IdempotencyKey, errors.New("must not stand twice"))
		} else {
			err = proto.CheckIdempotencyKey(keys[0])
		}
		if err != nil {
			writeFailure(w, proto.AsError(err))
			return
		}
		options = append(options, services.WithIdempotencyKey(keys[0]))
	}
	actor := proto.Actor{Backend: true, Gateway: svc.host.InstanceID()}
	reply, err := svc.host.Request(r.Context(), route.row.Subject, actor, body, options...)
	if err == nil && reply.Err == nil {
		replayed(w, reply)
		writeJSON(w, http.StatusOK, reply.Body)
		return
	}
	e := reply.Err
	if err != nil {
		e = proto.AsError(err)
	}
	replayed(w, reply)
	retryAfter(w, e)
	writeJSON(w, e.Code.Row().Status, reply.Body)
}

func replayed(w http.ResponseWriter, reply services.Reply) {
	if reply.Replayed {
		w.Header().Set(replayedHeader, "true")
	}
}

// retryAfter says in whole seconds (RFC 9110 §10.2.3) what the body says in
// milliseconds.
func retryAfter(w http.ResponseWriter, e *proto.Error) {
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	}
}

func writeFailure(w http.ResponseWriter, e *proto.Error) {
	retryAfter(w, e)
	writeJSON(w, e.Code.Row().Status, failureBody(e, newRequestID()))
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Connection", "close")
	}
	w.WriteHeader(status)
	_ = slowhttp.Write(w, append(body, '\n'), writeTimeout) // a client that left is no error
}
