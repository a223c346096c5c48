package signaling

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"time"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/wire"
	"supmesh.dev/signaling/calls"
	"supmesh.dev/signaling/state"
)

// initiate rings. The ack comes once the call is stored, and somebody is to look at it.
func (s *Service) initiate(ctx context.Context, req proto.InitiateCallReq) (proto.InitiateCallRes, error) {
	res, err := s.ring(ctx, &req)
	return res, unavailable(err)
}

func (s *Service) ring(ctx context.Context, req *proto.InitiateCallReq) (res proto.InitiateCallRes, err error) {
	who, call, err := party(ctx, req.CallID)
	if err != nil {
		return res, err
	}
	if slices.Contains(req.Targets(), who.User) {
		return res, proto.FieldError("targetUserId", errors.New("must be somebody else"))
	}
	content, err := contentOf(req)
	if err != nil {
		return res, err
	}
	e, err := s.calls.Load(ctx, call)
	if err != nil {
		return res, err
	}
	if e.Call != nil {
		return s.repeated(ctx, who, &e, content)
	}
	if err := s.mayCall(ctx, who, req); err != nil {
		return res, err
	}
	made, err := s.make(ctx, who, req)
	if err != nil {
		return res, err
	}
	made.Content = content
	held, err := s.claim(ctx, who, call, made)
	if err != nil {
		s.releaseAll(ctx, call, held)
		return res, err
	}
	e = calls.Entry{Token: call, Call: state.Begin(*made, who.device())}
	err = s.commit(ctx, &e, 0)
	if errors.Is(err, calls.ErrMoved) { // this request at another instance, or somebody else's
		if e, err = s.calls.Confirmed(ctx, call); err == nil && e.Call != nil {
			s.releaseAll(ctx, call, slices.DeleteFunc(held, func(user proto.Token) bool { return isParty(e.Call, user) }))
			return s.repeated(ctx, who, &e, content)
		}
		if err == nil {
			err = calls.ErrMoved
		}
	}
	if err != nil {
		return res, err
	}
	return s.ringing(&e, who), nil
}

func isParty(c *state.Call, user proto.Token) bool {
	id, err := user.ID()
	return err == nil && c.Heard(id) != nil
}

// contentOf is a hash of all that a request asks for.
func contentOf(req *proto.InitiateCallReq) (string, error) {
	body, err := wire.Marshal(req)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:16]), nil
}

// repeated is the ack to who asks for the same call again, from wherever they are now.
func (s *Service) repeated(ctx context.Context, who caller, e *calls.Entry, content string) (proto.InitiateCallRes, error) {
	p := e.Caller()
	if p.User != who.User || e.Content != content || p.Device != who.Device && p.LostAt == 0 {
		return proto.InitiateCallRes{}, proto.Errorf(proto.Conflict, "there is another call with this callId")
	}
	if !e.IsOver() && p.Over == 0 && p.Same(who.device()) {
		now, err := s.act(ctx, who, e.Token)
		if err == nil {
			e = &now
		} else if !errors.Is(err, state.ErrEnded) {
			return proto.InitiateCallRes{}, err
		}
	}
	return s.ringing(e, who), nil
}

func (s *Service) ringing(e *calls.Entry, who caller) proto.InitiateCallRes {
	res := proto.InitiateCallRes{
		CallID: e.ID, Status: e.Status, RingExpiresAt: moment(e.RingUntil), IceServers: s.ice.Servers(e.Token, who.user, s.host.Now()),
	}
	if e.Unreachable && e.Status == proto.CallRinging {
		res.Status = proto.CallUnreachable
	}
	if e.IsGroup() {
		res.Participants = e.Participants()
	}
	return res
}

// mayCall asks chat whether a chat that was named has them all.
func (s *Service) mayCall(ctx context.Context, who caller, req *proto.InitiateCallReq) error {
	if req.ChatID == "" {
		return nil
	}
	all := append([]string{who.User}, req.Targets()...)
	res, err := services.Do(ctx, s.host, proto.MembersAmong, proto.Actor{}, proto.AmongReq{ChatID: req.ChatID, UserIDs: all}, services.WithTimeout(askTimeout))
	if err != nil && proto.AsError(err).Code == proto.Timeout {
		return &proto.Error{Code: proto.ServiceUnavailable, Message: "nobody can say who is a member", RetryAfter: time.Second}
	}
	if err != nil {
		return err
	}
	for _, id := range all {
		if !slices.Contains(res.Members, id) {
			return proto.Errorf(proto.ChatNotFound, "chat not found")
		}
	}
	return nil
}

