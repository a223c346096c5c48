package proto

import (
	"fmt"
	"slices"
	"time"
)

// Bounds of calls (CONTRACT §4.9–13).
const (
	MaxCallTargets   = 3        // of one call: with its caller four talk to each other
	MaxSDP           = 64 << 10 // bytes of one description
	MaxCandidate     = 4 << 10  // bytes of one candidate
	MaxBufferedICE   = 64       // candidates kept of one side for who is not there yet
	MinRing          = 10 * time.Second
	DefaultRing      = 45 * time.Second
	MaxRing          = 90 * time.Second
	MaxCallReason    = 64 // characters
	MaxCallHistory   = 1000
	CallHistoryLimit = 100 // calls of one page, at most
)

// SignalingGrace is how long one side of a call may be without a socket (CONTRACT §4.12).
const SignalingGrace = 30 * time.Second

// CallType is what is to be seen and heard.
type CallType string

// The types of calls.
const (
	CallAudio CallType = "audio"
	CallVideo CallType = "video"
)

// CallStatus is how a call is, or how it ended.
type CallStatus string

const (
	CallRinging     CallStatus = "ringing"
	CallUnreachable CallStatus = "unreachable" // it rings, and no device of the callee is there yet
	CallIncoming    CallStatus = "incoming"
	CallAnswered    CallStatus = "answered"
	CallRejected    CallStatus = "rejected"
	CallMissed      CallStatus = "missed"
	CallOver        CallStatus = "ended" // after it was answered, or for one device alone
)

// Reasons of call:end.
const (
	EndHangup            = "hangup"
	EndCancelled         = "cancelled"
	EndNoAnswer          = "no_answer"
	EndBusy              = "busy"
	EndFailed            = "failed"
	EndDisconnected      = "disconnected"
	EndAnsweredElsewhere = "answered_elsewhere"
	EndRejectedElsewhere = "rejected_elsewhere"
)

// Sdp is a session description (WebRTC's RTCSessionDescriptionInit).
type Sdp struct {
	Type string `json:"type" rule:"enum=offer|answer|pranswer|rollback"`
	SDP  string `json:"sdp" rule:"bytes=..65536"`
}

func (s *Sdp) check(name string, types ...string) error {
	return first(
		check(name+".type", oneOf(s.Type, types), fmt.Sprintf("must be one of %v", types)),
		tooLarge(name+".sdp", len(s.SDP), MaxSDP),
		encodedTooLarge(name+".sdp", s.SDP),
		check(name+".sdp", s.SDP != "" || s.Type == "rollback", "must not be empty"),
	)
}

// IceServer is WebRTC's RTCIceServer, with the end of its credential.
type IceServer struct {
	URLs       []string   `json:"urls"`
	Username   string     `json:"username,omitzero"`
	Credential string     `json:"credential,omitzero"`
	ExpiresAt  *Timestamp `json:"expiresAt,omitzero"` // of the credential
}

// OfferTable is user id → what is offered to that user.
type OfferTable map[string]Sdp

// InitiateCallReq is `call:initiate`: ring one user, or up to three who then all
// talk to each other. To several, each is offered something of their own.
type InitiateCallReq struct {
	CallID         string     `json:"callId" rule:"clientId"`          // ‡ made by the client; the same again is the same call
	TargetUserID   string     `json:"targetUserId,omitzero" rule:"id"` // ‡ this, or targetUserIds
	TargetUserIDs  []string   `json:"targetUserIds,omitzero" rule:"n=..3 each=id"`
	CallType       CallType   `json:"callType" rule:"enum=audio|video"` // ‡
	Offer          *Sdp       `json:"offer,omitzero"`                   // ‡ to one user
	Offers         OfferTable `json:"offers,omitzero"`                  // to several
	ChatID         string     `json:"chatId,omitzero" rule:"id"`        // of which caller and callees are members
	RingTimeoutSec *int       `json:"ringTimeoutSec,omitzero" rule:"n=10..90"`
}

