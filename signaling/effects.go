package signaling

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/wire"
	"supmesh.dev/signaling/calls"
	"supmesh.dev/signaling/state"
)

// telling is what follows from one move of a call. Told again, what is stored is
// stored once; what is not stored may then come twice. It looks at the call as it is
// now, which may be further.
type telling struct {
	*calls.Entry
	svc  *Service
	ctx  context.Context //nolint:containedctx // of the one call of tell
	move *state.Move
	errs []error
}

// tell tells everybody concerned of one move of a call.
func (s *Service) tell(ctx context.Context, e *calls.Entry, m *state.Move) error {
	t := &telling{Entry: e, svc: s, ctx: ctx, move: m}
	switch m.Kind {
	case state.Initiated:
		t.initiated()
	case state.Answered:
		t.answered()
	case state.Rejected:
		t.rejected()
	case state.Ended, state.RungOut, state.GraceOver, state.Lost, state.Adopted: // over says all
	}
	for i := range e.Parties {
		if p := &e.Parties[i]; p.Over == m.Version && !p.Blocked {
			t.over(p)
		}
	}
	if e.IsGroup() && m.Kind != state.Initiated && m.Kind != state.Lost {
		t.participants()
	}
	return errors.Join(t.errs...)
}

func (t *telling) failed(err error) {
	if err != nil {
		t.errs = append(t.errs, err)
	}
}

// token encodes an id of the call, which was checked when it came.
func (t *telling) token(id string) proto.Token {
	token, err := proto.EncodeID(id)
	t.failed(err)
	return token
}

// key names what is stored of this move for one user, for ever the same.
func (t *telling) key(user proto.Token, what string) string {
	return fmt.Sprintf("call.%s.%d.%s.%s", t.Token, t.move.Version, user, what)
}

// emit sends an event that is not stored to a user's sockets, but for one.
func (t *telling) emit(user, event string, except services.Except, payload any) {
	body, err := wire.Marshal(payload)
	if err == nil {
		err = t.svc.host.PublishEphemeral(proto.UserEphemeral(t.token(user)), event, except, body)
	}
	t.failed(err)
}

// store appends an event to what a user's devices get, however late.
func (t *telling) store(user, event, what string, payload any) {
	body, err := wire.Marshal(payload)
	if err == nil {
		token := t.token(user)
		err = t.svc.calls.Ring(t.ctx, token, event, t.key(token, what), body)
	}
	t.failed(err)
}

// note lets a party's history have the call as it is for them.
func (t *telling) note(p *state.Party) {
	user := t.token(p.User)
	t.failed(t.svc.history.Note(t.ctx, user, t.RecordFor(p), t.key(user, "record")))
}

// initiated rings.
func (t *telling) initiated() {
	now := t.svc.host.Now()
	for i := range t.Parties[1:] {
		if p := &t.Parties[1+i]; p.Rings() && !p.Blocked && now.UnixMilli() < t.RingUntil {
			t.store(p.User, proto.IncomingCallEvent.Name, "ring", t.svc.incoming(t.Entry, p, now))
		}
	}
	for i := range t.Parties {
		if p := &t.Parties[i]; p.Over == 0 && !p.Blocked {
			t.note(p)
		}
	}
}

// incoming is the call as it rings for a party from now on.
func (s *Service) incoming(e *calls.Entry, p *state.Party, now time.Time) proto.IncomingCall {
	in := proto.IncomingCall{
		CallID: e.ID, CallerID: e.Caller().User, CallerName: e.CallerName, CallerAvatar: e.CallerAvatar, CallType: e.Type,
		Status: proto.CallIncoming, ChatID: e.Chat, CreatedAt: moment(e.CreatedAt), ExpiresAt: moment(e.RingUntil),
		RingMs: max(e.RingUntil-now.UnixMilli(), 0), IceServers: s.servers(e.Token, p.User, now),
	}
	if p.Offer != nil {
		in.Offer = *p.Offer
	}
	if e.IsGroup() {
		in.Participants = e.Participants()
	}
	return in
}

// servers are the STUN and TURN servers for one user of a call.
func (s *Service) servers(call proto.Token, user string, now time.Time) []proto.IceServer {
	token, err := proto.EncodeID(user)
	if err != nil { // it was checked when it came
		return []proto.IceServer{}
	}
	return s.ice.Servers(call, token, now)
}

func moment(ms int64) proto.Timestamp { return proto.At(time.UnixMilli(ms)) }

// answered tells the caller's device, and the callee's others.
func (t *telling) answered() {
	p := t.Party(t.move.User)
	if caller := t.Caller(); caller.LostAt == 0 && caller.Over == 0 && p.Answer != nil {
		t.emit(caller.User, proto.CallAnswerEvent.Name, services.Except{Others: caller.Socket}, answerOf(t.Call, p))
	}
	// Told again, the device may have come back as another socket.
	t.emit(p.User, proto.CallEndEvent.Name, services.Except{Socket: p.Socket}, t.elsewhere(proto.EndAnsweredElsewhere))
}

