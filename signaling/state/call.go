package state

import (
	"slices"

	"supmesh.dev/proto"
)

// Call is one call, whole, as each entry of its log has it. Moments are Unix milliseconds.
type Call struct {
	ID           string           `json:"id"`
	CallerName   string           `json:"callerName,omitzero"`
	CallerAvatar string           `json:"callerAvatar,omitzero"`
	Type         proto.CallType   `json:"type"`
	Chat         string           `json:"chat,omitzero"`
	Content      string           `json:"content"` // hash of what was asked for, to know it again
	Parties      []Party          `json:"parties"` // the caller is the first
	CreatedAt    int64            `json:"createdAt"`
	RingUntil    int64            `json:"ringUntil"`
	Unreachable  bool             `json:"unreachable,omitzero"` // nobody was there when it began to ring
	Status       proto.CallStatus `json:"status"`
	Reason       string           `json:"reason,omitzero"`
	EndedBy      string           `json:"endedBy,omitzero"`
	AnsweredAt   int64            `json:"answeredAt,omitzero"`
	EndedAt      int64            `json:"endedAt,omitzero"`
	Version      uint64           `json:"version"` // one more with each move
	// Moves are the last, and those before it of which nobody knows whether all was
	// told that they bring about.
	Moves []Move `json:"moves"`
}

// Party is one user of a call.
type Party struct {
	User   string `json:"user"`
	State  string `json:"state"`           // a CallParticipant's
	Device string `json:"device,omitzero"` // with which they are in the call
	Socket string `json:"socket,omitzero"`
	// LostAt is since when that socket is gone; 0: it is there.
	LostAt   int64 `json:"lostAt,omitzero"`
	JoinedAt int64 `json:"joinedAt,omitzero"`
	// Over is the version with which the call was over for them; 0: it is not.
	Over   uint64 `json:"over,omitzero"`
	OverAt int64  `json:"overAt,omitzero"`
	Reason string `json:"reason,omitzero"`
	// Blocked: nothing of the call reaches them.
	Blocked bool       `json:"blocked,omitzero"`
	Offer   *proto.Sdp `json:"offer,omitzero"`  // while it rings for them
	Answer  *proto.Sdp `json:"answer,omitzero"` // while the caller may need it once more
}

// Kind is what a move was.
type Kind string

// The kinds of moves.
const (
	Initiated Kind = "initiate"
	Answered  Kind = "answer"
	Rejected  Kind = "reject"
	Ended     Kind = "end"
	RungOut   Kind = "ring-end"
	GraceOver Kind = "grace-end"
	Lost      Kind = "lost"
	Adopted   Kind = "adopt"
)

// Move is one step of a call.
type Move struct {
	Version uint64 `json:"version"`
	Kind    Kind   `json:"kind"`
	User    string `json:"user,omitzero"`   // whose it was; of the clock's: nobody
	Socket  string `json:"socket,omitzero"` // the one that acted
	Reason  string `json:"reason,omitzero"` // as the client gave it
	At      int64  `json:"at"`
}

// Actor is one device of a user, on one socket.
type Actor struct{ User, Device, Socket string }

// Unnamed is what devices are called that named none: two of them may be two.
const Unnamed = "default"

// AnswerFor is how long an answer is kept, in milliseconds: for a caller who was
// away when it came and returns within the grace.
const AnswerFor = 40_000

// Clone is a copy that can be changed.
func (c *Call) Clone() *Call {
	out := *c
	out.Parties, out.Moves = slices.Clone(c.Parties), slices.Clone(c.Moves)
	return &out
}

// IsOver says that nothing changes any more.
func (c *Call) IsOver() bool { return c.EndedAt != 0 }

// IsGroup says that it is a call to several.
func (c *Call) IsGroup() bool { return len(c.Parties) > 2 }

// Caller is who calls.
func (c *Call) Caller() *Party { return &c.Parties[0] }

// Party is one user of the call, or nil.
func (c *Call) Party(user string) *Party {
	for i := range c.Parties {
		if c.Parties[i].User == user {
			return &c.Parties[i]
		}
	}
	return nil
}

// Heard is one user of the call who has heard of it, or nil: who was blocked is a stranger.
func (c *Call) Heard(user string) *Party {
	if p := c.Party(user); p != nil && !p.Blocked {
		return p
	}
	return nil
}

// Last is the newest move.
func (c *Call) Last() *Move { return &c.Moves[len(c.Moves)-1] }

// Active says that the user is in the call with one device.
func (p *Party) Active() bool { return p.State == proto.ParticipantJoined }

// Rings says that it rings for the user.
func (p *Party) Rings() bool { return p.State == proto.ParticipantRinging }

// Same says whether an actor is on the party's device: by the name of the device,
// and where it has none by the socket.
func (p *Party) Same(who Actor) bool {
	return p.Socket == who.Socket || p.Device == who.Device && p.Device != Unnamed
}

// count is how many parties are in a state.
func (c *Call) count(state string) (n int) {
	for i := range c.Parties {
		if c.Parties[i].State == state {
			n++
		}
	}
	return n
}

// move makes what has been changed the next version.
func (c *Call) move(kind Kind, who Actor, reason string, now int64) {
	c.Version++
	c.Moves = append(c.Moves, Move{Version: c.Version, Kind: kind, User: who.User, Socket: who.Socket, Reason: reason, At: now})
	for i := range c.Parties {
		p := &c.Parties[i]
		if !p.Rings() {
			p.Offer = nil
		}
		if c.IsOver() || p.Over != 0 || now-p.JoinedAt > AnswerFor {
			p.Answer = nil
		}
	}
}

// leave makes the call over for one party, with the move that follows.
func (c *Call) leave(p *Party, state, reason string, now int64) {
	p.State, p.Reason, p.Over, p.OverAt, p.LostAt = state, reason, c.Version+1, now, 0
}

// end makes the call over for all for whom it is not, with the move that follows.
func (c *Call) end(status proto.CallStatus, reason, by string, now int64) {
	c.Status, c.Reason, c.EndedBy, c.EndedAt = status, reason, by, now
	for i := range c.Parties {
		switch p := &c.Parties[i]; {
		case p.Over != 0:
		case p.Rings() && status == proto.CallOver:
			c.leave(p, proto.ParticipantMissed, proto.EndCancelled, now)
		case p.Rings():
			c.leave(p, proto.ParticipantMissed, reason, now)
		default:
			c.leave(p, proto.ParticipantLeft, reason, now)
		}
	}
}
