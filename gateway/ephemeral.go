package gateway

import (
	"strings"
	"time"

	"supmesh.dev/gateway/typing"
	"supmesh.dev/gateway/wsconn"
	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/wire"
)

// ephemeral is what came on a subject that is never stored.
type ephemeral struct {
	subject string
	event   string
	user    proto.Token // who acts: their own sockets are left out
	body    []byte
}

// typingInbox is where other gateways answer who types.
func (svc *Service) typingInbox() string { return proto.GatewayInbox(proto.Token(svc.run), "typing") }

// inboxPrefix begins every subject that belongs to one gateway.
const inboxPrefix = "edge."

// publish sends something to the gateways where a chat is open. It may be lost.
func (svc *Service) publish(chat proto.Token, event string, user proto.Token, body []byte) {
	if err := svc.host.PublishEphemeral(proto.ChatEph(chat), event, services.Except{User: user}, body); err != nil {
		svc.host.Log().Debug("publish", "event", event, "error", err)
	}
}

func (svc *Service) publishEvent(chat proto.Token, event string, user proto.Token, payload any) {
	body, err := wire.Marshal(payload)
	if err != nil { // a name that is not UTF-8
		svc.host.Log().Error("encode event", "event", event, "error", err)
		return
	}
	svc.publish(chat, event, user, body)
}

// passing takes what is never stored. It is called by the goroutine of the fan-out.
func (svc *Service) passing(e *ephemeral) {
	if user, ok := strings.CutPrefix(e.subject, proto.PresenceEphPrefix); ok {
		svc.passPresence(proto.Token(user), e)
		return
	}
	if e.event == proto.TakeoverEvent {
		svc.takeover(e)
		return
	}
	chat, ok := strings.CutPrefix(e.subject, proto.ChatEphPrefix)
	t := svc.hub.chat(proto.Token(chat))
	if !ok && e.subject == svc.typingInbox() { // an answer to this gateway alone
		var what proto.Typing
		if wire.Restore(e.body, &what) == nil {
			t = svc.hub.chatOf(what.ChatID)
		}
	}
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch e.event {
	case proto.AskTyping:
		svc.answerTypingLocked(t, string(e.body))
	case proto.TypingEvent.Name:
		var what proto.Typing
		if err := wire.Restore(e.body, &what); err != nil {
			svc.host.Log().Warn("typing does not parse", "error", err)
			return
		}
		svc.showTypingLocked(t, e, what)
	case proto.StopTypingEvent.Name:
		var what proto.StoppedTyping
		if err := wire.Restore(e.body, &what); err != nil {
			svc.host.Log().Warn("stop-typing does not parse", "error", err)
			return
		}
		if t.view != nil {
			svc.endShownLocked(t, t.view.board.Stop(typing.Key{User: e.user, Thread: what.ThreadID}, false), what.Reason)
		}
	case proto.MemberJoinedEvent.Name, proto.MemberLeftEvent.Name:
		svc.tellViewersLocked(t, latest{chat: t.token, user: e.user, event: "active"}, e.event, e.body)
	default: // of a later version
		svc.tellViewersLocked(t, latest{chat: t.token, user: e.user, event: e.event}, e.event, e.body)
	}
}

// answerTypingLocked tells another gateway who types here.
func (svc *Service) answerTypingLocked(t *topic, inbox string) {
	if !strings.HasPrefix(inbox, inboxPrefix) {
		return
	}
	for _, shown := range t.typists.Current(time.Now()) {
		body, err := wire.Marshal(shown.Told)
		if err == nil {
			err = svc.host.PublishEphemeral(inbox, proto.TypingEvent.Name, services.Except{User: shown.User}, body)
		}
		if err != nil {
			svc.host.Log().Debug("answer who types", "error", err)
			return
		}
	}
}

func (svc *Service) showTypingLocked(t *topic, e *ephemeral, what proto.Typing) {
	if t.view == nil {
		return
	}
	key := typing.Key{User: e.user, Thread: what.ThreadID}
	if !t.view.board.Start(key, what, time.Now()) {
		svc.metrics.unshown.Add(svc.ctx, 1)
		return
	}
	svc.tellViewersLocked(t, latestOf(t, key), proto.TypingEvent.Name, e.body)
	t.view.armLocked()
}

// endShownLocked tells the viewers that indicators are over.
func (svc *Service) endShownLocked(t *topic, ended []typing.Shown, reason string) {
	for _, shown := range ended {
		body, err := wire.Marshal(proto.StoppedTyping{
			ChatID: t.chat, UserID: shown.Told.UserID, ThreadID: shown.Thread, Reason: reason,
		})
		if err != nil {
			svc.host.Log().Error("encode stop-typing", "error", err)
			continue
		}
		svc.tellViewersLocked(t, latestOf(t, shown.Key), proto.StopTypingEvent.Name, body)
	}
	if len(ended) > 0 {
		t.view.armLocked()
	}
}

// armLocked has the view looked at when its next indicator expires.
func (v *view) armLocked() {
	if at, ok := v.board.Next(); ok {
		v.svc.timers.Set(&v.timer, v, time.Until(at))
	} else {
		v.svc.timers.Remove(&v.timer)
	}
}

// Expire ends the indicators that were not renewed: their typist stopped, or
// the gateway of their typist is gone. It implements deadline.Expirer.
func (v *view) Expire() {
	v.topic.mu.Lock()
	defer v.topic.mu.Unlock()
	if v.topic.view != v {
		return
	}
	v.svc.endShownLocked(v.topic, v.board.Expire(time.Now()), proto.StoppedExpired)
	v.armLocked()
}

// tellViewersLocked sends an event to every socket here that has the chat open,
// but those of the user it is about.
func (svc *Service) tellViewersLocked(t *topic, what latest, event string, body []byte) {
	if t.view == nil {
		return
	}
	frames := ephemeralFrames{event: event, body: body}
	for _, s := range t.view.sessions {
		if s.user != what.user {
			svc.sendLatest(s, what, frames.of(s))
		}
	}
}

// tellOne sends one session what is shown.
func (svc *Service) tellOne(t *topic, s *Session, shown typing.Shown) {
	body, err := wire.Marshal(shown.Told)
	if err != nil {
		svc.host.Log().Error("encode typing", "error", err)
		return
	}
	svc.sendLatest(s, latestOf(t, shown.Key), eventFrame(s.peer.profile(), proto.TypingEvent.Name, body))
}

// ephemeralFrames makes the frame of an event once per profile.
type ephemeralFrames struct {
	event  string
	body   []byte
	frames [profiles]*wsconn.Frame
}

func (f *ephemeralFrames) of(s *Session) *wsconn.Frame {
	p := s.peer.profile()
	if f.frames[p] == nil {
		f.frames[p] = eventFrame(p, f.event, f.body)
	}
	return f.frames[p]
}
