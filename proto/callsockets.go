package proto

import "unicode/utf8"

// CallSocketsReq is a gateway's word on its sockets, for the calls of their users.
type CallSocketsReq struct {
	// Returned have just become live, or may have missed something.
	Returned []CallSocket `json:"returned,omitzero" rule:"n=..256"`
	// Left took part in a call once, and are gone.
	Left []CallSocketLeft `json:"left,omitzero" rule:"n=..256"`
}

// Validate checks every field; the error names the first that is wrong.
func (r *CallSocketsReq) Validate() error {
	return first(
		checkReported("returned", r.Returned, func(s *CallSocket) error {
			return first(CheckID(s.UserID), CheckID(s.DeviceID), CheckID(s.SocketID), optional("was", s.Was, CheckID), s.Again.check())
		}),
		checkReported("left", r.Left, func(s *CallSocketLeft) error { return first(CheckID(s.UserID), CheckID(s.SocketID)) }),
	)
}

// CallSocket is a socket that is there.
type CallSocket struct {
	UserID   string `json:"userId" rule:"id"`
	DeviceID string `json:"deviceId" rule:"id"`
	SocketID string `json:"socketId" rule:"id"`
	Was      string `json:"was,omitzero" rule:"id"` // the socket that it continues, or itself
	// Again is CallSocketsRes.Again, where that was said of the socket.
	Again *CallAgain `json:"again,omitzero"`
}

// CallAgain is what a socket still lacks of which an answer had no room for everything.
type CallAgain struct {
	Answers []string `json:"answers" rule:"n=..3 each=id"` // users whose call:answer it lacks
}

func (a *CallAgain) check() error {
	if a == nil {
		return nil
	}
	return first(
		check("again.answers", len(a.Answers) <= MaxCallTargets, "must be at most 3"),
		each("again.answers", a.Answers, CheckID),
	)
}

// CallSocketLeft is a socket that is gone.
type CallSocketLeft struct {
	UserID   string    `json:"userId" rule:"id"`
	SocketID string    `json:"socketId" rule:"id"`
	At       Timestamp `json:"at"`
}

// CallSocketsRes is its answer: what the returned sockets are to be told, in order.
type CallSocketsRes struct {
	Events []SocketEvent `json:"events"`
	// Sides are those of the returned on which a side of a call is.
	Sides []CallSide `json:"sides,omitzero"`
	// Rest is how many of the returned, the last ones, are to be told of again: the
	// answer was full.
	Rest int `json:"rest,omitzero"`
	// Again is what the first of the rest still lacks, where it has had a part.
	Again *CallAgain `json:"again,omitzero"`
}

// CallSide is a socket on which a side of a call is.
type CallSide struct {
	SocketID string `json:"socketId"`
	CallID   string `json:"callId"`
	Talks    bool   `json:"talks,omitzero"` // the call was answered
}

// SocketEvent is a server event for one socket, without an offset.
type SocketEvent struct {
	SocketID string `json:"socketId"`
	CallID   string `json:"callId"` // a call:incoming that the socket has had by the log is not sent again
	Event    string `json:"event"`
	Data     Raw    `json:"data"`
}

// GetCallReq is `GET /v1/calls/{callId}`. Backends only.
type GetCallReq struct {
	CallID string `json:"callId" rule:"clientId"`
}

// Validate checks every field; the error names the first that is wrong.
func (r *GetCallReq) Validate() error { return field("callId", CheckClientID(r.CallID)) }

// CallState is its answer: a call without what its devices say to each other.
type CallState struct {
	CallID        string            `json:"callId"`
	CallerID      string            `json:"callerId"`
	CallType      CallType          `json:"callType" rule:"enum=audio|video"`
	ChatID        string            `json:"chatId,omitzero"`
	Status        CallStatus        `json:"status" rule:"enum=ringing|answered|ended|missed|rejected"`
	Reason        string            `json:"reason,omitzero"`
	EndedBy       string            `json:"endedBy,omitzero"`
	Participants  []CallParticipant `json:"participants"`
	CreatedAt     Timestamp         `json:"createdAt"`
	RingExpiresAt Timestamp         `json:"ringExpiresAt"`
	AnsweredAt    *Timestamp        `json:"answeredAt,omitzero"`
	EndedAt       *Timestamp        `json:"endedAt,omitzero"`
	Version       uint64            `json:"version"` // grows with each transition
}

// MaxReach bounds the users of one ReachReq.
const MaxReach = 16

// ReachReq asks how users can be reached. Services only.
type ReachReq struct {
	From    string   `json:"from,omitzero" rule:"id"` // as this user may know it; absent: as it is
	UserIDs []string `json:"userIds" rule:"n=1..16 each=id"`
}

// Validate checks every field; the error names the first that is wrong.
func (r *ReachReq) Validate() error {
	return first(
		optional("from", r.From, CheckID),
		check("userIds", len(r.UserIDs) >= 1 && len(r.UserIDs) <= MaxReach, "must be 1 to 16"),
		each("userIds", r.UserIDs, CheckID),
	)
}

// ReachRes is its answer, in the order of the users.
type ReachRes struct {
	Users []Reach `json:"users"`
}

// Reach is how one user can be reached.
type Reach struct {
	UserID string `json:"userId"`
	// Reachable says that the user has a connection, and does not hide it.
	Reachable bool `json:"reachable"`
	// Blocked says that one of the two has blocked the other.
	Blocked bool `json:"blocked,omitzero"`
	// Related says that they share a chat or that From is the user's contact; so it
	// is where nobody asks.
	Related bool          `json:"related"`
	Sockets []ReachSocket `json:"sockets"`
	Busy    bool          `json:"busy,omitzero"` // the user has set that
}

// ReachSocket is one connection, there or just gone.
type ReachSocket struct {
	SocketID string `json:"socketId"`
	DeviceID string `json:"deviceId"`
	State    string `json:"state" rule:"enum=connected|leaving|unknown"`
	// Seen is when there was a last sign of it, in Unix milliseconds: of one that is
	// connected its gateway's heartbeat, if nobody asks for a user; else its end. 0: not known.
	Seen int64 `json:"seen,omitzero"`
}

// AmongReq asks which users are members of a chat. Services only.
type AmongReq struct {
	ChatID  string   `json:"chatId" rule:"id"`
	UserIDs []string `json:"userIds" rule:"n=1..16 each=id"`
}

// Validate checks every field; the error names the first that is wrong.
func (r *AmongReq) Validate() error {
	return first(
		field("chatId", CheckID(r.ChatID)),
		check("userIds", len(r.UserIDs) >= 1 && len(r.UserIDs) <= MaxReach, "must be 1 to 16"),
		each("userIds", r.UserIDs, CheckID),
	)
}

// AmongRes is its answer.
type AmongRes struct {
	Members []string `json:"members"` // of those asked about
}

func charsAtMost(s string, n int) bool { return utf8.RuneCountInString(s) <= n }