// answerOf is a party's answer, for the caller.
func answerOf(c *state.Call, p *state.Party) proto.CallAnswer {
	return proto.CallAnswer{
		CallID: c.ID, CallerID: c.Caller().User, CallerName: c.CallerName, CallerAvatar: c.CallerAvatar, CallType: c.Type, Answer: *p.Answer,
		Status: proto.CallAnswered, AnswererID: p.User, DeviceID: p.Device, AnsweredAt: moment(p.JoinedAt),
	}
}

// elsewhere is the end of a call for devices of a user of whom another has acted.
func (t *telling) elsewhere(reason string) proto.CallEnd {
	return elsewhere(t.Call, t.move.User, reason, t.move.At)
}

func elsewhere(c *state.Call, user, reason string, at int64) proto.CallEnd {
	return proto.CallEnd{
		CallID: c.ID, CallerID: c.Caller().User, CallerName: c.CallerName, CallType: c.Type, Status: proto.CallOver,
		Reason: reason, EndedBy: user, EndedAt: moment(at),
	}
}

// rejected tells the caller, who may have left a call of several, and the callee's other devices.
func (t *telling) rejected() {
	if caller := t.Caller(); caller.Over == 0 || caller.Over >= t.move.Version {
		t.emit(caller.User, proto.CallRejectEvent.Name, services.Except{}, proto.CallReject{
			CallID: t.ID, CallerID: caller.User, CallerName: t.CallerName, CallType: t.Type, Status: proto.CallRejected,
			Reason: t.move.Reason, UserID: t.move.User,
		})
	}
	t.emit(t.move.User, proto.CallEndEvent.Name, services.Except{Socket: t.move.Socket}, t.elsewhere(proto.EndRejectedElsewhere))
}

// over ends the call for one party, with this move.
func (t *telling) over(p *state.Party) {
	switch {
	case p.State == proto.ParticipantMissed:
		t.store(p.User, proto.CallEndEvent.Name, "end", endFor(t.Call, p))
		t.missed(p)
	case p.State == proto.ParticipantLeft && t.move.Kind != state.Rejected: // call:reject has told the caller
		except := services.Except{}
		if p.User == t.move.User {
			except.Socket = t.move.Socket
		}
		t.emit(p.User, proto.CallEndEvent.Name, except, endFor(t.Call, p))
	}
	t.note(p)
	if p.State != proto.ParticipantBusy { // then they are in another call
		t.failed(ignoreDown(t.svc.release(t.ctx, t.Token, t.token(p.User), t.svc.now()))) // a look does it
	}
}

// endFor is call:end, as it is for one party.
func endFor(c *state.Call, p *state.Party) proto.CallEnd {
	r := c.RecordFor(p)
	end := proto.CallEnd{
		CallID: c.ID, CallerID: c.Caller().User, CallerName: c.CallerName, CallType: c.Type, Status: r.Status,
		Reason: r.Reason, EndedBy: r.EndedBy, DurationMs: r.DurationMs, EndedAt: moment(p.OverAt),
	}
	if end.Status != proto.CallMissed {
		end.Status = proto.CallOver
	}
	return end
}

// missed asks for the one notification of a call that somebody has missed: by its
// key it is one, however often it is asked for.
func (t *telling) missed(p *state.Party) {
	data, err := wire.Marshal(map[string]string{"callId": t.ID, "callType": string(t.Type), "reason": p.Reason})
	t.failed(err)
	req := proto.NotifyReq{
		UserIDs: []string{p.User}, Type: proto.NotifyCallMissed, Title: "Missed call", Message: clip("Missed " + string(t.Type) + " call from " + t.CallerName),
		Data: data, FromUserID: t.Caller().User, ChatID: t.Chat, Priority: proto.PriorityHigh, CollapseKey: collapseKey(t.ID), Key: "call_missed:" + t.ID,
	}
	body, err := wire.Marshal(req)
	if err == nil {
		err = t.svc.host.Enqueue(t.ctx, proto.NotifyRequests, t.key(t.token(p.User), "missed"), body)
	}
	t.failed(err)
}

// collapseKey names a call among what may be shown on a device; a callId may be too long for that.
func collapseKey(callID string) string {
	sum := sha256.Sum256([]byte(callID))
	return "call:" + hex.EncodeToString(sum[:16])
}

// clip cuts a text to what a notification may have: names are as long as a token's issuer likes.
func clip(s string) string {
	if r := []rune(s); len(r) > proto.MaxNotificationText {
		return string(r[:proto.MaxNotificationText])
	}
	return s
}

// participants tells who is in a call of several to those who are, or whom it rings.
func (t *telling) participants() {
	for i := range t.Parties {
		if p := &t.Parties[i]; p.Over == 0 && !p.Blocked {
			t.emit(p.User, proto.ParticipantsEvent.Name, services.Except{}, proto.CallParticipants{CallID: t.ID, Participants: t.Participants()})
		}
	}
}
