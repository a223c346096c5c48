package proto

// Connected is `connected`, the first event on every connection.
type Connected struct {
	UserID         string     `json:"userId"`   // ‡
	SocketID       string     `json:"socketId"` // ‡
	DeviceID       string     `json:"deviceId,omitzero"`
	PID            string     `json:"pid"`     // names the session; a return presents it
	Resumed        bool       `json:"resumed"` // the session continues: nothing was missed
	Resync         bool       `json:"resync"`  // continuity is lost: pull each chat current
	Missed         uint64     `json:"missed"`  // messages that follow from the device's queue
	ServerTime     Timestamp  `json:"serverTime"`
	TokenExpiresAt Timestamp  `json:"tokenExpiresAt"`
	Features       []string   `json:"features"` // client events this mesh answers
	Limits         LimitTable `json:"limits"`
	MaxPayload     int        `json:"maxPayload"` // bytes
}

// LimitTable is event name → rate limit, as clients see it.
type LimitTable map[string]LimitRow

// LimitRow is one rate limit.
type LimitRow struct {
	Limit    int   `json:"limit"`
	WindowMs int64 `json:"windowMs"`
}

// ErrorEvent is `error`: a failure without an ack to carry it, to its socket alone.
type ErrorEvent struct {
	Message      string `json:"message"` // ‡
	Code         Code   `json:"code"`    // ‡
	Event        string `json:"event,omitzero"`
	Field        string `json:"field,omitzero"`
	TempID       string `json:"tempId,omitzero"`
	CallID       string `json:"callId,omitzero"`
	RetryAfterMs int64  `json:"retryAfterMs,omitzero"`
	RequestID    string `json:"requestId"`
}

// AuthRefreshReq is `auth:refresh`: a newer token for this connection, of the same user.
type AuthRefreshReq struct {
	Token string `json:"token" rule:"bytes=1.."`
}

// Validate checks every field; the error names the first that is wrong.
func (r *AuthRefreshReq) Validate() error {
	return check("token", r.Token != "", "must not be empty")
}

// AuthRefreshRes is its ack.
type AuthRefreshRes struct {
	TokenExpiresAt Timestamp `json:"tokenExpiresAt"`
}

// AuthExpiring is `auth:expiring`, 60 s before the token expires.
type AuthExpiring struct {
	ExpiresAt Timestamp `json:"expiresAt"`
}

// ServerDrain is `server:drain`, at least 1 s before the paced close.
type ServerDrain struct {
	ReconnectInMs int64  `json:"reconnectInMs"`
	Reason        string `json:"reason"`
}

// Pong is the answer of the plain profile to {"event":"ping"}.
type Pong struct {
	TS Timestamp `json:"ts"`
}
