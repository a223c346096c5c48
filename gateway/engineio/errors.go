package engineio

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"
)

var (
	// ErrClosed is returned by Send after the session has ended or been told to.
	ErrClosed = errors.New("engineio: session closed")
	// ErrFull is returned by Send when the client does not take what is queued for it; nothing of that Send was queued.
	ErrFull = errors.New("engineio: session queue full")
)

// Reason says why a session ended, in the words of the reference implementation where it has any.
type Reason string

// The reasons this package gives.
const (
	ReasonTransportClose Reason = "transport close" // the client closed the websocket or sent a close packet
	ReasonTransportError Reason = "transport error" // connection lost, poll cancelled, overlapping requests
	ReasonPingTimeout    Reason = "ping timeout"
	ReasonParseError     Reason = "parse error" // malformed packet or payload
	ReasonForcedClose    Reason = "forced close"
	ReasonShutdown       Reason = "server shutting down"
)

// wireError is an answer of the protocol's table of HTTP errors.
type wireError struct {
	status  int
	code    int
	message string
}

var (
	errUnknownTransport = wireError{http.StatusBadRequest, 0, "Transport unknown"}
	errUnknownSID       = wireError{http.StatusBadRequest, 1, "Session ID unknown"}
	errHandshakeMethod  = wireError{http.StatusBadRequest, 2, "Bad handshake method"}
	errBadRequest       = wireError{http.StatusBadRequest, 3, "Bad request"}
	errForbidden        = wireError{http.StatusForbidden, 4, "Forbidden"}
	errVersion          = wireError{http.StatusBadRequest, 5, "Unsupported protocol version"}
	errTooLarge         = wireError{http.StatusRequestEntityTooLarge, 3, "Payload too large"}
)

func (e wireError) write(w http.ResponseWriter) {
	body := `{"code":` + strconv.Itoa(e.code) + `,"message":"` + e.message + `"}`
	writeBody(w, e.status, "application/json", []byte(body))
}

// Refusal answers a handshake that the server does not want to take now.
type Refusal struct {
	// Status is the HTTP status. Default 503, which makes clients back off and come back.
	Status int
	// RetryAfter is sent as Retry-After in whole seconds, rounded up; 0 sends none.
	RetryAfter time.Duration
	// Message is for people. Default: the status text.
	Message string
}

func (f *Refusal) write(w http.ResponseWriter) {
	status, message := f.Status, f.Message
	if status == 0 {
		status = http.StatusServiceUnavailable
	}
	if message == "" {
		message = http.StatusText(status)
	}
	if status == http.StatusServiceUnavailable { // a refused client must not keep its socket
		w.Header().Set("Connection", "close")
	}
	if f.RetryAfter > 0 {
		seconds := (f.RetryAfter + time.Second - 1) / time.Second
		w.Header().Set("Retry-After", strconv.Itoa(int(seconds)))
	}
	answer := struct {
		Code    *int   `json:"code,omitempty"`
		Message string `json:"message"`
	}{Message: message}
	if status == http.StatusForbidden {
		answer.Code = &errForbidden.code
	}
	body, _ := json.Marshal(answer) // a string and an int always marshal
	writeBody(w, status, "application/json", body)
}

func writeHead(w http.ResponseWriter, status int, contentType string, length int) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(length))
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
}

// writeBody writes a short answer.
func writeBody(w http.ResponseWriter, status int, contentType string, body []byte) {
	writeHead(w, status, contentType, len(body))
	_, _ = w.Write(body) // the client may be gone; polls check this themselves
}
