package gateway

import (
	"context"
	"slices"
	"time"

	"supmesh.dev/gateway/engineio/deadline"
	"supmesh.dev/gateway/typing"
	"supmesh.dev/proto"
	"supmesh.dev/services"
	"supmesh.dev/services/wire"
)

// view is the part of a topic that is there while a session here has the chat
// open: who, and what they are shown of others' typing.
type view struct {
	svc      *Service
	topic    *topic
	sub      subscription // eph.chat.<chat>
	sessions []*Session
	board    typing.Board
	timer    deadline.Entry // the next indicator that expires
}

// verdict is what became of marking a session as viewing.
type verdict int

const (
	viewing verdict = iota
	behind          // chat knows of a membership that has not come here yet
	stale           // the membership that chat answered about is over
)

// viewLocked marks a session as viewing, if it is a member now and chat's answer
// (of version) is about that membership: an answer that is older than the
// session's membership here may be from before a removal, and loses.
func (svc *Service) viewLocked(t *topic, s *Session, version uint64) (v verdict, told <-chan struct{}, err error) {
	switch i := t.indexLocked(s); {
	case i < 0 && version > t.applied:
		return behind, nil, nil
	case i < 0 || version < t.members[i].version || svc.departed.since(t.token, s.user, version):
		return stale, nil, nil
	}
	if err := svc.openLocked(t, s); err != nil {
		return behind, nil, err
	}
	if !svc.showLocked(t, s) {
		return viewing, nil, nil
	}
	return viewing, svc.announcer.view(t.chat, s, true, false), nil
}

// openLocked makes a topic's view, if there is none, for a session that is to view.
func (svc *Service) openLocked(t *topic, s *Session) error {
	if t.view != nil {
		return nil
	}
	sub, err := svc.store.subscribe(proto.ChatEph(t.token))
	if err != nil {
		return err
	}
	t.view = &view{svc: svc, topic: t, sub: sub}
	// Those who type elsewhere are told here at their next renewal; this is sooner.
	svc.publish(t.token, proto.AskTyping, s.user, []byte(svc.typingInbox()))
	return nil
}

// showLocked adds a session to a topic's view; false if it is there.
func (svc *Service) showLocked(t *topic, s *Session) bool {
	if slices.Contains(t.view.sessions, s) {
		return false
	}
	t.view.sessions = append(t.view.sessions, s)
	svc.metrics.viewers.Add(1)
	for _, shown := range t.view.board.Current(time.Now()) {
		if shown.User != s.user {
			svc.tellOne(t, s, shown)
		}
	}
	return true
}

// reopenLocked marks a session as viewing that was before it returned; false if it
// is not a member any more. Presence knows, and so does everybody else.
func (svc *Service) reopenLocked(t *topic, s *Session) bool {
	if t.indexLocked(s) < 0 || svc.openLocked(t, s) != nil {
		return false
	}
	svc.showLocked(t, s)
	return true
}

// unviewLocked ends a session's viewing, if it views.
func (svc *Service) unviewLocked(t *topic, s *Session) {
	if t.view == nil {
		return
	}
	i := slices.Index(t.view.sessions, s)
	if i < 0 {
		return
	}
	t.view.sessions = slices.Delete(t.view.sessions, i, i+1)
	svc.metrics.viewers.Add(-1)
	if !s.is(closed) { // then it has the chat open until presence is sure that it does not return
		svc.announcer.view(t.chat, s, false, false)
	}
	svc.lag.forget(s, t.token)
	if len(t.view.sessions) == 0 {
		t.view.sub.end()
		svc.timers.Remove(&t.view.timer)
		t.view = nil
	}
}

const (
	// joinRound is how long a membership that chat knows of is waited for
	// before chat is asked again.
	joinRound = 250 * time.Millisecond
	// tellFor is how long the ack of a join waits for presence to know of it, so
	// that who asks for the active members next is among them.
	tellFor = 500 * time.Millisecond
)

// open marks a session as viewing a chat. version is what chat's answer knows
// of; ask gets a newer answer. The error is chat's, or that it took too long.
func (svc *Service) open(ctx context.Context, s *Session, chat string, version uint64, ask func(context.Context) (uint64, error)) (told <-chan struct{}, err error) {
	ctx, cancel := context.WithTimeout(ctx, proto.RequestTimeout)
	defer cancel()
	for {
		v := behind
		for end := time.Now().Add(joinRound); v == behind && time.Now().Before(end); {
			if t := svc.hub.chatOf(chat); t != nil {
				t.mu.Lock()
				v, told, err = svc.viewLocked(t, s, version)
				t.mu.Unlock()
			}
			switch {
			case err != nil || v == viewing:
				return told, err
			case s.is(closed) || v == behind && !wait(ctx, 2*time.Millisecond):
				return nil, errNotOpened()
			}
		}
		if v == stale && !wait(ctx, 2*time.Millisecond) {
			return nil, errNotOpened()
		}
		if version, err = ask(ctx); err != nil {
			return nil, err
		}
	}
}

