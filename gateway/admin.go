package gateway

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"io"
	"net/http"
	"strings"

	"supmesh.dev/gateway/auth"
	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/wire"
)

// maxAdminBody bounds a backend's request, in bytes.
const maxAdminBody = 1 << 20

// maxIdempotencyKey bounds the Idempotency-Key header, in bytes.
const maxIdempotencyKey = 128

// adminHandler is the admin HTTP API: every row of the catalogue that has an
// HTTP route, as a request with a backend's rights to the row's subject.
func (svc *Service) adminHandler() (http.Handler, error) {
	mux := http.NewServeMux()
	for _, e := range proto.Endpoints {
		row, _, _ := e.Describe()
		if row.HTTP == "" {
			continue
		}
		if row.Subject == "" {
			return nil, errors.New("catalogue: " + row.HTTP + " has no subject")
		}
		mux.HandleFunc(row.HTTP, func(w http.ResponseWriter, r *http.Request) { svc.serveAdmin(w, r, row) })
	}
	want := sha256.Sum256([]byte(svc.cfg.AdminToken.Reveal()))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Hashed first, so that the comparison tells nothing of the length either.
		got := sha256.Sum256([]byte(auth.Bearer(r.Header.Get("Authorization"))))
		if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			writeFailure(w, proto.Errorf(proto.AuthenticationRequired, "a bearer token of the admin API is required"))
			return
		}
		if _, pattern := mux.Handler(r); pattern == "" {
			writeFailure(w, proto.Errorf(proto.UnknownEvent, "no such route"))
			return
		}
		mux.ServeHTTP(w, r)
	}), nil
}

func (svc *Service) serveAdmin(w http.ResponseWriter, r *http.Request, row proto.Row) {
	body, err := adminBody(w, r, row)
	if err != nil {
		writeFailure(w, proto.AsError(err))
		return
	}
	options := []services.RequestOption{services.WithRow(row)}
	if key := r.Header.Get("Idempotency-Key"); key != "" {
		if len(key) > maxIdempotencyKey || strings.ContainsFunc(key, func(c rune) bool { return c < ' ' || c > '~' }) {
			writeFailure(w, proto.Errorf(proto.InvalidPayload, "Idempotency-Key must be at most %d printable ASCII characters", maxIdempotencyKey))
			return
		}
		options = append(options, services.WithIdempotencyKey(key))
	}
	actor := proto.Actor{Backend: true, Gateway: svc.host.InstanceID()}
	reply, err := svc.host.Request(r.Context(), row.Subject, actor, body, options...)
	status := http.StatusOK
	switch {
	case err != nil:
		status = proto.AsError(err).Code.Row().Status
	case reply.Err != nil:
		status = reply.Err.Code.Row().Status
	}
	writeJSON(w, status, reply.Body)
}

// adminBody is the request's JSON object with the path's parameters in it;
// what the path says wins.
func adminBody(w http.ResponseWriter, r *http.Request, row proto.Row) ([]byte, error) {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAdminBody))
	var tooBig *http.MaxBytesError
	switch {
	case errors.As(err, &tooBig):
		return nil, proto.Errorf(proto.PayloadTooLarge, "the body must be at most %d bytes", maxAdminBody)
	case err != nil:
		return nil, proto.Errorf(proto.InvalidPayload, "the body cannot be read")
	}
	fields := map[string]proto.Raw{}
	if len(data) > 0 {
		if err := wire.Unmarshal(data, &fields); err != nil {
			return nil, err
		}
		if fields == nil {
			fields = map[string]proto.Raw{}
		}
	}
	for name := range pathParameters(row.HTTP) {
		fields[name] = wire.AppendString(nil, r.PathValue(name))
	}
	return wire.Marshal(fields)
}

// pathParameters is the names in braces of a route.
func pathParameters(route string) map[string]bool {
	names := map[string]bool{}
	for rest := route; ; {
		_, after, ok := strings.Cut(rest, "{")
		if !ok {
			return names
		}
		name, behind, _ := strings.Cut(after, "}")
		names[name], rest = true, behind
	}
}

func writeFailure(w http.ResponseWriter, e *proto.Error) {
	writeJSON(w, e.Code.Row().Status, failureBody(e, newRequestID()))
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a client that left is no error
}
