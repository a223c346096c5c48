package signaling

import (
	"context"
	"errors"
	"slices"
	"time"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/wire"
	"supmesh.dev/signaling/calls"
	"supmesh.dev/signaling/state"
)

const (
	// maxBriefed bounds the candidates, in bytes, that come with a call that rings
	// already: the newest are kept. Usual ones have 200 each.
	maxBriefed = 64 << 10
	// eventFrame is what an event has in an answer beside its data and ids, and
	// answerFrame what an answer has beside its events, in bytes.
	eventFrame  = 128
	answerFrame = 48 << 10 // the sides of 256 sockets
	// unknownAtOnce bounds the users of one request whose calls are looked for in the
	// log, since Redis does not know them.
	unknownAtOnce = 64
	// justEnded is for how long, in milliseconds, somebody who returns is told that a call is over.
	justEnded = 120_000
	// lastWord is how long who is told of as gone has to be told of as back, whenever they went.
	lastWord = 3 * time.Second
	// answerLost is how long before it was lost, in milliseconds, a socket may not have
	// got the answer; answerFresh is how old an answer is told again to a socket that may
	// have missed it though it was there. Where nobody knows since when the socket before
	// was gone, any that is kept is told again.
	answerLost, answerFresh = 2_000, 15_000
)

// sockets is a gateway's word on its sockets: sides of calls that are gone, and
// sockets that are there and are to be told what rings, or was missed.
func (s *Service) sockets(ctx context.Context, req proto.CallSocketsReq) (res proto.CallSocketsRes, err error) {
	for i := range req.Left {
		if err := s.left(ctx, &req.Left[i]); err != nil {
			return res, unavailable(err)
		}
	}
	err = s.returned(ctx, req.Returned, &res)
	return res, unavailable(err)
}

// left notes that a socket is gone, if a side of a call was on it.
func (s *Service) left(ctx context.Context, l *proto.CallSocketLeft) error {
	user, err := proto.EncodeID(l.UserID)
	if err != nil {
		return err
	}
	slot, err := s.slot(ctx, user)
	if isDown(err) {
		slot, err = s.fromHistory(ctx, user)
	}
	if err != nil || slot.CallID == "" {
		return err
	}
	call, err := proto.EncodeID(slot.CallID)
	if err != nil {
		return err
	}
	_, err = s.change(ctx, call, func(c *state.Call, now int64) error {
		c.Lose(l.UserID, l.SocketID, max(l.At.UnixMilli(), now-(s.grace-lastWord).Milliseconds()), now)
		return nil
	})
	if errors.Is(err, state.ErrNotFound) {
		return nil
	}
	return err
}

// returned answers what sockets are to be told that are there now. What has waited
// for one waits no more once it is read, so no more are looked at than one answer has
// room for.
func (s *Service) returned(ctx context.Context, all []proto.CallSocket, res *proto.CallSocketsRes) error {
	slots, err := s.slotsOf(ctx, all)
	if err != nil {
		return err
	}
	room := s.host.AnswerRoom()
	room.Fits(answerFrame)
	for i := range all {
		slot := &slots[i]
		if slot.CallID == "" && (slot.Was == "" || s.now()-slot.WasUntil > justEnded) {
			continue
		}
		b := briefing{svc: s, socket: &all[i], res: res, room: room}
		switch err := b.brief(ctx, slot); {
		case errors.Is(err, errFull):
			res.Rest = len(all) - i
			return nil
		case err != nil:
			return err
		}
	}
	return nil
}

// slotsOf is which calls the users of sockets are in. Where Redis does not know, the
// log does, for so many of them; Redis then does, so that each is looked for once.
func (s *Service) slotsOf(ctx context.Context, all []proto.CallSocket) ([]calls.Slot, error) {
	if len(all) == 0 {
		return nil, nil
	}
	users := make([]proto.Token, len(all))
	for i := range all {
		var err error
		if users[i], err = proto.EncodeID(all[i].UserID); err != nil {
			return nil, err
		}
	}
	slots, err := s.calls.Slots(ctx, users...)
	down := isDown(err)
	if down {
		slots, err = make([]calls.Slot, len(users)), nil
	}
	if err != nil {
		return nil, err
	}
	asked := 0
	for i, user := range users {
		if slots[i].Known() || asked == unknownAtOnce {
			continue
		}
		asked++
		unknown := slots[i]
		if slots[i], err = s.fromHistory(ctx, user); err != nil {
			return nil, err
		}
		if !down {
			if _, err := s.calls.Swap(ctx, user, &unknown, slots[i]); ignoreDown(err) != nil {
				return nil, err
			}
		}
	}
	return slots, nil
}

