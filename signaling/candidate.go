package signaling

import (
	"context"
	"errors"
	"math"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/wire"
	"supmesh.dev/signaling/calls"
	"supmesh.dev/signaling/state"
)

// candidate passes a candidate on to those whom it is for.
func (s *Service) candidate(ctx context.Context, req proto.IceCandidateReq) (res proto.CallRes, err error) {
	who, call, err := party(ctx, req.CallID)
	if err != nil {
		return res, err
	}
	e, err := s.act(ctx, who, call)
	if err != nil {
		return res, s.refused(ctx, &e, err)
	}
	to, err := others(e.Call, who.User, req.TargetUserID)
	if err != nil {
		return res, s.refused(ctx, &e, err)
	}
	body, err := wire.Marshal(proto.CallCandidate{CallID: req.CallID, Candidate: req.Candidate, FromUserID: who.User, FromDeviceID: who.Device})
	if err != nil {
		return res, err
	}
	return proto.CallRes{CallID: req.CallID}, unavailable(s.deliverOnce(ctx, who, &e, to, calls.Waiting{Event: proto.CallCandidateEvent.Name, Data: body}))
}

// deliverOnce delivers what a request says, unless an earlier try of it has. If Redis is
// away a repeat may deliver it again.
func (s *Service) deliverOnce(ctx context.Context, who caller, e *calls.Entry, to []*state.Party, w calls.Waiting) error {
	first, err := s.calls.Claim(ctx, e.Token, who.requestID)
	if ignoreDown(err) != nil || err == nil && !first {
		return err
	}
	for _, p := range to {
		if err := s.deliver(ctx, e, p, w); err != nil {
			return errors.Join(err, s.calls.Unclaim(context.WithoutCancel(ctx), e.Token, who.requestID))
		}
	}
	return nil
}

// act notes that a device of the call says something, and from which socket.
func (s *Service) act(ctx context.Context, who caller, call proto.Token) (calls.Entry, error) {
	adopted := false
	e, err := s.change(ctx, call, func(c *state.Call, now int64) error {
		before := c.Version
		err := c.Act(who.device(), now)
		adopted = c.Version != before
		return err
	})
	if err == nil && adopted {
		err = s.flush(ctx, &e, who.User)
	}
	return e, err
}

// others are those for whom is what one user of a call says: while it rings for
// them, the caller; of who calls, those who ring and those who are in it; of those
// who are in it, each other.
func others(c *state.Call, from, target string) (to []*state.Party, err error) {
	sender := c.Heard(from)
	if target != "" && (c.Party(target) == nil || target == from) {
		return nil, state.ErrNotFound
	}
	for i := range c.Parties {
		p := &c.Parties[i]
		switch {
		case p == sender || p.Blocked || p.Over != 0 || target != "" && p.User != target:
		case p == c.Caller(), sender.Active() && p.Active(), sender == c.Caller():
			to = append(to, p)
		}
	}
	return to, nil
}

// deliver sends an event to one party: while it rings, to all devices, and it waits
// for those to come; then to the device that has the call, or it waits for that.
func (s *Service) deliver(ctx context.Context, e *calls.Entry, p *state.Party, w calls.Waiting) error {
	user, err := proto.EncodeID(p.User)
	if err != nil {
		return err
	}
	if p.Active() && p.LostAt == 0 {
		return s.pass(user, services.Except{Others: p.Socket}, w)
	}
	if err := s.calls.Wait(ctx, e.Token, user, w); ignoreDown(err) != nil {
		return err
	}
	if p.Rings() {
		return s.pass(user, services.Except{}, w)
	}
	now, err := s.calls.Load(ctx, e.Token)
	if err != nil || now.Call == nil {
		return err
	}
	return s.flush(ctx, &now, p.User) // they may have come back just now
}

func (s *Service) pass(user proto.Token, except services.Except, w calls.Waiting) error {
	return s.host.PublishEphemeral(proto.UserEphemeral(user), w.Event, except, w.Data)
}

// flush sends what has waited for a party to the device that has the call, if it is there.
func (s *Service) flush(ctx context.Context, e *calls.Entry, id string) error {
	p := e.Heard(id)
	if p == nil || !p.Active() || p.LostAt != 0 {
		return nil
	}
	user, err := proto.EncodeID(id)
	if err != nil {
		return err
	}
	waited, _, err := s.calls.Take(ctx, e.Token, user, "", math.MaxInt32, 0)
	if err != nil {
		return ignoreDown(err)
	}
	for _, w := range waited {
		if err := s.pass(user, services.Except{Others: p.Socket}, w); err != nil {
			return err
		}
	}
	return nil
}
