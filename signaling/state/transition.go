package state

import (
	"math"

	"supmesh.dev/proto"
)

// What an actor is told who may not do what they ask for.
var (
	ErrNotFound = &proto.Error{Code: proto.CallNotFound, Message: "there is no such call"}
	ErrEnded    = &proto.Error{Code: proto.CallEnded, Message: "the call is over"}
	ErrAnswered = &proto.Error{Code: proto.CallAlreadyAnswered, Message: "another device has the call"}
)

// Begin makes the first version of a call that has everything but a status.
func Begin(c Call, caller Actor) *Call {
	p := c.Caller()
	p.State, p.Device, p.Socket, p.JoinedAt = proto.ParticipantJoined, caller.Device, caller.Socket, c.CreatedAt
	c.Status, c.Version, c.Moves = proto.CallRinging, 0, nil
	for i := range c.Parties {
		if p := &c.Parties[i]; p.State == proto.ParticipantBusy {
			c.leave(p, p.State, proto.EndBusy, c.CreatedAt)
		}
	}
	c.move(Initiated, caller, "", c.CreatedAt)
	return &c
}

// Answer lets one device take the call. The same again changes nothing.
func (c *Call) Answer(who Actor, answer proto.Sdp, now int64) error {
	p := c.Heard(who.User)
	switch {
	case p == nil:
		return ErrNotFound
	case c.IsOver() || p.Over != 0:
		return ErrEnded
	case p == c.Caller() || p.Active() && !p.Same(who) && p.LostAt == 0:
		return ErrAnswered
	case p.Active():
		c.adopt(p, who, now)
		return nil
	}
	p.State, p.Device, p.Socket, p.JoinedAt, p.Answer = proto.ParticipantJoined, who.Device, who.Socket, now, &answer
	if c.Status == proto.CallRinging {
		c.Status, c.AnsweredAt = proto.CallAnswered, now
	}
	c.move(Answered, who, "", now)
	return nil
}

// Reject refuses the call for all devices of a user. The same again changes nothing.
func (c *Call) Reject(who Actor, reason string, now int64) error {
	p := c.Heard(who.User)
	switch {
	case p == nil:
		return ErrNotFound
	case p.State == proto.ParticipantRejected:
		return nil
	case c.IsOver() || p.Over != 0:
		return ErrEnded
	case p.Active():
		return ErrAnswered
	}
	c.leave(p, proto.ParticipantRejected, reason, now)
	if c.Status == proto.CallRinging && c.count(proto.ParticipantRinging) == 0 {
		c.end(proto.CallRejected, reason, who.User, now)
	}
	c.move(Rejected, who, reason, now)
	return nil
}

// End ends the call for one party: the caller cancels, a callee declines, a participant
// hangs up. Any device of the caller may, also one that never had the call. A callee's
// device on which it rings no more, since another has answered, ends nothing; and a call
// that is over stays as it ended.
func (c *Call) End(who Actor, reason string, now int64) error {
	p := c.Heard(who.User)
	switch {
	case p == nil:
		return ErrNotFound
	case c.IsOver() || p.Over != 0:
		return nil
	case p.Rings():
		return c.Reject(who, reason, now)
	case p != c.Caller() && !p.Same(who) && p.LostAt == 0:
		return nil
	}
	kept := proto.EndHangup
	if reason == proto.EndFailed {
		kept = reason
	}
	if c.Status == proto.CallRinging {
		c.end(proto.CallMissed, proto.EndCancelled, who.User, now)
	} else {
		c.hangUp(p, kept, now)
	}
	c.move(Ended, who, reason, now)
	return nil
}

// hangUp takes one party out of a call that was answered; the others go on while they are two.
func (c *Call) hangUp(p *Party, reason string, now int64) {
	c.leave(p, proto.ParticipantLeft, reason, now)
	if c.count(proto.ParticipantJoined) < 2 {
		c.end(proto.CallOver, reason, p.User, now)
	}
}

// Lose notes since when the socket of one side is gone. It says whether that is news.
func (c *Call) Lose(user, socket string, at, now int64) bool {
	p := c.Heard(user)
	if c.IsOver() || p == nil || !p.Active() || p.Socket != socket || p.LostAt != 0 {
		return false
	}
	p.LostAt = max(min(at, now), p.JoinedAt, 1)
	c.move(Lost, Actor{User: user, Socket: socket}, "", now)
	return true
}

// Act is somebody's word within the call: their socket is where they are from now
// on, where it is the device's that has the call, or nobody has it any more.
func (c *Call) Act(who Actor, now int64) error {
	p := c.Heard(who.User)
	switch {
	case p == nil:
		return ErrNotFound
	case c.IsOver() || p.Over != 0:
		return ErrEnded
	case !p.Active(): // it rings for all of their devices
		return nil
	case !p.Same(who) && p.LostAt == 0:
		return ErrAnswered
	}
	c.adopt(p, who, now)
	return nil
}

// Return is a socket's word that it is there, which it was before as another.
func (c *Call) Return(who Actor, was string, now int64) {
	p := c.Heard(who.User)
	if c.IsOver() || p == nil || !p.Active() {
		return
	}
	if was != "" && p.Socket == was || p.Same(who) && (p.LostAt != 0 || p.Socket == who.Socket) {
		c.adopt(p, who, now)
	}
}

// Found takes back that the socket of one side is gone.
func (c *Call) Found(user, socket string, now int64) {
	if p := c.Heard(user); p != nil && p.Socket == socket {
		c.Return(Actor{User: user, Device: p.Device, Socket: socket}, socket, now)
	}
}

// adopt makes a socket the one of a party. Where it is that already, nothing changes.
func (c *Call) adopt(p *Party, who Actor, now int64) {
	if p.Socket == who.Socket && p.LostAt == 0 {
		return
	}
	p.Device, p.Socket, p.LostAt = who.Device, who.Socket, 0
	c.move(Adopted, who, "", now)
}

// Expire does one thing that was due by now, and says whether there was one, and
// when it was due: the ringing ends, or a side is away for too long.
func (c *Call) Expire(now, grace int64) (due int64, done bool) {
	if c.IsOver() {
		return 0, false
	}
	for i := range c.Parties {
		p := &c.Parties[i]
		if due = p.LostAt + grace; p.LostAt == 0 || now < due {
			continue
		}
		who := Actor{User: p.User}
		if c.Status == proto.CallRinging {
			c.end(proto.CallMissed, proto.EndDisconnected, p.User, now)
		} else {
			c.hangUp(p, proto.EndDisconnected, now)
		}
		c.move(GraceOver, who, "", now)
		return due, true
	}
	if now < c.RingUntil || c.count(proto.ParticipantRinging) == 0 {
		return 0, false
	}
	for i := range c.Parties {
		if p := &c.Parties[i]; p.Rings() && c.Status == proto.CallAnswered {
			c.leave(p, proto.ParticipantMissed, proto.EndNoAnswer, now)
		}
	}
	if c.Status == proto.CallRinging {
		c.end(proto.CallMissed, proto.EndNoAnswer, "", now)
	}
	c.move(RungOut, Actor{}, "", now)
	return c.RingUntil, true
}

// Due is when Expire has something to do; 0: never.
func (c *Call) Due(grace int64) int64 {
	due := int64(math.MaxInt64)
	if c.IsOver() {
		return 0
	}
	if c.count(proto.ParticipantRinging) > 0 {
		due = c.RingUntil
	}
	for i := range c.Parties {
		if at := c.Parties[i].LostAt; at != 0 {
			due = min(due, at+grace)
		}
	}
	if due == math.MaxInt64 {
		return 0
	}
	return due
}