func errNotOpened() error {
	return &proto.Error{Code: proto.ServiceUnavailable, Message: "the chat cannot be opened for a moment", RetryAfter: time.Second}
}

// heard waits until presence has been told, or not for long.
func heard(ctx context.Context, told <-chan struct{}) {
	if told == nil {
		return
	}
	timer := time.NewTimer(tellFor)
	defer timer.Stop()
	select {
	case <-told:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// join answers chat:join: chat says whether the user is a member and where they
// are, this gateway keeps who is viewing.
func (svc *Service) join(ctx context.Context, s *Session, data []byte) ([]byte, error) {
	var body []byte
	var res proto.JoinChatRes
	ask := func(ctx context.Context) (uint64, error) {
		reply, err := svc.host.Request(ctx, proto.JoinChat.Subject, s.actor, data, services.WithRow(proto.JoinChat.Row))
		switch {
		case err != nil:
			return 0, err
		case reply.Err != nil:
			return 0, reply.Err
		}
		body = reply.Body
		err = wire.Restore(body, &res)
		return res.Version, err
	}
	version, err := ask(ctx)
	if err != nil {
		return nil, err
	}
	told, err := svc.open(ctx, s, res.ChatID, version, ask)
	if err != nil {
		return nil, err
	}
	heard(ctx, told)
	return body, nil
}

// joinMultiple answers chat:join-multiple.
func (svc *Service) joinMultiple(ctx context.Context, s *Session, data []byte) ([]byte, error) {
	var req proto.JoinChatsReq
	if err := decode(data, &req); err != nil {
		return nil, err
	}
	res, err := services.Do(ctx, svc.host, proto.JoinChats, s.actor, req)
	if err != nil {
		return nil, err
	}
	var joined []string
	var versions []uint64
	var last <-chan struct{}
	for i, chat := range res.Joined {
		version := res.Versions[i]
		told, err := svc.open(ctx, s, chat, version, func(ctx context.Context) (uint64, error) {
			one, err := services.Do(ctx, svc.host, proto.JoinChat, s.actor, proto.JoinChatReq{ChatID: chat})
			version = one.Version
			return version, err
		})
		if err != nil {
			res.Failed = append(res.Failed, proto.FailedJoin{ChatID: chat, Code: proto.AsError(err).Code})
			continue
		}
		joined, versions = append(joined, chat), append(versions, version)
		if told != nil {
			last = told
		}
	}
	heard(ctx, last)
	return ack(proto.JoinChatsRes{JoinedCount: len(joined), Joined: joined, Failed: res.Failed, Versions: versions})
}

// leave answers chat:leave. Who did not have the chat open has it open no more either.
func (svc *Service) leave(_ context.Context, s *Session, data []byte) ([]byte, error) {
	var req proto.LeaveChatReq
	if err := decode(data, &req); err != nil {
		return nil, err
	}
	if t := svc.hub.chatOf(req.ChatID); t != nil {
		t.mu.Lock()
		if t.indexLocked(s) >= 0 {
			svc.quitLocked(t, s)
		}
		t.mu.Unlock()
	}
	return ack(proto.LeaveChatRes(req))
}

// viewRoutes completes the rows of what is done here: they keep the order of
// the session's other requests of chat, and typing is never refused.
func (svc *Service) viewRoutes(table map[string]*route) {
	for _, row := range []proto.Row{proto.LeaveChat.Row, proto.StartTyping.Row, proto.StopTyping.Row} {
		table[row.Event].service = table[proto.JoinChat.Event].service
	}
	table[proto.StartTyping.Event].over = svc.typingOver
	table[proto.StopTyping.Event].over = svc.stopTypingOver
}

// decode reads and checks an event's payload.
func decode[Req any, P interface {
	*Req
	Validate() error
}](data []byte, req P) error {
	if err := wire.Unmarshal(data, req); err != nil {
		return err
	}
	return req.Validate()
}

// ack is the success ack of an event that is answered here.
func ack(res any) ([]byte, error) { return services.AppendSuccessAck(nil, res, newRequestID()) }