// briefing is what one socket is to be told of its user's call.
type briefing struct {
	svc    *Service
	socket *proto.CallSocket
	res    *proto.CallSocketsRes // where it is told
	room   *services.Room        // that is left there
}

// errFull says that there is no room for all that a socket is to be told. What it lacks
// still is in the answer.
var errFull = errors.New("the answer is full")

func (b *briefing) brief(ctx context.Context, slot *calls.Slot) error {
	id := slot.CallID
	if id == "" {
		id = slot.Was
	}
	call, err := proto.EncodeID(id)
	if err != nil {
		return err
	}
	who := state.Actor{User: b.socket.UserID, Device: b.socket.DeviceID, Socket: b.socket.SocketID}
	var before state.Party
	e, err := b.svc.change(ctx, call, func(c *state.Call, now int64) error {
		if p := c.Heard(who.User); p != nil {
			before = *p
		}
		c.Return(who, b.socket.Was, now)
		return nil
	})
	if err != nil || e.Call == nil || before.User == "" {
		if errors.Is(err, state.ErrNotFound) {
			return nil
		}
		return err
	}
	p := e.Heard(who.User)
	if p.Active() && p.Over == 0 && p.Same(who) && p.Socket != who.Socket {
		if e, err = b.succeed(ctx, &e, who, p.Socket); err != nil {
			return err
		}
		p = e.Heard(who.User)
	}
	switch {
	case p.Over != 0:
		return b.over(&e, p)
	case p.Rings():
		return b.rings(ctx, &e, p)
	case p.Active() && p.Socket == who.Socket:
		return b.back(ctx, &e, p, &before)
	case b.socket.Was != "" && b.svc.now()-p.JoinedAt < justEnded: // it may have rung there
		return b.add(&e, proto.CallEndEvent.Name, elsewhere(e.Call, p.User, proto.EndAnsweredElsewhere, p.JoinedAt))
	}
	return nil
}

// succeed makes the socket the one of its user's side, where that is of the same
// device and its own socket is gone: nobody said so, if its gateway died with it.
func (b *briefing) succeed(ctx context.Context, e *calls.Entry, who state.Actor, was string) (calls.Entry, error) {
	reach, err := b.svc.reach(ctx, "", []string{who.User}, askTimeout)
	if err != nil || reach[who.User] == nil {
		return *e, nil //nolint:nilerr // a look at the call asks again
	}
	if there, _ := isThere(reach[who.User], was); there {
		return *e, nil
	}
	return b.svc.change(ctx, e.Token, func(c *state.Call, now int64) error {
		c.Lose(who.User, was, now, now)
		c.Return(who, was, now)
		return nil
	})
}

// add returns errFull where there is no room for the event.
func (b *briefing) add(e *calls.Entry, event string, payload any) error {
	body, err := wire.Marshal(payload)
	if err != nil {
		return err
	}
	if !b.room.Fits(b.eventLen(e, body)) {
		return errFull
	}
	b.addRaw(e, event, body)
	return nil
}

func (b *briefing) addRaw(e *calls.Entry, event string, body []byte) {
	b.res.Events = append(b.res.Events, proto.SocketEvent{SocketID: b.socket.SocketID, CallID: e.ID, Event: event, Data: body})
}

// eventLen is how many bytes an event takes in the answer, at most.
func (b *briefing) eventLen(e *calls.Entry, body []byte) int {
	return len(body) + proto.EncodedLen(b.socket.SocketID) + proto.EncodedLen(e.ID) + eventFrame
}

