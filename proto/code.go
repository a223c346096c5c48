package proto

// Code is the closed list of error codes a client can see (CONTRACT §3).
// Whether a code is worth a retry, its title and its HTTP status belong to the
// code and stand in the table below, never at a call site.
type Code string

const (
	AuthenticationRequired Code = "AUTHENTICATION_REQUIRED"
	InvalidToken           Code = "INVALID_TOKEN"
	TokenExpired           Code = "TOKEN_EXPIRED"
	TokenRevoked           Code = "TOKEN_REVOKED"
	RateLimitExceeded      Code = "RATE_LIMIT_EXCEEDED"
	InvalidPayload         Code = "INVALID_PAYLOAD"
	PayloadTooLarge        Code = "PAYLOAD_TOO_LARGE"
	UnknownEvent           Code = "UNKNOWN_EVENT"
	ChatNotFound           Code = "CHAT_NOT_FOUND"
	MessageNotFound        Code = "MESSAGE_NOT_FOUND"
	PermissionDenied       Code = "PERMISSION_DENIED"
	Conflict               Code = "CONFLICT"
	InvalidStatus          Code = "INVALID_STATUS"
	InvalidReaction        Code = "INVALID_REACTION"
	ReactionLimit          Code = "REACTION_LIMIT"
	SubscriptionLimit      Code = "SUBSCRIPTION_LIMIT"
	CallNotFound           Code = "CALL_NOT_FOUND"
	CallBusy               Code = "CALL_BUSY"
	CallGlare              Code = "CALL_GLARE"
	CallAlreadyAnswered    Code = "CALL_ALREADY_ANSWERED"
	CallEnded              Code = "CALL_ENDED"
	ServiceUnavailable     Code = "SERVICE_UNAVAILABLE"
	Timeout                Code = "TIMEOUT"
	IdleTimeout            Code = "IDLE_TIMEOUT"
	SlowConsumer           Code = "SLOW_CONSUMER"
	ServerShutdown         Code = "SERVER_SHUTDOWN"
	ConnectionLimit        Code = "CONNECTION_LIMIT"
	InternalError          Code = "INTERNAL_ERROR"
)

// CodeRow is what belongs to a code.
type CodeRow struct {
	Code      Code
	Title     string // the ack's short `error`
	Retryable bool   // the same request may succeed later
	Status    int    // on the admin HTTP API
}

// Codes is every code there is, in the order of CONTRACT §3.
var Codes = []CodeRow{
	{AuthenticationRequired, "Authentication required", false, 401},
	{InvalidToken, "Invalid token", false, 401},
	{TokenExpired, "Token expired", false, 401},
	{TokenRevoked, "Token revoked", false, 401},
	{RateLimitExceeded, "Rate limit exceeded", true, 429},
	{InvalidPayload, "Invalid payload", false, 400},
	{PayloadTooLarge, "Payload too large", false, 413},
	{UnknownEvent, "Unknown event", false, 404},
	{ChatNotFound, "Chat not found", false, 404},
	{MessageNotFound, "Message not found", false, 404},
	{PermissionDenied, "Permission denied", false, 403},
	{Conflict, "Conflict", false, 409},
	{InvalidStatus, "Invalid status", false, 400},
	{InvalidReaction, "Invalid reaction", false, 400},
	{ReactionLimit, "Reaction limit", false, 409},
	{SubscriptionLimit, "Subscription limit", false, 409},
	{CallNotFound, "Call not found", false, 404},
	{CallBusy, "Call busy", false, 409},
	{CallGlare, "Call glare", false, 409},
	{CallAlreadyAnswered, "Call already answered", false, 409},
	{CallEnded, "Call ended", false, 409},
	{ServiceUnavailable, "Service unavailable", true, 503},
	{Timeout, "Timeout", true, 504},
	{IdleTimeout, "Idle timeout", false, 408},
	{SlowConsumer, "Slow consumer", false, 408},
	{ServerShutdown, "Server shutdown", true, 503},
	{ConnectionLimit, "Connection limit", false, 429},
	{InternalError, "Internal error", true, 500},
}

var codeRows = func() map[Code]CodeRow {
	m := make(map[Code]CodeRow, len(Codes))
	for _, row := range Codes {
		m[row.Code] = row
	}
	return m
}()

// Row is the code's line of the table; an unknown code is INTERNAL_ERROR's.
func (c Code) Row() CodeRow {
	if row, ok := codeRows[c]; ok {
		return row
	}
	return codeRows[InternalError]
}

// Known says whether c is in the closed list.
func (c Code) Known() bool { _, ok := codeRows[c]; return ok }

// CloseCode is a websocket close code of the plain profile (CONTRACT §2).
// 4000–4499 tell the client to reconnect, 4500–4999 not to.
type CloseCode int

const (
	CloseDrain           CloseCode = 1012
	CloseInternal        CloseCode = 1011
	CloseOverloaded      CloseCode = 1013
	CloseUnsupported     CloseCode = 1003
	CloseBadEncoding     CloseCode = 1007
	CloseTooBig          CloseCode = 1009
	CloseTokenExpired    CloseCode = 4401
	CloseSlowConsumer    CloseCode = 4408
	CloseAuthDeadline    CloseCode = 4409
	CloseConnectionLimit CloseCode = 4429
	CloseProtocolError   CloseCode = 4500
	CloseRevoked         CloseCode = 4501
	CloseTakenOver       CloseCode = 4502
	CloseIdle            CloseCode = 4503
)

// CloseRow is what belongs to a close code.
type CloseRow struct {
	Code      CloseCode
	Reason    string // the close frame's reason, at most 123 bytes (RFC 6455 §5.5)
	Reconnect bool   // the client should come back by itself
}

// CloseCodes is every close code this mesh sends.
var CloseCodes = []CloseRow{
	{CloseDrain, "server restarting", true},
	{CloseInternal, "internal error", true},
	{CloseOverloaded, "overloaded", true},
	{CloseUnsupported, "text frames only", false},
	{CloseBadEncoding, "invalid UTF-8", false},
	{CloseTooBig, "message too big", false},
	{CloseTokenExpired, "token expired", true},
	{CloseSlowConsumer, "slow consumer", true},
	{CloseAuthDeadline, "authentication deadline", true},
	{CloseConnectionLimit, "connection limit", true},
	{CloseProtocolError, "protocol error", false},
	{CloseRevoked, "revoked", false},
	{CloseTakenOver, "taken over", false},
	{CloseIdle, "idle", false},
}

// Row is the close code's line of the table; an unknown code is 1011's.
func (c CloseCode) Row() CloseRow {
	for _, row := range CloseCodes {
		if row.Code == c {
			return row
		}
	}
	return CloseInternal.Row()
}
