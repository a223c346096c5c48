package proto

import (
	"time"
	"unicode/utf8"
)

// Status is how a user, or one of their devices, is there (CONTRACT §4.6).
type Status string

const (
	StatusOnline  Status = "online"
	StatusAway    Status = "away"
	StatusBusy    Status = "busy"
	StatusOffline Status = "offline" // set by the user: invisible
	// StatusUnknown is said where nobody can know: the gateway of the user's
	// devices, or the registry, is away. No presence:update carries it.
	StatusUnknown Status = "unknown"
)

// Bounds of presence (CONTRACT §4.6, §4.7).
const (
	MaxCustomStatus  = 140  // characters
	MaxSubscribe     = 100  // users of one presence:subscribe
	MaxSubscriptions = 1000 // of one connection
	MaxRelations     = 2000 // contacts, and blocks, of one user
)

// PresenceEvery is how often the change of one user is told at most.
const PresenceEvery = 500 * time.Millisecond

// UpdatePresenceReq is `presence:update`. online and away are of the device that
// says so; busy and offline are of the user, until changed: by online from any
// device, or by away from the device that set them.
type UpdatePresenceReq struct {
	Status       Status     `json:"status,omitzero" rule:"enum=online|away|busy|offline"` // ‡ this, or isOnline
	IsOnline     *bool      `json:"isOnline,omitzero"`                                    // online, or offline
	CustomStatus *string    `json:"customStatus,omitzero" rule:"chars=..140"`             // ‡ empty: none any more; absent: as it was
	Until        *Timestamp `json:"until,omitzero"`                                       // when busy, offline and the custom status that are set here end
}

// Validate checks every field; the error names the first that is wrong.
func (r *UpdatePresenceReq) Validate() error {
	return first(
		r.checkStatus(),
		check("customStatus", r.CustomStatus == nil || utf8.RuneCountInString(*r.CustomStatus) <= MaxCustomStatus, "must be at most 140 characters"),
	)
}

func (r *UpdatePresenceReq) checkStatus() error {
	switch r.Status {
	case StatusOnline, StatusAway, StatusBusy, StatusOffline:
		return nil
	case "":
		return check("status", r.IsOnline != nil, "must be one of online, away, busy, offline")
	case StatusUnknown: // nobody is that by choice
	}
	return &Error{Code: InvalidStatus, Field: "status", Message: "status must be one of online, away, busy, offline"}
}

// Wanted is the status that is asked for, whichever way it was said.
func (r *UpdatePresenceReq) Wanted() Status {
	switch {
	case r.Status != "":
		return r.Status
	case r.IsOnline != nil && *r.IsOnline:
		return StatusOnline
	}
	return StatusOffline
}

// UpdatePresenceRes is its ack.
type UpdatePresenceRes struct {
	Status          Status `json:"status"`          // as it was asked for
	EffectiveStatus Status `json:"effectiveStatus"` // as others see it
	CustomStatus    string `json:"customStatus,omitzero"`
	LastSeen        int64  `json:"lastSeen"` // Unix milliseconds
	// Own is what the user has set, for the gateway, which tells it again should
	// the registry be lost.
	Own *OwnPresence `json:"own,omitzero"`
}

// Presence is `presence:update`: how a user is there, as the one who gets it may
// see them. Where they may not, the user looks offline.
type Presence struct {
	UserID       string     `json:"userId"`                                              // ‡
	Status       Status     `json:"status" rule:"enum=online|away|busy|offline|unknown"` // ‡ unknown only in acks
	LastSeen     int64      `json:"lastSeen,omitzero"`                                   // ‡ Unix milliseconds; of those who are offline
	CustomStatus string     `json:"customStatus,omitzero"`                               // ‡
	LastSeenAt   *Timestamp `json:"lastSeenAt,omitzero"`                                 // lastSeen again
	Version      uint64     `json:"version"`                                             // grows with each change; 0: none is known
}

// SubscribePresenceReq is `presence:subscribe`: this connection wants to know how
// users are there, from now on.
type SubscribePresenceReq struct {
	UserIDs []string `json:"userIds" rule:"n=1..100 each=id"` // ‡
}

// Validate checks every field; the error names the first that is wrong.
func (r *SubscribePresenceReq) Validate() error { return checkUserIDs(r.UserIDs) }

// SubscribePresenceRes is its ack.
type SubscribePresenceRes struct {
	Presences []Presence `json:"presences"`
	Denied    []string   `json:"denied"` // of them: these look offline
	Total     int        `json:"total"`  // subscriptions of this connection
}

// UnsubscribePresenceReq is `presence:unsubscribe`.
type UnsubscribePresenceReq struct {
	UserIDs []string `json:"userIds" rule:"n=1..100 each=id"` // ‡
}