// Validate checks every field; the error names the first that is wrong.
func (r *InitiateCallReq) Validate() error {
	if err := first(
		field("callId", CheckClientID(r.CallID)),
		check("targetUserIds", len(r.TargetUserIDs) <= MaxCallTargets, "must be at most 3"),
		check("targetUserId", (r.TargetUserID == "") != (len(r.TargetUserIDs) == 0), "or targetUserIds must be given, not both"),
		optional("targetUserId", r.TargetUserID, CheckID),
		each("targetUserIds", r.TargetUserIDs, CheckID),
		check("callType", r.CallType == CallAudio || r.CallType == CallVideo, "must be audio or video"),
		optional("chatId", r.ChatID, CheckID),
		within("ringTimeoutSec", r.RingTimeoutSec, int(MinRing.Seconds()), int(MaxRing.Seconds())),
	); err != nil {
		return err
	}
	targets := r.Targets()
	for i, t := range targets {
		if slices.Contains(targets[:i], t) {
			return check("targetUserIds", false, "must not hold a user twice")
		}
	}
	if len(targets) == 1 && r.Offer != nil {
		return r.Offer.check("offer", "offer")
	}
	if len(targets) == 1 && len(r.Offers) == 0 {
		return check("offer", false, "is required")
	}
	for _, t := range targets {
		offer, ok := r.Offers[t]
		if !ok {
			return check("offers", false, "must have one for each of targetUserIds")
		}
		if err := offer.check("offers."+t, "offer"); err != nil {
			return err
		}
	}
	return check("offers", len(r.Offers) == len(targets), "must have one for each of targetUserIds, and no others")
}

// Targets is everybody who is called.
func (r *InitiateCallReq) Targets() []string {
	if r.TargetUserID != "" {
		return []string{r.TargetUserID}
	}
	return r.TargetUserIDs
}

// OfferTo is what one target is offered.
func (r *InitiateCallReq) OfferTo(target string) Sdp {
	if offer, ok := r.Offers[target]; ok || r.Offer == nil {
		return offer
	}
	return *r.Offer
}

// InitiateCallRes is its ack.
type InitiateCallRes struct {
	CallID        string            `json:"callId"`                                                                // ‡
	Status        CallStatus        `json:"status" rule:"enum=ringing|unreachable|answered|rejected|missed|ended"` // the last four to a repeat
	RingExpiresAt Timestamp         `json:"ringExpiresAt"`
	IceServers    []IceServer       `json:"iceServers"`
	Participants  []CallParticipant `json:"participants,omitzero"` // of a call to several
}

// CallParticipant is one user of a call of several, its caller too.
type CallParticipant struct {
	UserID   string `json:"userId"`
	State    string `json:"state" rule:"enum=ringing|joined|rejected|missed|busy|left"`
	DeviceID string `json:"deviceId,omitzero"` // with which they joined
}

// States of a CallParticipant.
const (
	ParticipantRinging  = "ringing"
	ParticipantJoined   = "joined"
	ParticipantRejected = "rejected"
	ParticipantMissed   = "missed"
	ParticipantBusy     = "busy"
	ParticipantLeft     = "left"
)

// AnswerCallReq is `call:answer`: this device takes the call.
type AnswerCallReq struct {
	CallID string `json:"callId" rule:"clientId"` // ‡
	Answer Sdp    `json:"answer"`                 // ‡ to what the caller offered
}

// Validate checks every field; the error names the first that is wrong.
func (r *AnswerCallReq) Validate() error {
	return first(field("callId", CheckClientID(r.CallID)), r.Answer.check("answer", "answer", "pranswer"))
}

// AnswerCallRes is its ack. In a call of several, the device now offers
// (call:renegotiate) to everybody else who has joined.
type AnswerCallRes struct {
	CallID       string            `json:"callId"`
	Status       CallStatus        `json:"status" rule:"enum=answered"`
	AnsweredAt   Timestamp         `json:"answeredAt"`
	Participants []CallParticipant `json:"participants,omitzero"` // of a call to several
}

// RejectCallReq is `call:reject`.
type RejectCallReq struct {
	CallID string `json:"callId" rule:"clientId"`            // ‡
	Reason string `json:"reason,omitzero" rule:"chars=..64"` // ‡
}

// Validate checks every field; the error names the first that is wrong.
func (r *RejectCallReq) Validate() error {
	return first(field("callId", CheckClientID(r.CallID)), checkReason(r.Reason))
}

// RejectCallRes is its ack.
type RejectCallRes struct {
	CallID string     `json:"callId"`
	Status CallStatus `json:"status" rule:"enum=rejected"`
}

// EndCallReq is `call:end`: hang up, or call no more. In a call of several who
// have answered, the others go on while they are two.
type EndCallReq struct {
	CallID string `json:"callId" rule:"clientId"`            // ‡
	Reason string `json:"reason,omitzero" rule:"chars=..64"` // hangup, failed, …
}

// Validate checks every field; the error names the first that is wrong.
func (r *EndCallReq) Validate() error {
	return first(field("callId", CheckClientID(r.CallID)), checkReason(r.Reason))
}