// make is a call that is to begin, with who of its targets hears of it.
func (s *Service) make(ctx context.Context, who caller, req *proto.InitiateCallReq) (*state.Call, error) {
	now := s.now()
	ring := time.Duration(proto.ValueOr(req.RingTimeoutSec, int(proto.DefaultRing.Seconds()))) * time.Second
	c := &state.Call{
		ID: req.CallID, CallerName: who.Name, CallerAvatar: who.Avatar, Type: req.CallType, Chat: req.ChatID,
		CreatedAt: now, RingUntil: now + min(ring, s.maxRing).Milliseconds(), Parties: []state.Party{{User: who.User}},
	}
	for _, id := range req.Targets() {
		offer := req.OfferTo(id)
		c.Parties = append(c.Parties, state.Party{User: id, State: proto.ParticipantRinging, Offer: &offer})
	}
	reach, err := s.reach(ctx, who.User, req.Targets(), askTimeout)
	if err != nil { // who has blocked whom is not known: nobody is rung on a guess
		s.host.Log().WarnContext(ctx, "who can be reached", "error", err)
		return nil, &proto.Error{Code: proto.ServiceUnavailable, Message: "nobody can say who may be called", RetryAfter: time.Second}
	}
	c.Unreachable = true
	for i := range c.Parties[1:] {
		p := &c.Parties[1+i]
		r, ok := reach[p.User]
		if !ok {
			continue
		}
		if s.cfg.Policy == CallRelated && !r.Related { // be they blocked or not: a stranger cannot tell
			return nil, proto.Errorf(proto.PermissionDenied, "this user takes calls from those they know")
		}
		p.Blocked = r.Blocked
		if r.Reachable && !r.Blocked {
			c.Unreachable = false
		}
	}
	return c, nil
}

// reach asks presence how users can be reached.
func (s *Service) reach(ctx context.Context, from string, users []string, timeout time.Duration) (map[string]*proto.Reach, error) {
	res, err := services.Do(ctx, s.host, proto.ReachUsers, proto.Actor{}, proto.ReachReq{From: from, UserIDs: users}, services.WithTimeout(timeout))
	if err != nil {
		return nil, err
	}
	out := make(map[string]*proto.Reach, len(res.Users))
	for i := range res.Users {
		out[res.Users[i].UserID] = &res.Users[i]
	}
	return out, nil
}

// claim takes the slots of everybody whom a call concerns, in one order for all
// calls, and marks those who are busy. It gives what it took, also with an error.
func (s *Service) claim(ctx context.Context, who caller, call proto.Token, c *state.Call) (held []proto.Token, err error) {
	if err := s.leaveOther(ctx, who, c.ID); err != nil {
		return nil, err
	}
	cl := &claim{svc: s, call: call, who: who, slot: slotOf(c)}
	of := map[proto.Token]*state.Party{}
	var users []proto.Token
	for i := range c.Parties {
		if p := &c.Parties[i]; !p.Blocked {
			user, err := proto.EncodeID(p.User)
			if err != nil {
				return nil, proto.FieldError("targetUserIds", err)
			}
			of[user] = p
			users = append(users, user)
		}
	}
	slices.Sort(users)
	busy := 0
	for _, user := range users {
		v, other, err := cl.take(ctx, user)
		switch {
		case err != nil:
			return held, err
		case v == mine:
			held = append(held, user)
		case v == glares:
			return held, &proto.Error{Code: proto.CallGlare, Message: "this user is calling you", CallID: other}
		case user == who.user:
			return held, proto.Errorf(proto.CallBusy, "you are in another call")
		default:
			of[user].State = proto.ParticipantBusy
			busy++
		}
	}
	if busy == len(c.Parties)-1 {
		return held, proto.Errorf(proto.CallBusy, "the user is in another call")
	}
	return held, nil
}

// leaveOther ends the call that the caller's device is in.
func (s *Service) leaveOther(ctx context.Context, who caller, callID string) error {
	slot, err := s.slot(ctx, who.user)
	if err != nil || slot.CallID == "" || slot.CallID == callID {
		return err
	}
	other, err := proto.EncodeID(slot.CallID)
	if err != nil {
		return err
	}
	_, err = s.change(ctx, other, func(c *state.Call, now int64) error {
		p := c.Heard(who.User)
		if p == nil || !p.Active() || !p.Same(who.device()) && p.LostAt == 0 {
			return nil
		}
		return c.End(state.Actor{User: who.User, Device: p.Device, Socket: who.Socket}, proto.EndHangup, now)
	})
	if errors.Is(err, state.ErrNotFound) {
		return nil
	}
	return err
}

// releaseAll frees slots of a call that does not begin.
func (s *Service) releaseAll(ctx context.Context, call proto.Token, users []proto.Token) {
	for _, user := range users {
		if err := s.release(ctx, call, user, 0); err != nil {
			s.host.Log().WarnContext(ctx, "release a slot", "error", err) // it is taken over when its time is over
		}
	}
}
