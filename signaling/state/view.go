package state

import (
	"time"

	"supmesh.dev/proto"
)

func at(ms int64) proto.Timestamp { return proto.At(time.UnixMilli(ms)) }

func maybe(ms int64) *proto.Timestamp {
	if ms == 0 {
		return nil
	}
	t := at(ms)
	return &t
}

// Participants is everybody, as everybody may know it.
func (c *Call) Participants() []proto.CallParticipant {
	out := make([]proto.CallParticipant, len(c.Parties))
	for i := range c.Parties {
		p := &c.Parties[i]
		out[i] = proto.CallParticipant{UserID: p.User, State: p.State, DeviceID: p.Device}
	}
	return out
}

// Targets is everybody who is called.
func (c *Call) Targets() []string {
	out := make([]string, 0, len(c.Parties)-1)
	for i := range c.Parties[1:] {
		out = append(out, c.Parties[1+i].User)
	}
	return out
}

// StatusFor is how the call is, or how it ended, for one of its parties.
func (c *Call) StatusFor(p *Party) proto.CallStatus {
	if p == c.Caller() && (p.Over == 0 || c.endedWith(p)) {
		return c.Status
	}
	switch p.State {
	case proto.ParticipantRinging:
		return proto.CallRinging
	case proto.ParticipantJoined:
		return proto.CallAnswered
	case proto.ParticipantRejected:
		return proto.CallRejected
	case proto.ParticipantMissed, proto.ParticipantBusy:
		return proto.CallMissed
	}
	return proto.CallOver
}

// endedWith says that a party was in the call, or called, until its end.
func (c *Call) endedWith(p *Party) bool { return c.IsOver() && p.Over == c.Version }

// DurationFor is how long one of the parties has talked, once it is over for them.
func (c *Call) DurationFor(p *Party) int64 {
	if began := c.talkedFrom(p); began != 0 && p.OverAt != 0 {
		return max(p.OverAt-began, 0)
	}
	return 0
}

// talkedFrom is since when a party has talked to somebody; 0: they have not.
func (c *Call) talkedFrom(p *Party) int64 {
	switch {
	case c.AnsweredAt == 0 || p.JoinedAt == 0:
		return 0
	case p == c.Caller():
		return c.AnsweredAt
	}
	return p.JoinedAt
}

// RecordFor is the call as one of its parties has it.
func (c *Call) RecordFor(p *Party) proto.CallRecord {
	r := proto.CallRecord{
		CallID: c.ID, CallType: c.Type, Direction: proto.CallFrom, CallerID: c.Caller().User, CallerName: c.CallerName,
		TargetIDs: c.Targets(), ChatID: c.Chat, Status: c.StatusFor(p), CreatedAt: at(c.CreatedAt),
		AnsweredAt: maybe(c.talkedFrom(p)), EndedAt: maybe(p.OverAt), DurationMs: c.DurationFor(p),
	}
	if p == c.Caller() {
		r.Direction = proto.CallTo
	}
	if p.Over != 0 {
		r.Reason, r.EndedBy = p.Reason, c.endedBy(p)
	}
	return r
}

// endedBy is who made the call over for a party.
func (c *Call) endedBy(p *Party) string {
	switch {
	case p.State == proto.ParticipantRejected:
		return p.User
	case c.endedWith(p):
		return c.EndedBy
	case p.State == proto.ParticipantLeft:
		return p.User
	}
	return ""
}

// State is the call as backends may know it.
func (c *Call) State() proto.CallState {
	return proto.CallState{
		CallID: c.ID, CallerID: c.Caller().User, CallType: c.Type, ChatID: c.Chat, Status: c.Status, Reason: c.Reason, EndedBy: c.EndedBy,
		Participants: c.Participants(), CreatedAt: at(c.CreatedAt), RingExpiresAt: at(c.RingUntil), AnsweredAt: maybe(c.AnsweredAt),
		EndedAt: maybe(c.EndedAt), Version: c.Version,
	}
}