// EndCallRes is its ack.
type EndCallRes struct {
	CallID     string     `json:"callId"`
	Status     CallStatus `json:"status" rule:"enum=ended|missed|rejected"`
	DurationMs int64      `json:"durationMs,omitzero"` // since it was answered
}

// IceCandidateReq is `call:ice-candidate`.
type IceCandidateReq struct {
	CallID       string `json:"callId" rule:"clientId"`          // ‡
	Candidate    Raw    `json:"candidate"`                       // ‡ an RTCIceCandidateInit of at most 4 KiB, or null: there are no more
	TargetUserID string `json:"targetUserId,omitzero" rule:"id"` // in a call of several: for whom
}

// Validate checks every field; the error names the first that is wrong.
func (r *IceCandidateReq) Validate() error {
	return first(
		field("callId", CheckClientID(r.CallID)),
		check("candidate", len(r.Candidate) > 0 && isObject(r.Candidate), "must be an object or null"),
		tooLarge("candidate", len(r.Candidate), MaxCandidate),
		optional("targetUserId", r.TargetUserID, CheckID),
	)
}

// CallRes is the ack of what changes nothing of a call.
type CallRes struct {
	CallID string `json:"callId"`
}

// RenegotiateReq is `call:renegotiate`: a new description within a call that was
// answered, for ICE restart or other media; in a call of several, also the first
// between two who were called.
type RenegotiateReq struct {
	CallID       string `json:"callId" rule:"clientId"`
	Offer        *Sdp   `json:"offer,omitzero"` // this, or answer
	Answer       *Sdp   `json:"answer,omitzero"`
	TargetUserID string `json:"targetUserId,omitzero" rule:"id"` // in a call of several: with whom
}

// Validate checks every field; the error names the first that is wrong.
func (r *RenegotiateReq) Validate() error {
	err := first(
		field("callId", CheckClientID(r.CallID)),
		check("offer", (r.Offer == nil) != (r.Answer == nil), "or answer must be given, not both"),
		optional("targetUserId", r.TargetUserID, CheckID),
	)
	switch {
	case err != nil:
		return err
	case r.Offer != nil:
		return r.Offer.check("offer", "offer", "rollback")
	}
	return r.Answer.check("answer", "answer", "pranswer", "rollback")
}

// IceServersReq is `call:ice-servers`: fresh credentials for a call one is in.
type IceServersReq struct {
	CallID string `json:"callId" rule:"clientId"`
}

// Validate checks every field; the error names the first that is wrong.
func (r *IceServersReq) Validate() error { return field("callId", CheckClientID(r.CallID)) }

// IceServersRes is its ack.
type IceServersRes struct {
	CallID     string      `json:"callId"`
	IceServers []IceServer `json:"iceServers"`
}

// CallHistoryReq is `call:history`: one's own calls, newest first.
type CallHistoryReq struct {
	Limit  *int   `json:"limit,omitzero" rule:"n=1..100"`    // 50 if absent
	Cursor string `json:"cursor,omitzero" rule:"chars=..64"` // nextCursor of the page before
}

// Validate checks every field; the error names the first that is wrong.
func (r *CallHistoryReq) Validate() error {
	return first(
		within("limit", r.Limit, 1, CallHistoryLimit),
		check("cursor", len(r.Cursor) <= 64, "must be nextCursor of an earlier page"),
	)
}

// CallHistoryRes is its ack.
type CallHistoryRes struct {
	Calls      []CallRecord `json:"calls"`
	NextCursor string       `json:"nextCursor,omitzero"` // absent: there are no more
}

// CallRecord is one call as one of its users has it: in the history, and as an
// entry of that user's log.
type CallRecord struct {
	CallID     string     `json:"callId"`
	CallType   CallType   `json:"callType" rule:"enum=audio|video"`
	Direction  string     `json:"direction" rule:"enum=incoming|outgoing"`
	CallerID   string     `json:"callerId"`
	CallerName string     `json:"callerName,omitzero"`
	TargetIDs  []string   `json:"targetUserIds"`
	ChatID     string     `json:"chatId,omitzero"`
	Status     CallStatus `json:"status" rule:"enum=ringing|answered|ended|missed|rejected"` // for this user
	Reason     string     `json:"reason,omitzero"`
	EndedBy    string     `json:"endedBy,omitzero"`
	CreatedAt  Timestamp  `json:"createdAt"`
	AnsweredAt *Timestamp `json:"answeredAt,omitzero"`
	EndedAt    *Timestamp `json:"endedAt,omitzero"`
	DurationMs int64      `json:"durationMs,omitzero"`
}