// rings tells that it rings, for as long as is left, with the caller's candidates so far.
func (b *briefing) rings(ctx context.Context, e *calls.Entry, p *state.Party) error {
	now := b.svc.host.Now()
	if now.UnixMilli() >= e.RingUntil {
		return nil
	}
	in := b.svc.incoming(e, p, now)
	user, err := proto.EncodeID(p.User)
	if err != nil {
		return err
	}
	waited, err := b.svc.calls.Waits(ctx, e.Token, user)
	if ignoreDown(err) != nil {
		return err
	}
	size := 0
	for _, w := range slices.Backward(waited) {
		var c proto.CallCandidate
		if err := wire.Restore(w.Data, &c); err != nil {
			return err
		}
		if w.Event != proto.CallCandidateEvent.Name || c.FromUserID != e.Caller().User {
			continue
		}
		if size += len(c.Candidate) + 1; size > maxBriefed {
			break
		}
		in.Candidates = append(in.Candidates, c.Candidate)
	}
	slices.Reverse(in.Candidates)
	return b.add(e, proto.IncomingCallEvent.Name, in)
}

// back tells a side that is there again what it may have missed: answers, and then
// what has waited. Its gateway learns that a side is here. before: the side as it was.
func (b *briefing) back(ctx context.Context, e *calls.Entry, p, before *state.Party) error {
	b.res.Sides = append(b.res.Sides, proto.CallSide{SocketID: p.Socket, CallID: e.ID, Talks: e.Status == proto.CallAnswered})
	lacks := b.lacks(e, p, before)
	for len(lacks) > 0 {
		if err := b.add(e, proto.CallAnswerEvent.Name, answerOf(e.Call, lacks[0])); err != nil {
			return b.again(lacks, err)
		}
		lacks = lacks[1:]
	}
	user, err := proto.EncodeID(p.User)
	if err != nil {
		return err
	}
	request := ""
	if call, ok := services.CallFrom(ctx); ok {
		request = call.RequestID + "." + b.socket.SocketID
	}
	waited, fits, err := b.svc.calls.Take(ctx, e.Token, user, request, b.room.Left(), b.eventLen(e, nil))
	if err != nil {
		return ignoreDown(err)
	}
	if !fits {
		return b.again(nil, errFull)
	}
	for _, w := range waited {
		b.room.Fits(b.eventLen(e, w.Data))
		b.addRaw(e, w.Event, w.Data)
	}
	return nil
}

// lacks is whose answers the caller is to be told.
func (b *briefing) lacks(e *calls.Entry, p, before *state.Party) (out []*state.Party) {
	if p != e.Caller() {
		return nil
	}
	for i := range e.Parties[1:] {
		a := &e.Parties[1+i]
		if a.Answer == nil || !a.Active() {
			continue
		}
		if again := b.socket.Again; again != nil && slices.Contains(again.Answers, a.User) || again == nil && b.mayLack(a, before) {
			out = append(out, a)
		}
	}
	return out
}

// again notes what the socket lacks still, since the answer is full.
func (b *briefing) again(lacks []*state.Party, err error) error {
	if errors.Is(err, errFull) {
		b.res.Again = &proto.CallAgain{Answers: []string{}}
		for _, a := range lacks {
			b.res.Again.Answers = append(b.res.Again.Answers, a.User)
		}
	}
	return err
}

// mayLack says whether the caller, who was there as before says, may not have had an answer.
func (b *briefing) mayLack(answerer, before *state.Party) bool {
	switch {
	case before.LostAt != 0:
		return answerer.JoinedAt >= before.LostAt-answerLost
	case before.Socket != b.socket.SocketID:
		return true
	}
	return b.svc.now()-answerer.JoinedAt < answerFresh
}

// over tells that the call has ended, where that was not stored for the user.
func (b *briefing) over(e *calls.Entry, p *state.Party) error {
	was := b.socket.Was
	switch {
	case was == "" || b.svc.now()-p.OverAt > justEnded || p.State == proto.ParticipantMissed || p.State == proto.ParticipantBusy:
		return nil
	case p.State == proto.ParticipantRejected:
		return b.add(e, proto.CallEndEvent.Name, elsewhere(e.Call, p.User, proto.EndRejectedElsewhere, p.OverAt))
	case p.Socket != was && p.Socket != b.socket.SocketID:
		return nil
	case e.Status == proto.CallRejected:
		return b.add(e, proto.CallRejectEvent.Name, proto.CallReject{
			CallID: e.ID, CallerID: p.User, CallerName: e.CallerName, CallType: e.Type, Status: proto.CallRejected, Reason: e.Reason, UserID: e.EndedBy,
		})
	}
	return b.add(e, proto.CallEndEvent.Name, endFor(e.Call, p))
}
