package gateway

import (
	"context"
	"time"

	"supmesh.dev/gateway/typing"
	"supmesh.dev/proto"
	"supmesh.dev/services/wire"
)

// typing answers message:typing. It is told to the others from here, without a
// service: a member is who is in the chat's topic.
func (svc *Service) typing(ctx context.Context, s *Session, data []byte) ([]byte, error) {
	if s.hidesTyping(time.Now()) {
		return svc.typingOver(ctx, s, data)
	}
	req, t, err := lockFor(svc, s, data, typingChat)
	if err != nil {
		return nil, err
	}
	defer t.mu.Unlock()
	what := proto.Typing{
		ChatID: req.ChatID, UserID: s.actor.User, UserName: s.actor.Name, ThreadID: req.ThreadID, ExpiresInMs: typing.For.Milliseconds(),
	}
	// Published under the topic's lock, so that it cannot overtake the end of it.
	tell := t.typists.Start(typing.Key{User: s.user, Thread: req.ThreadID}, s.id, what, time.Now())
	if tell {
		svc.publishEvent(t.token, proto.TypingEvent.Name, s.user, what)
		svc.metrics.typed.Add(svc.ctx, 1)
	} else {
		svc.metrics.coalesced.Add(svc.ctx, 1)
	}
	return ack(proto.TypingRes{ExpiresInMs: typing.For.Milliseconds(), Coalesced: !tell})
}

// typingOver answers message:typing beyond the limit, or of the invisible: nobody is told.
func (svc *Service) typingOver(_ context.Context, s *Session, data []byte) ([]byte, error) {
	_, t, err := lockFor(svc, s, data, typingChat)
	if err != nil {
		return nil, err
	}
	t.mu.Unlock()
	svc.metrics.coalesced.Add(svc.ctx, 1)
	return ack(proto.TypingRes{ExpiresInMs: typing.For.Milliseconds(), Coalesced: true})
}

// stopTyping answers message:stop-typing.
func (svc *Service) stopTyping(_ context.Context, s *Session, data []byte) ([]byte, error) {
	req, t, err := lockFor(svc, s, data, stopTypingChat)
	if err != nil {
		return nil, err
	}
	defer t.mu.Unlock()
	for _, key := range t.typists.Stop(typing.Key{User: s.user, Thread: req.ThreadID}, req.ThreadID == "", time.Now()) {
		svc.publishStopLocked(t, s, key, "")
	}
	return ack(proto.StopTypingRes{ChatID: req.ChatID})
}

// stopTypingOver answers message:stop-typing beyond the limit: the indicator expires.
func (svc *Service) stopTypingOver(_ context.Context, s *Session, data []byte) ([]byte, error) {
	req, t, err := lockFor(svc, s, data, stopTypingChat)
	if err != nil {
		return nil, err
	}
	t.mu.Unlock()
	return ack(proto.StopTypingRes{ChatID: req.ChatID})
}

func typingChat(r *proto.TypingReq) string         { return r.ChatID }
func stopTypingChat(r *proto.StopTypingReq) string { return r.ChatID }

// lockFor reads a request about a chat and gives the chat's locked topic, if the
// session is a member.
func lockFor[Req any, P interface {
	*Req
	Validate() error
}](svc *Service, s *Session, data []byte, chat func(P) string) (req Req, t *topic, err error) {
	if err = decode(data, P(&req)); err == nil {
		t, err = svc.lockMember(s, chat(&req))
	}
	return req, t, err
}

// lockMember is the locked topic of a chat of which the session is a member.
func (svc *Service) lockMember(s *Session, chat string) (*topic, error) {
	t := svc.hub.chatOf(chat)
	if t != nil {
		t.mu.Lock()
		if t.indexLocked(s) >= 0 {
			return t, nil
		}
		t.mu.Unlock()
	}
	return nil, proto.Errorf(proto.ChatNotFound, "chat not found")
}

// quitLocked ends what a session does in a chat beside being a member: viewing
// and typing. It has closed the chat, or the connection, or was removed.
func (svc *Service) quitLocked(t *topic, s *Session) {
	svc.unviewLocked(t, s)
	if t.typists.Len() == 0 {
		return
	}
	reason := proto.StoppedLeft
	if s.is(closed) {
		reason = proto.StoppedDisconnected
	}
	for _, key := range t.typists.Quit(s.id, time.Now()) {
		svc.publishStopLocked(t, s, key, reason)
	}
}

func (svc *Service) publishStopLocked(t *topic, s *Session, key typing.Key, reason string) {
	svc.publishEvent(t.token, proto.StopTypingEvent.Name, key.User, proto.StoppedTyping{
		ChatID: t.chat, UserID: s.actor.User, ThreadID: key.Thread, Reason: reason,
	})
}

// endTypingLocked ends what an entry of the log says is over, before it is
// delivered: a message ends its sender's typing, a removal that of the removed.
// Every gateway does so by itself, and nothing more is sent for it.
func (svc *Service) endTypingLocked(t *topic, e *entry, change *membershipChange) {
	if t.typists.Len() == 0 && (t.view == nil || t.view.board.Len() == 0) {
		return
	}
	if change != nil {
		for _, user := range change.left {
			svc.endUserLocked(t, user, proto.StoppedLeft)
		}
		return
	}
	if e.event != proto.MessageNew.Name {
		return
	}
	var m struct {
		Message struct {
			SenderID string `json:"senderId"`
		} `json:"message"`
	}
	if err := wire.Restore(e.body, &m); err != nil {
		return // whoever shows it complains
	}
	if user, err := proto.EncodeID(m.Message.SenderID); err == nil {
		svc.endUserLocked(t, user, proto.StoppedSent)
	}
}

func (svc *Service) endUserLocked(t *topic, user proto.Token, reason string) {
	key := typing.Key{User: user}
	t.typists.Stop(key, true, time.Now())
	if t.view != nil {
		svc.endShownLocked(t, t.view.board.Stop(key, true), reason)
	}
}