// Directions of a CallRecord.
const (
	CallFrom = "incoming"
	CallTo   = "outgoing"
)

// IncomingCall is `call:incoming`: ring. It is not to ring past expiresAt.
type IncomingCall struct {
	CallID       string            `json:"callId"`                           // ‡
	CallerID     string            `json:"callerId"`                         // ‡
	CallerName   string            `json:"callerName"`                       // ‡
	CallerAvatar string            `json:"callerAvatar,omitzero"`            // ‡
	CallType     CallType          `json:"callType" rule:"enum=audio|video"` // ‡
	Offer        Sdp               `json:"offer"`                            // ‡
	Status       CallStatus        `json:"status" rule:"enum=incoming"`      // ‡
	ChatID       string            `json:"chatId,omitzero"`
	CreatedAt    Timestamp         `json:"createdAt"`
	ExpiresAt    Timestamp         `json:"expiresAt"`
	RingMs       int64             `json:"ringMs"` // what was left of the ringing when this was sent: for clocks that differ
	IceServers   []IceServer       `json:"iceServers"`
	Candidates   []Raw             `json:"candidates,omitzero"`   // the caller's so far, to a device that came later
	Participants []CallParticipant `json:"participants,omitzero"` // of a call to several
}

// CallAnswer is `call:answer`, to the caller's device.
type CallAnswer struct {
	CallID       string     `json:"callId"`                           // ‡
	CallerID     string     `json:"callerId"`                         // ‡
	CallerName   string     `json:"callerName"`                       // ‡
	CallerAvatar string     `json:"callerAvatar,omitzero"`            // ‡
	CallType     CallType   `json:"callType" rule:"enum=audio|video"` // ‡
	Answer       Sdp        `json:"answer"`                           // ‡
	Status       CallStatus `json:"status" rule:"enum=answered"`      // ‡
	AnswererID   string     `json:"answererId"`
	DeviceID     string     `json:"deviceId"` // the answerer's
	AnsweredAt   Timestamp  `json:"answeredAt"`
}

// CallReject is `call:reject`, to the caller.
type CallReject struct {
	CallID     string     `json:"callId"`                           // ‡
	CallerID   string     `json:"callerId"`                         // ‡
	CallerName string     `json:"callerName"`                       // ‡
	CallType   CallType   `json:"callType" rule:"enum=audio|video"` // ‡
	Status     CallStatus `json:"status" rule:"enum=rejected"`      // ‡
	Reason     string     `json:"reason,omitzero"`
	UserID     string     `json:"userId"` // who rejected
}

// CallEnd is `call:end`: over, for whoever gets it.
type CallEnd struct {
	CallID     string     `json:"callId"`                           // ‡
	CallerID   string     `json:"callerId"`                         // ‡
	CallerName string     `json:"callerName"`                       // ‡
	CallType   CallType   `json:"callType" rule:"enum=audio|video"` // ‡
	Status     CallStatus `json:"status" rule:"enum=ended|missed"`  // ‡
	Reason     string     `json:"reason" rule:"enum=hangup|cancelled|no_answer|busy|failed|disconnected|answered_elsewhere|rejected_elsewhere"`
	EndedBy    string     `json:"endedBy,omitzero"` // the user
	DurationMs int64      `json:"durationMs,omitzero"`
	EndedAt    Timestamp  `json:"endedAt"`
}

// CallCandidate is `call:ice-candidate`, to the device that it is for.
type CallCandidate struct {
	CallID       string `json:"callId"`    // ‡
	Candidate    Raw    `json:"candidate"` // ‡ as it was sent: null says that there are no more
	FromUserID   string `json:"fromUserId"`
	FromDeviceID string `json:"fromDeviceId"`
}

// CallRenegotiate is `call:renegotiate`, to the device that it is for.
type CallRenegotiate struct {
	CallID       string `json:"callId"`
	Offer        *Sdp   `json:"offer,omitzero"` // this, or answer
	Answer       *Sdp   `json:"answer,omitzero"`
	FromUserID   string `json:"fromUserId"`
	FromDeviceID string `json:"fromDeviceId"`
}

// CallParticipants is `call:participants`: who is in a call of several, after each
// change, to everybody in it and everybody it rings.
type CallParticipants struct {
	CallID       string            `json:"callId"`
	Participants []CallParticipant `json:"participants"`
}

func checkReason(reason string) error {
	return check("reason", charsAtMost(reason, MaxCallReason), "must be at most 64 characters")
}
