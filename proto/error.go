package proto

import (
	"errors"
	"fmt"
	"time"
)

// Error is a failure a client may see. Anything else a handler returns is
// logged and becomes INTERNAL_ERROR with a fixed text: internals never leak.
type Error struct {
	Code       Code
	Message    string        // for people
	Field      string        // the request's field it concerns, if one
	RetryAfter time.Duration // how long to wait before a retry, if known
	CallID     string        // the call that it concerns, where that is another than was named
}

// Errorf makes an Error with a formatted message.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// FieldError is INVALID_PAYLOAD about one field of the request. A cause that
// is an Error already lends its code and message.
func FieldError(field string, cause error) *Error {
	var e *Error
	if errors.As(cause, &e) {
		out := *e
		out.Field = field
		out.Message = field + " " + e.Message
		return &out
	}
	return &Error{Code: InvalidPayload, Field: field, Message: field + " " + cause.Error()}
}

// Error is the text for logs: code, field and message.
func (e *Error) Error() string {
	if e.Field != "" {
		return fmt.Sprintf("%s (%s): %s", e.Code, e.Field, e.Message)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Message)
}

// Is matches errors of the same code, so that callers can branch with errors.Is.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && t.Message == "" && t.Field == ""
}

// Failure is the body of a failure ack (CONTRACT §3).
type Failure struct {
	Success      bool   `json:"success"`
	Error        string `json:"error"`   // ‡ the code's short title
	Message      string `json:"message"` // ‡ for people
	Code         Code   `json:"code"`
	Retryable    bool   `json:"retryable"`
	RetryAfterMs int64  `json:"retryAfterMs,omitzero"`
	Field        string `json:"field,omitzero"`
	CallID       string `json:"callId,omitzero"` // of CALL_GLARE: the call that rings already
	RequestID    string `json:"requestId"`
}

// Failure is e as the failure ack of one request.
func (e *Error) Failure(requestID string) Failure {
	row := e.Code.Row()
	return Failure{
		Error: row.Title, Message: e.Message, Code: row.Code, Retryable: row.Retryable,
		RetryAfterMs: e.RetryAfter.Milliseconds(), Field: e.Field, CallID: e.CallID, RequestID: requestID,
	}
}

// AsError is the Error in err's chain, or INTERNAL_ERROR with a fixed text.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: InternalError, Message: "internal error"}
}