// Validate checks every field; the error names the first that is wrong.
func (r *UnsubscribePresenceReq) Validate() error { return checkUserIDs(r.UserIDs) }

// UnsubscribePresenceRes is its ack.
type UnsubscribePresenceRes struct {
	Total int `json:"total"` // subscriptions of this connection
}

// OwnPresence is what a user has set of themselves.
type OwnPresence struct {
	Status       Status     `json:"status,omitzero" rule:"enum=busy|offline"` // absent: the devices decide
	StatusUntil  *Timestamp `json:"statusUntil,omitzero"`
	CustomStatus string     `json:"customStatus,omitzero"`
	CustomUntil  *Timestamp `json:"customUntil,omitzero"`
	By           string     `json:"by,omitzero"` // the device that set the status
	At           int64      `json:"at"`          // Unix milliseconds; the newer wins
}

// PresenceOf is `GET /v1/users/{userId}/presence`. Backends only.
type PresenceOf struct {
	UserID string `json:"userId" rule:"id"`
	Cursor string `json:"cursor,omitzero" rule:"chars=..64"` // nextCursor of the page before, of the sessions
}

// Validate checks every field; the error names the first that is wrong.
func (r *PresenceOf) Validate() error {
	return first(field("userId", CheckID(r.UserID)), checkSessionsCursor(r.Cursor))
}

func checkSessionsCursor(cursor string) error {
	return check("cursor", len(cursor) <= 64, "must be nextCursor of an earlier page")
}

// PresenceState is its answer: everything that is known of one user.
type PresenceState struct {
	UserID    string       `json:"userId"`
	Status    Status       `json:"status" rule:"enum=online|away|busy|offline|unknown"` // the truth, invisible or not
	Effective Status       `json:"effective" rule:"enum=online|away|busy|offline"`      // as others see it
	LastSeen  int64        `json:"lastSeen,omitzero"`                                   // Unix milliseconds
	Version   uint64       `json:"version"`
	Own       *OwnPresence `json:"own,omitzero"`
	Sessions  []Session    `json:"sessions"` // as many as fit, newest first
	// NextCursor asks for further sessions; absent where there are none.
	NextCursor string `json:"nextCursor,omitzero"`
}

// Session is one connection of a user, or one that has just ended.
type Session struct {
	ID          string    `json:"id"` // names it; not what a return presents
	DeviceID    string    `json:"deviceId"`
	Gateway     string    `json:"gateway"`
	Status      Status    `json:"status" rule:"enum=online|away"` // the device's own
	State       string    `json:"state" rule:"enum=connected|leaving|unknown"`
	ConnectedAt Timestamp `json:"connectedAt"`
	Current     bool      `json:"current,omitzero"` // the one that asks
}

// States of a Session.
const (
	SessionConnected = "connected"
	SessionLeaving   = "leaving" // closed, and may return within the grace
	SessionUnknown   = "unknown" // its gateway is not heard of
)

// ListSessionsReq is `session:list`: one's own connections.
type ListSessionsReq struct {
	Cursor string `json:"cursor,omitzero" rule:"chars=..64"` // nextCursor of the page before
}

// Validate checks every field; the error names the first that is wrong.
func (r *ListSessionsReq) Validate() error { return checkSessionsCursor(r.Cursor) }

// SessionsRes is its ack, and the answer to a backend: as many as fit, newest first.
type SessionsRes struct {
	Sessions   []Session `json:"sessions"`
	NextCursor string    `json:"nextCursor,omitzero"` // asks for the next page; absent on the last
}

// PutRelationsReq sets all contacts, or all blocks, of a user. Backends only.
type PutRelationsReq struct {
	UserID  string   `json:"userId" rule:"id"`
	UserIDs []string `json:"userIds" rule:"n=..2000 each=id"`
}

// Validate checks every field; the error names the first that is wrong.
func (r *PutRelationsReq) Validate() error {
	return first(
		field("userId", CheckID(r.UserID)),
		check("userIds", len(r.UserIDs) <= MaxRelations, "must be at most 2000"),
		each("userIds", r.UserIDs, CheckID),
	)
}

// RelationsRes is its answer.
type RelationsRes struct {
	UserID  string `json:"userId"`
	Count   int    `json:"count"`
	Version uint64 `json:"version"` // of the user's relations: the log position of the change
}

// Relations is an entry of a user's log: everybody the user is related to, whole.
// No client sees it.
type Relations struct {
	Contacts []string `json:"contacts"` // these may see the user
	Blocks   []string `json:"blocks"`   // neither sees the other
}

func checkUserIDs(ids []string) error {
	return first(
		check("userIds", len(ids) >= 1 && len(ids) <= MaxSubscribe, "must be 1 to 100"),
		each("userIds", ids, CheckID),
	)
}
